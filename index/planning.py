"""Chooses an index by size, and how hard it must look by measuring recall."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from index.exact import ExactIndex
from index.faiss_index import FaissIndex
from index.types import Hits, VectorIndex

FLAT_BELOW = 20_000  # vectors; comparing them all takes a few milliseconds
SAME_SCORE = 1e-5  # two scores this near are the same answer


class Planned(NamedTuple):
    """An index with what it was measured to find."""

    built: FaissIndex
    factory: str
    effort: int
    recall: float


def plan(num_vectors: int) -> str:
    """Return the FAISS factory string for this many vectors: flat, or an inverted file."""
    if num_vectors < FLAT_BELOW:
        return "Flat"
    cells = 2 ** int(np.round(np.log2(4 * np.sqrt(num_vectors))))
    return f"IVF{min(cells, num_vectors // 39)},Flat"  # FAISS wants 39 vectors a cell


def build_index(  # noqa: PLR0913 - what is indexed, and what it must reach
    vectors: Float32[np.ndarray, "n d"],
    queries: Float32[np.ndarray, "q d"],
    *,
    factory: str = "",
    rows: Int64[np.ndarray, "m"] | None = None,
    k: int = 100,
    recall_target: float = 0.95,
    trained: Path | None = None,
) -> Planned:
    """Build the index and raise its effort until recall@k on these queries meets the target.

    An index that misses the target at its most effort is replaced by a flat one, unless the
    factory was asked for by name. `trained` is a file of such an index, whose training is kept:
    its cells were found on vectors much like these.
    """
    rows = np.arange(len(vectors)) if rows is None else rows
    factory_used = factory or plan(len(rows))
    kept = None if trained is None else FaissIndex.refilled(trained, vectors, factory_used, rows)
    index = kept or FaissIndex.build(vectors, factory_used, rows)
    truth = ExactIndex(vectors[rows]).search(queries, k)
    recall = _tune(index, queries, truth, recall_target)
    if recall < recall_target and not factory:
        factory_used, index = "Flat", FaissIndex.build(vectors, "Flat", rows)
        recall = recall_at_k(index, queries, truth)
    return Planned(index, factory_used, index.effort, recall)


def recall_at_k(
    index: VectorIndex, queries: Float32[np.ndarray, "q d"], truth: list[Hits]
) -> float:
    """Return the share of the true answers that the index finds.

    A found vector counts when it is as near as the k-th true one: catalogues are full of equal
    vectors, and any of them is right.
    """
    k = max((len(hits.rows) for hits in truth), default=0)
    shares = [
        np.mean(_padded(found.scores, len(true.scores)) >= true.scores[-1] - SAME_SCORE)
        for found, true in zip(index.search(queries, k), truth, strict=True)
        if len(true.rows)
    ]
    return float(np.mean(shares)) if shares else 1.0


def _padded(scores: Float32[np.ndarray, "m"], length: int) -> Float32[np.ndarray, "k"]:
    return np.pad(scores, (0, length - len(scores)), constant_values=-np.inf)


def _tune(
    index: FaissIndex, queries: Float32[np.ndarray, "q d"], truth: list[Hits], target: float
) -> float:
    effort = 16
    while True:
        index.effort = effort
        recall = recall_at_k(index, queries, truth)
        if recall >= target or effort >= index.most_effort:
            return recall
        effort *= 2
