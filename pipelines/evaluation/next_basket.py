"""Next-basket evaluation: a release that was built before a moment predicts purchases after it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from index import Columns
from pipelines.config.sections import OFFLINE_DEADLINE_MS
from pipelines.engine.engine import Engine
from pipelines.progress import Track
from pipelines.shop.purchases.log import read_purchases
from pipelines.shop.reader import Shop
from retrieval import Query, Scene, Stage
from retrieval.types import local_seconds

LEAST_BOUGHT = 10  # times before the moment, for a product to be ranked
SMALLEST_BASKET = 4
K = 100


class AskMethod(NamedTuple):
    """How a release is asked for the next basket: last stage, depth, and the products to rank."""

    stage: Stage  # that answers at most
    k: int  # how many products
    given: bool  # rank just those of the holdout, or propose any that is shown


RANKED = AskMethod(Stage.RANKING, K, given=True)


class NextBasket(NamedTuple):
    """One shopper's first basket after the moment."""

    user_id: str
    at: datetime
    bought: tuple[str, ...]


class Holdout(NamedTuple):
    """The products to rank, and each shopper's basket that should rank first."""

    product_ids: tuple[str, ...]
    tests: tuple[NextBasket, ...]


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
        NextBasket(str(log.user_ids[user]), moment, tuple(ids[rows].tolist()))
        for user, moment, rows in _first_baskets(*(column[keep] for column in bought))
    )
    return Holdout(tuple(ids[ranked].tolist()), tests)


def rank_by_release(
    held: Holdout, engine: Engine, track: Track, way: AskMethod = RANKED
) -> dict[str, list[str]]:
    """Return the release's own ranking for each shopper."""
    answers = {}
    for test in track(held.tests, "rank the next basket", len(held.tests)):
        query = Query(
            user=test.user_id,
            scene=Scene(at=test.at),
            candidates=held.product_ids if way.given else None,
            k=way.k,
            deadline_ms=OFFLINE_DEADLINE_MS,
        )
        answers[test.user_id] = [p.product.id for p in engine.answer(query, way.stage).products]
    return answers


def judged(held: Holdout) -> dict[str, dict[str, float]]:
    """Return a gain of 1 for each product that a shopper's basket held."""
    return {test.user_id: dict.fromkeys(test.bought, 1.0) for test in held.tests}


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
