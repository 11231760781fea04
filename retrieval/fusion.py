"""Puts the lists of several channels into one order: pure functions over columns."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Int32, Int64

from index import Hits
from retrieval.types import Candidates

EQUAL: Mapping[str, float] = {}  # a channel that is not named weighs 1


def reciprocal_rank_fusion(
    positions: dict[str, Int32[np.ndarray, "c"]],
    rrf_k: float,
    weights: Mapping[str, float] = EQUAL,
) -> Float32[np.ndarray, "c"]:
    """Return `sum over channels of weight / (rrf_k + position)`; 0 in `positions` means absent.

    Cormack, Clarke and Büttcher, SIGIR 2009, who propose rrf_k = 60 and weigh all alike. A channel
    that `weights` does not name weighs 1.
    """
    sums = sum(
        np.where(p > 0, weights.get(name, 1.0) / (rrf_k + p), 0.0) for name, p in positions.items()
    )
    return np.asarray(sums, np.float32)


def fuse(
    hits: dict[str, Hits], rrf_k: float, limit: int, weights: Mapping[str, float] = EQUAL
) -> Candidates:
    """Return the best `limit` of all proposed rows, each once; ties by the lower row."""
    rows = np.unique(np.concatenate([h.rows for h in hits.values()] or [np.empty(0, np.int64)]))
    positions = {name: np.zeros(len(rows), np.int32) for name in hits}
    scores = {name: np.zeros(len(rows), np.float32) for name in hits}
    for name, h in hits.items():
        place = np.searchsorted(rows, h.rows)
        positions[name][place] = np.arange(1, len(h.rows) + 1)
        scores[name][place] = h.scores
    fused = _fused(rows, positions, rrf_k, weights)
    return _best(Candidates(rows=rows, fused=fused, positions=positions, scores=scores), limit)


def fuse_given(
    rows: Int64[np.ndarray, "c"],
    scores: dict[str, Float32[np.ndarray, "c"]],
    rrf_k: float,
    weights: Mapping[str, float] = EQUAL,
) -> Candidates:
    """Return all given rows in fused order; a channel has no opinion where its score is 0."""
    positions = {name: positions_by_score(column) for name, column in scores.items()}
    fused = _fused(rows, positions, rrf_k, weights)
    return _best(
        Candidates(rows=rows, fused=fused, positions=positions, scores=scores),
        len(rows),
    )


def positions_by_score(scores: Float32[np.ndarray, "c"]) -> Int32[np.ndarray, "c"]:
    """Return positions from 1, best score first, ties by order; 0 where the score is 0."""
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] != 0]
    positions = np.zeros(len(scores), np.int32)
    positions[order] = np.arange(1, len(order) + 1)
    return positions


def _fused(
    rows: Int64[np.ndarray, "c"],
    positions: dict[str, Int32[np.ndarray, "c"]],
    rrf_k: float,
    weights: Mapping[str, float],
) -> Float32[np.ndarray, "c"]:
    """Return one number a row: zeros where no channel spoke."""
    if not positions:
        return np.zeros(len(rows), np.float32)
    return reciprocal_rank_fusion(positions, rrf_k, weights)


def _best(candidates: Candidates, limit: int) -> Candidates:
    """Return the best candidates, ties in the order given; what weighs nothing is last."""
    return take(candidates, np.argsort(-candidates.fused, kind="stable")[:limit])


def take(candidates: Candidates, order: Int64[np.ndarray, "o"]) -> Candidates:
    """Return the candidates at these places, in this order."""
    return Candidates(
        rows=candidates.rows[order],
        fused=candidates.fused[order],
        positions={name: column[order] for name, column in candidates.positions.items()},
        scores={name: column[order] for name, column in candidates.scores.items()},
    )
