"""The semantic channel: nearest products to the query's words, by text and picture."""

import numpy as np
from jaxtyping import Float32, Int64

from index import Hits, VectorIndex
from retrieval.channels.nearest import nearest
from retrieval.encoded_query import EncodedQuery


class SemanticChannel:
    """Nearest products in the joined space of text and pictures."""

    name = "semantic"

    def __init__(self, index: VectorIndex, vectors: Float32[np.ndarray, "n d"]) -> None:
        self._index = index
        self._vectors = vectors

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the nearest products, or None when the request has no words."""
        if ask.joined_vector is None:
            return None
        return nearest(self._index, ask.joined_vector, k, ask)

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return the cosine of each row with the query, to the last bit whatever the others are."""
        if ask.joined_vector is None:
            return None
        cosines = np.einsum("nd,d->n", self._vectors[rows], ask.joined_vector, dtype=np.float32)
        return np.asarray(cosines)
