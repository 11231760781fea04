"""What every comparison of a query with all vectors has in common."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Bool, Float32

from index.types import Hits
from index.vectors.validation import fit_vectors, same_dimension


class VectorScan(ABC):
    """Compares queries with vectors in memory, whatever does it."""

    def __init__(self, vectors: Float32[np.ndarray, "n d"]) -> None:
        self._vectors = vectors

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return int(self._vectors.shape[1])

    @property
    def size(self) -> int:
        """How many rows the catalogue has, with a vector or without."""
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
        return self._scan(queries, k, allowed)

    @abstractmethod
    def _scan(
        self, queries: Float32[np.ndarray, "q d"], k: int, allowed: Bool[np.ndarray, "n"] | None
    ) -> list[Hits]:
        """Do the same for queries of the right form."""
