"""Judged product search without training: BM25 alone, text vectors alone, and the release's hybrid.

    python -m benchmarks esci --data FOLDER

FOLDER holds esci_us/products.parquet and esci_us/judgments.parquet of the Amazon Shopping Queries
sample (query, asin, esci_label E, S, C or I). The judged products of each query are ranked; the
gains are E 1, S 0.1, C 0.01, I 0.
"""

import argparse
import tempfile
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from benchmarks.machine import run_benchmark
from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.evaluation.run import run
from pipelines.evaluation.trec_files import read_qrels, read_run
from pipelines.importers.mapping import load_mapping
from pipelines.importers.table import import_table
from pipelines.metrics.intervals import mean_interval, randomisation_test
from pipelines.metrics.ranked_lists import NAMES
from pipelines.metrics.ranked_lists import measure as measure_run
from pipelines.progress import silent, track
from pipelines.release.store import open_release
from retrieval import Stage

HERE = Path(__file__).parents[2]
NDCG = NAMES.index("nDCG@10")
GAINS = {"E": 1.0, "S": 0.1, "C": 0.01, "I": 0.0}
METHODS = {
    "BM25 alone": ("lexical",),
    "text alone": ("semantic",),
    "hybrid": ("semantic", "lexical", "image", "repeat", "together", "trending"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(asked.data / "esci_us", Path(scratch), load(None, asked.overrides))


def measure(data: Path, scratch: Path, config: Config) -> None:
    mapping = load_mapping(HERE / "configs/mappings/esci.yaml")
    import_table(data / "products.parquet", scratch / "shop", mapping, silent)
    build(scratch / "shop", scratch / "releases", config, None, track)
    write_requests(data / "judgments.parquet", scratch)
    values = {}
    for method, channels in METHODS.items():
        chosen = msgspec.structs.replace(
            config, retrieval=msgspec.structs.replace(config.retrieval, channels=channels)
        )
        engine = Engine(open_release(scratch / "releases"), chosen)
        run(scratch / "requests.jsonl", engine, scratch / method, Stage.RANKING, silent)
        values[method] = measure_run(read_run(scratch / method), read_qrels(scratch / "qrels"))
    print(f"{len(values['hybrid'])} queries, judged lists, untrained")
    for method, found in values.items():
        mean, low, high = mean_interval(found)[NDCG]
        print(f"{method:12} nDCG@10 {mean:.4f}  ({low:.4f} to {high:.4f})")
    for method in ("BM25 alone", "text alone"):
        gaps = values["hybrid"] - values[method]
        mean, low, high = mean_interval(gaps)[NDCG]
        p = randomisation_test(gaps)[NDCG]
        print(f"hybrid against {method}: {mean:+.4f} ({low:+.4f} to {high:+.4f}), p {p:.4f}")


def write_requests(judgments: Path, folder: Path) -> None:
    """Write one request a query, its judged products as candidates, and the judgments."""
    judged: dict[str, dict[str, float]] = {}
    for row in pq.read_table(judgments).to_pylist():
        judged.setdefault(row["query"], {})[row["asin"]] = GAINS[row["esci_label"]]
    with (folder / "requests.jsonl").open("wb") as requests, (folder / "qrels").open("w") as qrels:
        for number, (query, products) in enumerate(judged.items()):
            line = {"id": f"q{number}", "text": query, "candidates": sorted(products), "k": 1_000}
            requests.write(msgspec.json.encode(line) + b"\n")
            qrels.writelines(f"q{number} 0 {p} {gain}\n" for p, gain in products.items())


if __name__ == "__main__":
    run_benchmark(main)
