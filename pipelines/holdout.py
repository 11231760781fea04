"""The next-basket measurement: trained before a moment, asked for what was bought after it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import sparse

from index import Columns
from pipelines import metrics
from pipelines.engine import Engine
from pipelines.metrics import Interval
from pipelines.progress import Track
from pipelines.purchases import read_purchases
from pipelines.shop import Shop
from pipelines.tables import table
from retrieval import Query, Scene, Stage
from retrieval.ask import Ask
from retrieval.behaviour import Behaviour, decay
from retrieval.channels.habit import RepeatChannel
from retrieval.types import local_seconds

LEAST_BOUGHT = 10  # times before the moment, for a product to be ranked
SMALLEST_BASKET = 4
K = 100


NO_HURRY_MS = 60_000
HALF_LIFE_DAYS = 60.0
BASELINES = ("popularity", "item-kNN", "personal frequency, half-life 60 days")


class Measured(NamedTuple):
    """What one method reaches."""

    method: str
    ndcg: Interval
    recall: Interval
    ahead: Interval  # of personal frequency, in nDCG@20, shopper by shopper


class Way(NamedTuple):
    """How a release is asked for the next basket."""

    stage: Stage  # that answers at most
    k: int  # how many products
    given: bool  # rank just those of the holdout, or propose any that is shown


RANKED = Way(Stage.RANKING, K, given=True)


class Test(NamedTuple):
    """One shopper's first basket after the moment."""

    user_id: str
    at: datetime
    bought: tuple[str, ...]


class Holdout(NamedTuple):
    """What is ranked, and what it should have been."""

    product_ids: tuple[str, ...]
    tests: tuple[Test, ...]


def hold_out(
    shop: Shop, products: Columns, shown: Bool[np.ndarray, "n"], until: datetime
) -> Holdout:
    """Return the first basket of at least four ranked products from `until` on, by shopper.

    Ranked are the shown products that were bought at least ten times before `until`; shoppers
    are those who were seen before it.
    """
    log = read_purchases(shop, products, None)
    bought = log.purchases
    border = local_seconds(until)
    times = np.bincount(bought.rows[bought.seconds < border], minlength=products.size)
    ranked = (times >= LEAST_BOUGHT) & shown
    seen = np.zeros(len(log.user_ids), bool)
    seen[bought.users[(bought.seconds < border) & ranked[bought.rows]]] = True
    keep = (bought.seconds >= border) & ranked[bought.rows] & seen[bought.users]
    ids = np.array(products.ids)
    tests = tuple(
        Test(str(log.user_ids[user]), moment, tuple(ids[rows].tolist()))
        for user, moment, rows in _first_baskets(*(column[keep] for column in bought))
    )
    return Holdout(tuple(ids[ranked].tolist()), tests)


def rank_by_release(
    held: Holdout, engine: Engine, track: Track, way: Way = RANKED
) -> dict[str, list[str]]:
    """Return the release's own ranking for each shopper."""
    answers = {}
    for test in track(held.tests, "rank the next basket", len(held.tests)):
        query = Query(
            user=test.user_id,
            scene=Scene(at=test.at),
            candidates=held.product_ids if way.given else None,
            k=way.k,
            deadline_ms=NO_HURRY_MS,
        )
        answers[test.user_id] = [p.product.id for p in engine.answer(query, way.stage).products]
    return answers


def rank_by_baselines(
    held: Holdout, behaviour: Behaviour, products: Columns
) -> dict[str, dict[str, list[str]]]:
    """Return the rankings of popularity, item-kNN and personal frequency, from one history.

    Personal frequency counts half after 60 days; whoever it says nothing about is ordered by
    popularity.
    """
    rows = products.rows_of(list(held.product_ids)).rows
    popularity = behaviour.statistics.baskets
    tie = popularity / (1 + popularity.max()) * 1e-6
    repeat = RepeatChannel(behaviour, HALF_LIFE_DAYS)
    neighbours = BasketNeighbours(behaviour)
    found: dict[str, dict[str, list[str]]] = {name: {} for name in BASELINES}
    ids = np.array(held.product_ids)
    for test in held.tests:
        at = local_seconds(test.at)
        ask = Ask(history=behaviour.history(test.user_id, at), at_seconds=at)
        own = repeat.score(ask, rows)
        scores = (
            popularity[rows],
            neighbours.scores(ask)[rows],
            (own if own is not None else 0) + tie[rows],
        )
        for name, column in zip(BASELINES, scores, strict=True):
            found[name][test.user_id] = ids[np.argsort(-column, kind="stable")[:K]].tolist()
    return found


class BasketNeighbours:
    """Item-kNN: each product's cosine with what a shopper bought, summed over the purchases.

    A product is the set of baskets that held it (Sarwar et al., WWW 2001), without shrinkage and
    over all neighbours; a purchase weighs half after 60 days. A product is not its own neighbour.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        log = behaviour.log
        baskets = np.unique(log.baskets, return_inverse=True)[1]
        sizes = np.bincount(log.rows, minlength=behaviour.num_products)
        weights = 1 / np.sqrt(sizes[log.rows])
        self._held = sparse.csr_matrix(
            (weights.astype(np.float32), (log.rows, baskets)),
            shape=(behaviour.num_products, int(baskets.max(initial=0)) + 1),
        )
        self._holding = self._held.T.tocsr()

    def scores(self, ask: Ask) -> Float64[np.ndarray, "n"]:
        """Return one score a product."""
        weights = decay(ask.at_seconds - ask.history.seconds, HALF_LIFE_DAYS)
        own = np.bincount(ask.history.rows, weights, self._held.shape[0])
        near: np.ndarray = self._held @ (self._holding @ own) - own
        return near


def judged(held: Holdout) -> dict[str, dict[str, float]]:
    """Return a gain of 1 for each product that a shopper's basket held."""
    return {test.user_id: dict.fromkeys(test.bought, 1.0) for test in held.tests}


def measure(rankings: dict[str, dict[str, list[str]]], held: Holdout) -> list[Measured]:
    """Return what each method reaches, and how far it is from personal frequency."""
    gains = judged(held)
    values = {name: metrics.measure(ranked, gains) for name, ranked in rankings.items()}
    habit = values[BASELINES[-1]]
    found = []
    for name, column in values.items():
        reached = dict(zip(metrics.NAMES, metrics.mean_interval(column), strict=True))
        ahead = dict(zip(metrics.NAMES, metrics.mean_interval(column - habit), strict=True))
        found.append(Measured(name, reached["nDCG@20"], reached["recall@20"], ahead["nDCG@20"]))
    return found


def holdout_table(measured: list[Measured], held: Holdout) -> str:
    """Write the measurement as a table."""
    rows = [
        (
            m.method,
            f"{m.recall.mean:.4f}",
            f"{m.ndcg.mean:.4f}",
            f"{m.ndcg.low:.4f} to {m.ndcg.high:.4f}",
            f"{m.ahead.mean:+.4f} ({m.ahead.low:+.4f} to {m.ahead.high:+.4f})",
        )
        for m in measured
    ]
    headers = ("next basket", "recall@20", "nDCG@20", "95 % interval", "ahead of the habit")
    return table(headers, rows) + (
        f"{len(held.tests):,} shoppers, each ranking {len(held.product_ids):,} products; "
        "nothing after the release's moment was seen"
    )


def _first_baskets(
    users: np.ndarray, rows: np.ndarray, seconds: np.ndarray, baskets: np.ndarray
) -> Iterator[tuple[int, datetime, Int64[np.ndarray, "b"]]]:
    order = np.lexsort((baskets, seconds, users))
    users, rows, seconds, baskets = (c[order] for c in (users, rows, seconds, baskets))
    starts = np.flatnonzero(np.diff(baskets, prepend=-1) | np.diff(users, prepend=-1))
    done = -1
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        distinct = np.unique(rows[start:end])
        if users[start] != done and len(distinct) >= SMALLEST_BASKET:
            done = users[start]
            at = datetime.fromtimestamp(int(seconds[start]), UTC).replace(tzinfo=None)
            yield int(done), at, distinct
