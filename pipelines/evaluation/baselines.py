"""Baseline rankings: popularity, item-kNN, personal frequency."""

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from index import Columns
from pipelines.evaluation.next_basket import Holdout, K
from retrieval.behaviour.purchases import decay
from retrieval.behaviour.tables import Behaviour
from retrieval.channels.habit import RepeatChannel
from retrieval.encoded_query import EncodedQuery
from retrieval.types import local_seconds

HALF_LIFE_DAYS = 60.0
BASELINES = ("popularity", "item-kNN", "personal frequency, half-life 60 days")


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
        ask = EncodedQuery(history=behaviour.history(test.user_id, at), at_seconds=at)
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
        log = behaviour.purchases.entries
        baskets = np.unique(log.baskets, return_inverse=True)[1]
        sizes = np.bincount(log.rows, minlength=behaviour.num_products)
        weights = 1 / np.sqrt(sizes[log.rows])
        self._held = sparse.csr_matrix(
            (weights.astype(np.float32), (log.rows, baskets)),
            shape=(behaviour.num_products, int(baskets.max(initial=0)) + 1),
        )
        self._holding = self._held.T.tocsr()

    def scores(self, ask: EncodedQuery) -> Float64[np.ndarray, "n"]:
        """Return one score a product."""
        weights = decay(ask.at_seconds - ask.history.seconds, HALF_LIFE_DAYS)
        own = np.bincount(ask.history.rows, weights, self._held.shape[0])
        near: np.ndarray = self._held @ (self._holding @ own) - own
        return near
