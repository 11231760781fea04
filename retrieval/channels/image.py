"""The picture channel: nearest products to the query's picture."""

import numpy as np
from jaxtyping import Float32, Int64

from index import Hits, VectorIndex
from retrieval.channels.nearest import nearest
from retrieval.encoded_query import EncodedQuery


class ImageChannel:
    """Nearest products in the picture space; a product without a picture has a zero vector."""

    name = "image"

    def __init__(self, index: VectorIndex, vectors: Float32[np.ndarray, "n d"]) -> None:
        self._index = index
        self._vectors = vectors

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the products that look most alike, or None without a picture."""
        if ask.image_vector is None:
            return None
        return nearest(self._index, ask.image_vector, k, ask)

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return the cosine of each row's picture with the query's."""
        if ask.image_vector is None:
            return None
        return np.asarray(self._vectors[rows] @ ask.image_vector, np.float32)
