"""Trains a text encoder on judged searches, and ranks with it before and after, cut and whole.

    python -m benchmarks text_relevance --data FOLDER [--out MODEL] [--trained MODEL]

FOLDER holds home_depot/labels.parquet and crowdflower/labels.parquet, which are learnt from but
for a tenth of their queries, and esci_us/products.parquet and esci_us/judgments.parquet, which
are only measured on: titles alone, gains E 1, S 0.1, C 0.01, I 0.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import run_benchmark
from pipelines.config.loading import load
from pipelines.metrics.intervals import mean_interval, randomisation_test
from pipelines.progress import track
from pipelines.training.text.pairs import Encode, Lists, ranked_ndcg, read_judgments, split
from pipelines.training.text.reporting import REPORT, TextReport
from pipelines.training.text.train import train_text
from retrieval.encoders.text import open_text_encoder

LEARNT = ("home_depot", "crowdflower")
GAINS = {"E": 1.0, "S": 0.1, "C": 0.01, "I": 0.0}
ESCI = "esci_us"
ROW = "{:24} {:>4} {:>7}  {:24} {:24} {:28} {}"

Values = dict[int, list[float]]  # dim -> nDCG@10 a query


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="keep the model here; by default it is dropped")
    parser.add_argument("--trained", type=Path, help="measure this model, and train none")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    asked = parser.parse_args()
    for name in (*LEARNT, ESCI):
        if not (asked.data / name).is_dir():
            sys.exit(f"{asked.data / name} is missing; --data is the folder that holds {name}/")
    config = load(None, asked.overrides)
    with tempfile.TemporaryDirectory() as scratch:
        if asked.trained is None:
            out = asked.out or Path(scratch) / "model"
            start = perf_counter()
            report = train_text(
                learnt_from(asked.data),
                out,
                config.text_training,
                track,
                seed=config.seed,
                threads=config.threads,
            )
            print(f"trained, validated and tested in {perf_counter() - start:,.0f} s")
        else:
            out = asked.trained
            report = msgspec.json.decode((out / REPORT).read_bytes(), type=TextReport)
        compare(asked.data, out, report, config.threads)


def learnt_from(data: Path) -> list[Path]:
    return [data / name / "labels.parquet" for name in LEARNT]


def compare(data: Path, model: Path, report: TextReport, threads: int) -> None:
    """Measure a model and what it started from, on the queries that its training held out."""
    settings = report.settings
    print(report.line().splitlines()[0])
    print("validation by blend:", ", ".join(f"{k}: {v:.4f}" for k, v in report.validation.items()))
    lists = {
        path.parent.name: split(
            read_judgments(path).lists, settings.held_out, settings.validation, report.seed
        ).test
        for path in learnt_from(data)
    }
    lists[ESCI] = esci(data / ESCI)
    before, after = (
        measured(open_text_encoder(name, threads=threads).encode, lists, settings.dims)
        for name in (settings.model, str(model))
    )
    show(before, after, settings.dims)


def esci(folder: Path) -> Lists:
    """Return the gains of the judged titles; a title that is judged twice gets the better."""
    products = pq.read_table(folder / "products.parquet", columns=["asin", "title"])
    titles = dict(zip(*(column.to_pylist() for column in products.columns), strict=True))
    lists: dict[str, dict[str, float]] = {}
    for row in pq.read_table(folder / "judgments.parquet").to_pylist():
        judged = lists.setdefault(row["query"], {})
        title, gain = titles[row["asin"]], GAINS[row["esci_label"]]
        judged[title] = max(gain, judged.get(title, 0.0))
    return lists


def measured(encode: Encode, lists: dict[str, Lists], dims: tuple[int, ...]) -> dict[str, Values]:
    found = {name: ranked_ndcg(encode, judged, dims) for name, judged in lists.items()}
    found["both held-out tenths"] = {
        dim: [value for name in LEARNT for value in found[name][dim]] for dim in dims
    }
    return found


def show(before: dict[str, Values], after: dict[str, Values], dims: tuple[int, ...]) -> None:
    head = ("queries", "dim", "of", "untrained", "trained", "difference", "p")
    print(ROW.format(*head).rstrip())
    for name in before:
        for dim in dims:
            old, new = (np.array(found[name][dim])[:, None] for found in (before, after))
            gap = new - old
            p = float(randomisation_test(gap)[0])
            columns = (told(old), told(new), told(gap, "+"))
            print(ROW.format(name, dim, len(old), *columns, f"{p:.4f}"))


def told(values: np.ndarray, sign: str = "") -> str:
    mean, low, high = mean_interval(values)[0]
    return f"{mean:{sign}.4f} ({low:{sign}.4f}-{high:{sign}.4f})"


if __name__ == "__main__":
    run_benchmark(main)
