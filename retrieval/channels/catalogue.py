"""The catalogue channel: products of every category, for a shop that knows of no purchases yet."""

from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int32, Int64

from index import Hits
from retrieval.channels.habit import best
from retrieval.encoded_query import EncodedQuery


class CatalogueChannel:
    """The first product of each category, the largest category first, then the second of each.

    A shopper sees what the shop has, not one shelf of it; the same request has the same answer.
    """

    name = "catalogue"

    def __init__(self, categories: Int32[np.ndarray, "n"]) -> None:
        self._categories = categories

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the first `k` products of this order."""
        return best(self._scores, k, ask)

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return a number from 0 to 1 that falls along the order."""
        return np.asarray(self._scores[rows])

    @cached_property
    def _scores(self) -> Float32[np.ndarray, "n"]:
        _, category, sizes = np.unique(self._categories, return_inverse=True, return_counts=True)
        grouped = np.argsort(category, kind="stable")
        turn = np.empty(len(category), np.int64)  # of each product within its category
        turn[grouped] = np.arange(len(category)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        order = np.lexsort((category, -sizes[category], turn))
        scores = np.empty(len(category), np.float32)
        scores[order] = 1 - np.arange(len(category)) / max(len(category), 1)
        return scores
