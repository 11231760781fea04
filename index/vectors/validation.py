"""Validates vectors where they enter: shape, dimension, and finite numbers that are not all 0."""

from typing import Any

import numpy as np
from jaxtyping import Float32
from scipy.linalg.blas import snrm2

from index.errors import DimensionMismatch, UnfitVectors

LARGEST = 1e4  # an embedding beyond this is a fault, and its square nears float32's end


def fit_vectors(vectors: Any, what: str) -> Float32[np.ndarray, "n d"]:
    """Return `vectors` as contiguous float32, or UnfitVectors that names the first bad row.

    Refused are NaN, infinities, numbers beyond 10,000 and vectors of zero length: FAISS takes
    them without a word and answers nonsense.
    """
    matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise UnfitVectors(f"{what}: expected a matrix, one vector a row, got shape {matrix.shape}")
    if _plainly_fit(matrix):
        return matrix
    peaks = np.abs(matrix).max(axis=1, initial=0)  # NaN spreads, so one pass finds everything
    for wrong, fault in (
        (np.isnan(peaks), "is not a number"),
        (np.isinf(peaks), "is infinite"),
        (peaks > LARGEST, f"has a number beyond {LARGEST:,.0f}"),
        (peaks == 0, "has zero length"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UnfitVectors(
                f"{what}: vector {row} of {len(matrix)} {fault} ({int(wrong.sum())} such in all); "
                "the model that made it, or its input, is broken"
            )
    return matrix


def _plainly_fit(matrix: Float32[np.ndarray, "n d"]) -> bool:
    """Return whether the lengths of the vectors show at once that they are fit.

    No number is larger than the length of its vector, and NaN passes no comparison.
    """
    if len(matrix) == 1:  # one query, for which a call of numpy more is felt
        return bool(0 < snrm2(matrix[0]) <= LARGEST)
    squares = np.einsum("nd,nd->n", matrix, matrix)
    return bool(((squares > 0) & (squares <= LARGEST**2)).all())


def same_dimension(queries: Float32[np.ndarray, "q d"], dim: int) -> None:
    """Raise DimensionMismatch, with both numbers, unless the queries fit the index."""
    if queries.shape[1] != dim:
        raise DimensionMismatch(
            f"query vectors have {queries.shape[1]} dimensions, but this index holds "
            f"{dim}-dimensional vectors; the query encoder and the index come from different "
            "builds (compare `fingerprints` in the two manifests)"
        )
