"""Puts the lists of several channels into one order: pure functions over columns."""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from index import Hits, distinct
from retrieval.types import Candidates

LOWEST: Mapping[str, float] = {"semantic": -1.0, "image": -1.0}  # cosines; the others: 0
EQUAL: Mapping[str, float] = {}  # a channel that is not named weighs 1


def reciprocal_rank_fusion(
    positions: dict[str, Int32[np.ndarray, "c"]],
    rrf_k: float,
    weights: Mapping[str, float] = EQUAL,
) -> Float32[np.ndarray, "c"]:
    """Return `sum over channels of weight / (rrf_k + position)`; 0 in `positions` means absent.

    Cormack, Clarke and Büttcher, SIGIR 2009, who propose rrf_k = 60 and weigh all alike. A channel
    that `weights` does not name weighs 1; where all that spoke weigh 0, they weigh 1.
    """
    weights = _heard(positions, weights)
    sums = sum(
        np.where(p > 0, weights.get(name, 1.0) / (rrf_k + p), 0.0) for name, p in positions.items()
    )
    return np.asarray(sums, np.float32)


def score_fusion(
    scores: Mapping[str, Float32[np.ndarray, "c"]],
    scales: Mapping[str, float],
    weights: Mapping[str, float] = EQUAL,
) -> Float32[np.ndarray, "c"]:
    """Return `sum over channels of weight * log(1 + score / scale)`; below 0 counts as 0.

    A channel without a scale has no vote: nothing tells how much its numbers mean. The logarithm
    keeps twenty purchases of one product from outweighing every other reason. Weights as in
    `reciprocal_rank_fusion`.
    """
    rows = len(next(iter(scores.values()), ()))
    sums = np.zeros(rows, np.float32)
    names = sorted(scores.keys() & scales.keys())  # one order of adding, one result
    weights = _heard(names, weights)
    for name in names:
        sums += np.float32(weights.get(name, 1.0)) * share(scores[name], scales[name])
    return sums


def convex_fusion(
    scores: Mapping[str, Float32[np.ndarray, "c"]],
    weights: Mapping[str, float] = EQUAL,
    *,
    theoretical: bool,
) -> Float32[np.ndarray, "c"]:
    """Return `sum over channels of weight * normalised score`, the weights made to add up to 1.

    Bruch, Gai and Ingber, An Analysis of Fusion Functions for Hybrid Retrieval (TOIS 2023).
    Weights as in `reciprocal_rank_fusion`.
    """
    weights = _heard(scores, weights)
    total = sum(weights.get(name, 1.0) for name in scores) or 1.0
    sums = np.zeros(len(next(iter(scores.values()), ())), np.float32)
    for name in sorted(scores):  # one order of adding, one result
        low = LOWEST.get(name, 0.0) if theoretical else None
        sums += np.float32(weights.get(name, 1.0) / total) * normalised(scores[name], low)
    return sums


def normalised(
    scores: Float32[np.ndarray, "c"], low: float | None = None
) -> Float32[np.ndarray, "c"]:
    """Return `(score - low) / (highest - low)`; without `low`, the lowest of these scores is it.

    A score of 0 is no opinion and stays 0; where all opinions are alike they are 1.
    """
    held = scores != 0
    if not held.any():
        return np.zeros_like(scores)
    least, most = scores[held].min() if low is None else np.float32(low), scores[held].max()
    spread = (scores - least) / (most - least) if most > least else np.ones_like(scores)
    return np.asarray(np.where(held, spread, 0), np.float32)


def share(scores: Float32[np.ndarray, "c"], scale: float) -> Float32[np.ndarray, "c"]:
    """Return what a channel of weight 1 adds to each row by score."""
    return np.asarray(np.log1p(np.maximum(scores, 0) / np.float32(scale)), np.float32)


def fuse(
    hits: Mapping[str, Hits], rrf_k: float, limit: int, weights: Mapping[str, float] = EQUAL
) -> Candidates:
    """Return the best `limit` of all proposed rows by position, each once; ties by the lower row.

    Scores are those of the proposals, 0 where a channel did not propose the row.
    """
    rows = proposed(hits)
    scores = {name: np.zeros(len(rows), np.float32) for name in hits}
    for name, places in _places(hits, rows).items():
        scores[name][places] = hits[name].scores
    positions = positions_in(hits, rows)
    fused = _fused(rows, positions, rrf_k, weights)
    return _best(Candidates(rows=rows, fused=fused, positions=positions, scores=scores), limit)


def fuse_scored(
    hits: Mapping[str, Hits],
    scores: dict[str, Float32[np.ndarray, "c"]],
    scales: Mapping[str, float],
    limit: int,
    weights: Mapping[str, float] = EQUAL,
) -> Candidates:
    """Return the best `limit` of all proposed rows by score, each once; ties by the lower row.

    `scores` are every channel's of all `proposed` rows, whoever proposed them.
    """
    rows = proposed(hits)
    fused = score_fusion(scores, scales, weights) if scores else np.zeros(len(rows), np.float32)
    positions = positions_in(hits, rows)
    return _best(Candidates(rows=rows, fused=fused, positions=positions, scores=scores), limit)


def fuse_normalised(
    hits: Mapping[str, Hits],
    scores: dict[str, Float32[np.ndarray, "c"]],
    limit: int,
    weights: Mapping[str, float] = EQUAL,
    *,
    theoretical: bool,
) -> Candidates:
    """Return the best `limit` of all proposed rows by normalised score, as `fuse_scored` does."""
    rows = proposed(hits)
    fused = convex_fusion(scores, weights, theoretical=theoretical)
    positions = positions_in(hits, rows)
    return _best(Candidates(rows=rows, fused=fused, positions=positions, scores=scores), limit)


def fuse_relevant(
    hits: Mapping[str, Hits],
    scores: dict[str, Float32[np.ndarray, "c"]],
    relevances: Float32[np.ndarray, "c"],
    limit: int,
    enough: Bool[np.ndarray, "c"],
) -> Candidates:
    """Return the best `limit` of those proposed rows that are relevant enough, by relevance."""
    rows = proposed(hits)
    candidates = Candidates(
        rows=rows,
        fused=relevances,
        positions=positions_in(hits, rows),
        scores=scores,
        relevance=relevances,
    )
    return _best(take(candidates, np.flatnonzero(enough)), limit)


def fuse_given(
    rows: Int64[np.ndarray, "c"],
    scores: dict[str, Float32[np.ndarray, "c"]],
    rrf_k: float,
    weights: Mapping[str, float] = EQUAL,
    scales: Mapping[str, float] | None = None,
    *,
    theoretical: bool | None = None,
) -> Candidates:
    """Return all given rows in fused order, by score where `scales` are given, else by position.

    By normalised score where `theoretical` says how. A channel has no opinion where its score is 0.
    """
    positions = {name: positions_by_score(column) for name, column in scores.items()}
    if scores and theoretical is not None:
        fused = convex_fusion(scores, weights, theoretical=theoretical)
    elif scales and scores:
        fused = score_fusion(scores, scales, weights)
    else:
        fused = _fused(rows, positions, rrf_k, weights)
    return _best(
        Candidates(rows=rows, fused=fused, positions=positions, scores=scores),
        len(rows),
    )


def proposed(hits: Mapping[str, Hits]) -> Int64[np.ndarray, "c"]:
    """Return the rows that any channel proposed, each once, ascending."""
    return distinct(np.concatenate([h.rows for h in hits.values()] or [np.empty(0, np.int64)]))


def positions_in(
    hits: Mapping[str, Hits], rows: Int64[np.ndarray, "c"]
) -> dict[str, Int32[np.ndarray, "c"]]:
    """Return each channel's positions of the `proposed` rows; 0 where it did not propose one."""
    positions = {name: np.zeros(len(rows), np.int32) for name in hits}
    for name, places in _places(hits, rows).items():
        positions[name][places] = np.arange(1, len(places) + 1)
    return positions


def _places(
    hits: Mapping[str, Hits], rows: Int64[np.ndarray, "c"]
) -> dict[str, Int64[np.ndarray, "k"]]:
    """Return where the rows that each channel proposed stand among the `proposed` rows.

    A table by row instead of searches among them: there are a few thousand places to find.
    """
    table = np.empty(int(rows[-1]) + 1 if len(rows) else 0, np.int64)
    table[rows] = np.arange(len(rows))
    return {name: table[h.rows] for name, h in hits.items()}


def positions_by_score(scores: Float32[np.ndarray, "c"]) -> Int32[np.ndarray, "c"]:
    """Return positions from 1, best score first, ties by order; 0 where the score is 0."""
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] != 0]
    positions = np.zeros(len(scores), np.int32)
    positions[order] = np.arange(1, len(order) + 1)
    return positions


def _heard(names: Iterable[str], weights: Mapping[str, float]) -> Mapping[str, float]:
    """Return the weights, or equal ones where nobody else spoke: a stranger gets an order, too."""
    return weights if any(weights.get(name, 1.0) > 0 for name in names) else EQUAL


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
        relevance=None if candidates.relevance is None else candidates.relevance[order],
        searched=candidates.searched,
        silent=candidates.silent,
    )
