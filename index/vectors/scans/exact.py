"""Exact search on the processor: compares a query with every vector; the reference for recall."""

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index.top_k import best
from index.types import Hits
from index.vectors.scans.vector_scan import VectorScan
from index.vectors.validation import fit_vectors


class ExactIndex(VectorScan):
    """Inner products with all vectors, by one matrix product."""

    def __init__(self, vectors: Float32[np.ndarray, "n d"]) -> None:
        super().__init__(fit_vectors(vectors, "index"))

    def _scan(
        self, queries: Float32[np.ndarray, "q d"], k: int, allowed: Bool[np.ndarray, "n"] | None
    ) -> list[Hits]:
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
