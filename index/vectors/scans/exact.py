"""Exact search on the processor: compares a query with every vector; the reference for recall."""

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index.top_k import best
from index.types import Hits
from index.vectors.validation import fit_vectors, same_dimension


class ExactIndex:
    """Inner products with all vectors, by one matrix product."""

    def __init__(self, vectors: Float32[np.ndarray, "n d"]) -> None:
        self._vectors = fit_vectors(vectors, "index")

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return int(self._vectors.shape[1])

    @property
    def size(self) -> int:
        """How many vectors there are."""
        return len(self._vectors)

    def search(
        self,
        queries: Float32[np.ndarray, "q d"],
        k: int,
        allowed: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Hits]:
        """Return the `k` highest inner products of each query, ties by the lower row."""
        queries = fit_vectors(queries, "query")
        same_dimension(queries, self.dim)
        rows = np.arange(self.size) if allowed is None else np.flatnonzero(allowed)
        return [scan(self._vectors, rows, query, k) for query in queries]


def scan(
    vectors: Float32[np.ndarray, "n d"],
    rows: Int64[np.ndarray, "m"],
    query: Float32[np.ndarray, "d"],
    k: int,
) -> Hits:
    """Return the best `k` among these rows."""
    scores = vectors @ query if len(rows) == len(vectors) else vectors[rows] @ query
    return best(rows, scores, k)
