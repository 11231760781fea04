"""Puts the lists of several channels into one order: pure functions over columns."""

import numpy as np
from jaxtyping import Float32, Int32, Int64

from index import Hits
from retrieval.types import Candidates


def reciprocal_rank_fusion(
    positions: dict[str, Int32[np.ndarray, "c"]], rrf_k: float
) -> Float32[np.ndarray, "c"]:
    """Return `sum over channels of 1 / (rrf_k + position)`; 0 in `positions` means absent.

    Cormack, Clarke and Büttcher, SIGIR 2009, who propose rrf_k = 60.
    """
    sums = sum(np.where(p > 0, 1.0 / (rrf_k + p), 0.0) for p in positions.values())
    return np.asarray(sums, np.float32)


def fuse(hits: dict[str, Hits], rrf_k: float, limit: int) -> Candidates:
    """Return the best `limit` of all proposed rows, each once; ties by the lower row."""
    rows = np.unique(np.concatenate([h.rows for h in hits.values()] or [np.empty(0, np.int64)]))
    positions = {name: np.zeros(len(rows), np.int32) for name in hits}
    scores = {name: np.zeros(len(rows), np.float32) for name in hits}
    for name, h in hits.items():
        place = np.searchsorted(rows, h.rows)
        positions[name][place] = np.arange(1, len(h.rows) + 1)
        scores[name][place] = h.scores
    return _best(rows, positions, scores, rrf_k, limit)


def fuse_given(
    rows: Int64[np.ndarray, "c"], scores: dict[str, Float32[np.ndarray, "c"]], rrf_k: float
) -> Candidates:
    """Return all given rows in fused order; a channel has no opinion where its score is 0."""
    positions = {name: positions_by_score(column) for name, column in scores.items()}
    return _best(rows, positions, scores, rrf_k, len(rows))


def positions_by_score(scores: Float32[np.ndarray, "c"]) -> Int32[np.ndarray, "c"]:
    """Return positions from 1, best score first, ties by order; 0 where the score is 0."""
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] != 0]
    positions = np.zeros(len(scores), np.int32)
    positions[order] = np.arange(1, len(order) + 1)
    return positions


def _best(
    rows: Int64[np.ndarray, "c"],
    positions: dict[str, Int32[np.ndarray, "c"]],
    scores: dict[str, Float32[np.ndarray, "c"]],
    rrf_k: float,
    limit: int,
) -> Candidates:
    fused = (
        reciprocal_rank_fusion(positions, rrf_k) if positions else np.zeros(len(rows), np.float32)
    )
    candidates = Candidates(rows=rows, fused=fused, positions=positions, scores=scores)
    return take(candidates, np.argsort(-fused, kind="stable")[:limit])


def take(candidates: Candidates, order: Int64[np.ndarray, "o"]) -> Candidates:
    """Return the candidates at these places, in this order."""
    return Candidates(
        rows=candidates.rows[order],
        fused=candidates.fused[order],
        positions={name: column[order] for name, column in candidates.positions.items()},
        scores={name: column[order] for name, column in candidates.scores.items()},
    )
