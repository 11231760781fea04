"""Inner products of chosen rows, read where they lie, by FAISS."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import faiss
import numpy as np
from jaxtyping import Float32, Int64


def row_scores(
    vectors: Float32[np.ndarray, "n d"],
    rows: Int64[np.ndarray, "q m"],
    queries: Float32[np.ndarray, "q d"],
) -> Float32[np.ndarray, "q m"]:
    """Return the inner product of each query with each of its rows; nothing is copied.

    A row below 0 stands for none, and gets minus infinity.
    """
    if vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
        picked = np.asarray(vectors[np.maximum(rows, 0)], np.float32)
        scores = np.einsum("qd,qmd->qm", queries, picked)
        return np.where(rows < 0, -np.inf, scores).astype(np.float32)
    scores = np.full(rows.shape, -np.inf, np.float32)
    arrays = (scores, np.ascontiguousarray(queries), vectors, np.ascontiguousarray(rows))
    pointers = map(faiss.swig_ptr, arrays)
    alone = len(rows) == 1 and faiss.omp_get_max_threads() > 1
    with one_thread() if alone else nullcontext():  # waking others takes longer
        faiss.fvec_inner_products_by_idx(*pointers, vectors.shape[1], *rows.shape)
    return scores


@contextmanager
def one_thread() -> Iterator[None]:
    """Let FAISS use one thread inside of the block; others are not told."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
