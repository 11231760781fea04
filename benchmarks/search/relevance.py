"""Relevance on three judged sets: what words add to text, with their weight chosen on other sets.

    python -m benchmarks relevance --data FOLDER [--queries N]

FOLDER holds home_depot/labels.parquet, crowdflower/labels.parquet and the two files of esci_us. A
release of each set's products is built without training; the judged products of each query are
ranked. The weight of words that a set is measured with is the one that is best on the mean of the
other two, so that no set has a say in its own figure; the default is measured beside it.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64

from benchmarks.machine import run_benchmark
from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.engine.probe import ChannelScores
from pipelines.importers.columns import ProductColumns
from pipelines.importers.mapping import Mapping as ColumnMapping
from pipelines.importers.mapping import load_mapping
from pipelines.importers.table import import_table
from pipelines.metrics.intervals import mean_interval, randomisation_test
from pipelines.metrics.ranked_lists import ndcg_of_list
from pipelines.progress import silent, track
from pipelines.release.store import open_release
from pipelines.tables import table
from pipelines.training.text.pairs import Lists, read_judgments
from retrieval import Query
from retrieval.fusion.relevance import relevance

HERE = Path(__file__).parents[2]
ESCI, TITLES = "esci_us", ("home_depot", "crowdflower")
ESCI_GAINS = {"E": 1.0, "S": 0.1, "C": 0.01, "I": 0.0}
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
CUT = 10
UNTRAINED = ("ranking.train=false", "towers.train=false")

Values = Float64[np.ndarray, "q"]  # nDCG@10 a query


class Judged(NamedTuple):
    """A shop's folder, and for each query the gain of each of its judged products by id."""

    shop: Path
    gains: Lists


class Measured(NamedTuple):
    """nDCG@10 of each query by method, and by weight of the words."""

    methods: dict[str, Values]
    by_weight: dict[float, Values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=1_500, help="at most so many a set, drawn")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    asked = parser.parse_args()
    config = load(None, [*UNTRAINED, *asked.overrides])
    measured: dict[str, Measured] = {}
    for name in (*TITLES, ESCI):
        with tempfile.TemporaryDirectory() as scratch:
            judged = sets(name, asked.data / name, Path(scratch), asked.queries)
            measured[name] = measure(judged, Path(scratch) / "releases", config)
    print(table(("set", "queries", "method", "nDCG@10 (95 %)", "words against it"), rows(measured)))
    print(table(("weight", *measured), weights(measured)))


def sets(name: str, data: Path, scratch: Path, most: int) -> Judged:
    """Import the products of a set, and draw its queries."""
    if name == ESCI:
        mapping = load_mapping(HERE / "configs/mappings/esci.yaml")
        import_table(data / "products.parquet", scratch / "shop", mapping, silent)
        gains: dict[str, dict[str, float]] = {}
        for row in pq.read_table(data / "judgments.parquet").to_pylist():
            gains.setdefault(row["query"], {})[row["asin"]] = ESCI_GAINS[row["esci_label"]]
        return Judged(scratch / "shop", gains)
    lists = drawn(read_judgments(data / "labels.parquet").lists, most)
    ids = {title: f"p{row}" for row, title in enumerate(sorted(set().union(*lists.values())))}
    products = pa.table({"id": list(ids.values()), "title": list(ids)})
    pq.write_table(products, scratch / "products.parquet")
    mapping = ColumnMapping(name=name, columns=ProductColumns(id="id", title="title"))
    import_table(scratch / "products.parquet", scratch / "shop", mapping, silent)
    by_id = {query: {ids[t]: gain for t, gain in titles.items()} for query, titles in lists.items()}
    return Judged(scratch / "shop", by_id)


def drawn(lists: Lists, most: int) -> Lists:
    """Return at most `most` of the queries that have a product that fits, drawn with one seed."""
    queries = sorted(query for query, titles in lists.items() if max(titles.values()) > 0)
    order = np.random.default_rng(0).permutation(len(queries))[:most]
    return {queries[i]: lists[queries[i]] for i in sorted(order)}


def measure(judged: Judged, releases: Path, config: Config) -> Measured:
    """Rank the judged products of each query by every method and weight."""
    build(judged.shop, releases, config, None, track)
    probe = Engine(open_release(releases), config).probe
    methods: dict[str, list[float]] = {}
    default = config.retrieval.words_weight
    by_weight: dict[float, list[float]] = {weight: [] for weight in (*WEIGHTS, default)}
    for query, gains in judged.gains.items():
        given = tuple(sorted(gains))
        found = probe.channel_scores(Query(text=query, candidates=given, k=len(given)))
        cosines = found.scores.get("semantic", np.zeros(len(found.ids), np.float32))
        for name, scores in alone(found, config.retrieval.rrf_k):
            methods.setdefault(name, []).append(ndcg(found.ids, scores, gains))
        for weight in by_weight:
            scores = relevance(cosines, found.word_shares, weight)
            by_weight[weight].append(ndcg(found.ids, scores, gains))
    return Measured(
        {name: np.array(values) for name, values in methods.items()},
        {weight: np.array(values) for weight, values in by_weight.items()},
    )


def alone(found: ChannelScores, rrf_k: float) -> Iterator[tuple[str, Float64[np.ndarray, "c"]]]:
    """Return what needs no weight: each of the two channels, and their reciprocal ranks added."""
    channels = {"BM25 alone": "lexical", "text alone": "semantic"}
    for name, channel in channels.items():
        scores = found.scores.get(channel, np.zeros(len(found.ids)))
        yield name, np.asarray(scores, np.float64)
    said = [found.positions[one] for one in channels.values() if one in found.positions]
    positions = np.stack(said)
    yield "by positions", np.where(positions > 0, 1 / (rrf_k + positions), 0.0).sum(axis=0)


def ndcg(ids: list[str], scores: np.ndarray, gains: Mapping[str, float]) -> float:
    """Return nDCG@10 of an order by score; ties keep the order of the ids."""
    order = np.argsort(-scores.round(6), kind="stable")
    return ndcg_of_list([ids[i] for i in order], gains, CUT)


def rows(measured: Mapping[str, Measured]) -> Iterator[tuple[str, ...]]:
    """Return a line a set and method, with what words add to it, by a weight of the other sets."""
    for name, one in measured.items():
        weight = chosen([other for its, other in measured.items() if its != name])
        ours = one.by_weight[weight]
        default = one.by_weight[load(None, []).retrieval.words_weight]
        methods = one.methods | {f"words x {weight}": ours, "words, default": default}
        for method, values in methods.items():
            mean, low, high = mean_interval(values[:, None])[0]
            gaps = (ours - values)[:, None]
            gap, least, most = mean_interval(gaps)[0]
            p = randomisation_test(gaps)[0]
            beside = (
                "" if values is ours else f"{gap:+.4f} ({least:+.4f} to {most:+.4f}), p {p:.4f}"
            )
            figure = f"{mean:.4f} ({low:.4f} to {high:.4f})"
            yield name, str(len(values)), method, figure, beside


def chosen(others: list[Measured]) -> float:
    """Return the weight that is best on the mean of other sets."""
    return max(WEIGHTS, key=lambda w: float(np.mean([one.by_weight[w].mean() for one in others])))


def weights(measured: Mapping[str, Measured]) -> Iterator[tuple[str, ...]]:
    """Return a line a weight with the mean of each set."""
    for weight in WEIGHTS:
        yield str(weight), *(f"{one.by_weight[weight].mean():.4f}" for one in measured.values())


if __name__ == "__main__":
    run_benchmark(main)
