"""The objective of tuning: next-basket metrics on one half of the shoppers; the other reports."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import xxhash
from jaxtyping import Float64

from pipelines.engine.engine import Engine
from pipelines.errors import ConfigError, TrainingError
from pipelines.evaluation.next_basket import AskMethod, Holdout, NextBasket, rank_by_release
from pipelines.metrics.ranked_lists import ndcg_of_list
from pipelines.progress import silent
from retrieval import Stage

CHUNKS = 5  # parts of the choosing half, after each of which a trial may be given up
MOST_CHOOSING = 500  # shoppers; more would cost time, and hardly choose otherwise
LEAST_SHOPPERS = 4  # of each half
LARGEST_K = 1_000

Judge = Callable[[Sequence[str], NextBasket, int], float]


def _ndcg(ranking: Sequence[str], test: NextBasket, k: int) -> float:
    return ndcg_of_list(ranking, dict.fromkeys(test.bought, 1.0), k)


def _recall(ranking: Sequence[str], test: NextBasket, k: int) -> float:
    return len(set(ranking[:k]) & set(test.bought)) / len(test.bought)


class MeasureKind(NamedTuple):
    """One kind of measure: how its requests are made and its answers scored."""

    judge: Judge
    stage: Stage
    given: bool  # the products to rank are given


KINDS = {
    "ndcg": MeasureKind(
        _ndcg, Stage.RANKING, given=True
    ),  # how well every ranked product is ordered
    "recall": MeasureKind(
        _recall, Stage.RETRIEVAL, given=False
    ),  # what retrieval finds in the whole shop
}


class Measure(NamedTuple):
    """One figure of a release, between 0 and 1, the higher the better."""

    name: str
    k: int

    @property
    def kind(self) -> MeasureKind:
        """How it asks and judges."""
        return KINDS[self.name]

    @property
    def ranks(self) -> bool:
        """Whether the ranker has a say in it."""
        return self.kind.stage is Stage.RANKING

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"


def read_measure(text: str) -> Measure:
    """Read `ndcg@20` or `recall@500`."""
    name, _, k = text.lower().partition("@")
    if name not in KINDS or not k.isdecimal() or not 1 <= int(k[:9]) <= LARGEST_K:
        kinds = " or ".join(f"{kind}@K" for kind in KINDS)
        raise ConfigError(f"measure {text[:80]!r}: expected {kinds} with K from 1 to {LARGEST_K:,}")
    return Measure(name, int(k))


class ShopperSplit(NamedTuple):
    """The halves of the judged shoppers, by a hash of their id; no shopper is in both."""

    choosing: Holdout
    reporting: Holdout


def split_shoppers(held: Holdout) -> ShopperSplit:
    """Divide the shoppers, each half in the order of the hash; of the first at most 500."""
    by_hash = sorted((xxhash.xxh3_64_intdigest(test.user_id.encode()), test) for test in held.tests)
    chosen, reported = (tuple(t for mark, t in by_hash if mark % 2 == side) for side in (0, 1))
    if min(len(chosen), len(reported)) < LEAST_SHOPPERS:
        raise TrainingError(
            f"{len(held.tests)} shoppers of the shop have a basket to foretell at or after the "
            f"moment, and were seen before it; {LEAST_SHOPPERS} are needed in each half; take an "
            "earlier --until"
        )
    return ShopperSplit(held._replace(tests=chosen[:MOST_CHOOSING]), held._replace(tests=reported))


def judge(held: Holdout, engine: Engine, measure: Measure) -> Float64[np.ndarray, "q"]:
    """Return the figure of each shopper."""
    kind = measure.kind
    way = AskMethod(kind.stage, measure.k, kind.given)
    found = rank_by_release(held, engine, silent, way)
    return np.array([kind.judge(found[t.user_id], t, measure.k) for t in held.tests], np.float64)


def chunks(held: Holdout) -> Iterator[Holdout]:
    """Yield the shoppers in a few parts."""
    for part in np.array_split(np.arange(len(held.tests)), min(CHUNKS, len(held.tests))):
        yield held._replace(tests=tuple(held.tests[i] for i in part))
