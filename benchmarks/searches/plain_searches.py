"""Plain searches of two invented shops, fashion and electronics, and whether the answers fit.

Each shop is imported, given events that have little to do with the searches, and built twice:
without a ranker and with one, so that best sellers may try to come before what fits.
"""

import argparse
import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.searches.invented_events import COLUMNS, draw_events
from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.engine.engine import Engine
from pipelines.evaluation.judged_searches import judge_searches, read_searches
from pipelines.importers.mapping import load_mapping
from pipelines.importers.table import import_table
from pipelines.progress import silent
from retrieval import Stage

HERE = Path(__file__).parent
SYNONYMS = HERE.parents[1] / "configs/synonyms"
SHOPS = ("fashion", "electronics")
DEPTH = 5


def main() -> None:
    """Build both shops and print what does not fit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=7, help="of the events")
    seed = parser.parse_args().seed
    for name in SHOPS:
        with TemporaryDirectory() as folder:
            for train in (False, True):
                print(f"\n{name}, {'with' if train else 'without'} a ranker")
                print(_judge(name, Path(folder) / str(train), seed, train=train))


def _judge(name: str, folder: Path, seed: int, *, train: bool) -> str:
    folder.mkdir()
    catalogue, events = HERE / f"{name}.csv", folder / "events.csv"
    with catalogue.open(encoding="utf-8", newline="") as file:
        products = list(csv.DictReader(file))
    with events.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(draw_events(products, np.random.default_rng(seed)))
    mapping = load_mapping(HERE / f"{name}.yaml")
    import_table(catalogue, folder / "shop", mapping, silent, events=events)
    overrides = [
        f"retrieval.synonyms={SYNONYMS / name}.txt",
        f"ranking.train={str(train).lower()}",
        "ranking.min_requests=50",
    ]
    build(folder / "shop", folder / "releases", load(None, overrides), None, silent)
    engine = Engine.open(folder / "releases")
    searches = read_searches(HERE / f"{name}.tsv")
    return judge_searches(engine, searches, DEPTH, silent, Stage.RANKING).table()


if __name__ == "__main__":
    main()
