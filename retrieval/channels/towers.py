"""The towers channel: nearest products to words, habits and scene in the towers' space."""

import numpy as np
from jaxtyping import Float32, Int64

from index import Hits, VectorIndex, distinct
from retrieval.encoded_query import EncodedQuery


class TowersChannel:
    """Nearest products to any of the request's vectors in the towers' space.

    A score is `exp((cosine - 1) / temperature)` of the best vector, in (0, 1]: in proportion to
    the chance that the product is chosen, as the softmax of the training sees it.
    """

    name = "towers"

    def __init__(
        self, index: VectorIndex, vectors: Float32[np.ndarray, "n d"], temperature: float
    ) -> None:
        self._index = index
        self._vectors = vectors
        self._temperature = temperature

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the nearest products, or None when the towers were not asked."""
        if ask.interests is None or not len(ask.interests):
            return None
        found = self._index.search(ask.interests, k, ask.allowed)
        rows = distinct(np.concatenate([hits.rows for hits in found]))
        scores = self._scores(ask.interests, rows)
        order = np.argsort(-scores, kind="stable")[:k]
        plans = [hits.plan for hits in found if hits.plan is not None]
        plan = min(plans, key=lambda plan: plan.exactness, default=None)
        return Hits(rows[order], scores[order], plan)

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return the chance of each row, up to a factor."""
        if ask.interests is None or not len(ask.interests):
            return None
        return self._scores(ask.interests, rows)

    def _scores(
        self, interests: Float32[np.ndarray, "m d"], rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"]:
        cosines = (self._vectors[rows] @ interests.T).max(axis=1)
        return np.asarray(np.exp((cosines - 1) / self._temperature), np.float32)
