"""Measures recall against exact search, and the curve of recall over effort and time."""

from time import process_time
from typing import Protocol

import msgspec
import numpy as np
from jaxtyping import Float32, Float64, Int64

from index.top_k import best
from index.types import Hits, VectorIndex
from index.vectors.validation import fit_vectors

SAME_SCORE = 1e-5  # two scores this near are the same answer
AT_ONCE = 32_768  # vectors compared at once
HALVINGS = 4  # of the gap between the last effort too low and the first that is enough
MOST_TIMED = 50  # queries whose time is taken


class Tunable(VectorIndex, Protocol):
    """An index that can look more or less hard."""

    effort: int
    tuned_for: int

    @property
    def most_effort(self) -> int:
        """Where more effort finds nothing more."""
        ...

    def least_effort(self, k: int) -> int:
        """Return below which a search for `k` looks no less hard."""
        ...


class Point(msgspec.Struct, frozen=True):
    """What one effort finds, and what it takes: processor time of one query asked alone."""

    effort: int
    recall: float
    micros: float


class RecallCurve(msgspec.Struct, frozen=True):
    """Points of rising effort and recall, measured on `queries` queries for their best `k`."""

    k: int
    queries: int
    points: tuple[Point, ...]

    def least(self, recall: float) -> Point | None:
        """Return the point of least effort that finds this much, or None."""
        return next((point for point in self.points if point.recall >= recall), None)


def true_hits(
    vectors: Float32[np.ndarray, "n d"],
    queries: Float32[np.ndarray, "q d"],
    k: int,
    rows: Int64[np.ndarray, "m"] | None = None,
) -> list[Hits]:
    """Return the best `k` of these rows for each query, reading the vectors once, in pieces."""
    rows = np.arange(len(vectors)) if rows is None else rows
    queries = fit_vectors(queries, "query")
    found = [Hits(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        scores = queries @ fit_vectors(vectors[part], "index").T
        found = [_merged(one, part, more, k) for one, more in zip(found, scores, strict=True)]
    return found


def _merged(
    found: Hits, rows: Int64[np.ndarray, "m"], scores: Float32[np.ndarray, "m"], k: int
) -> Hits:
    more = best(rows, scores, k)
    both = np.concatenate([found.rows, more.rows]), np.concatenate([found.scores, more.scores])
    return best(*both, k)


def recall_at_k(
    index: VectorIndex, queries: Float32[np.ndarray, "q d"], truth: list[Hits]
) -> float:
    """Return the share of the true answers that the index finds."""
    shares = recall_of_each(index, queries, truth)
    return float(shares.mean()) if len(shares) else 1.0


def recall_of_each(
    index: VectorIndex, queries: Float32[np.ndarray, "q d"], truth: list[Hits]
) -> Float64[np.ndarray, "a"]:
    """Return the share of its true answers that is found of each query that has any.

    A found vector counts when it is as near as the k-th true one: catalogues are full of equal
    vectors, and any of them is right.
    """
    k = max((len(hits.rows) for hits in truth), default=0)
    shares = [
        np.mean(_padded(found.scores, len(true.scores)) >= true.scores[-1] - SAME_SCORE)
        for found, true in zip(index.search(queries, k), truth, strict=True)
        if len(true.rows)
    ]
    return np.array(shares, np.float64)


def _padded(scores: Float32[np.ndarray, "m"], length: int) -> Float32[np.ndarray, "k"]:
    return np.pad(scores, (0, length - len(scores)), constant_values=-np.inf)


def measured_curve(
    index: Tunable,
    queries: Float32[np.ndarray, "q d"],
    truth: list[Hits],
    target: float,
    spare: float = 0.0,
) -> RecallCurve:
    """Measure doubled efforts until the target is met, then between the last two, then once more.

    An effort that finds no more than a smaller one is left out, so that recall rises along the
    curve. The index is left with the least effort that finds `spare` more than the target, or
    meets it where none does, else with its most.
    """
    k = max((len(hits.rows) for hits in truth), default=0)
    index.tuned_for = max(k, 1)
    recalls = _climbed(index, queries, truth, target + spare)
    points: list[Point] = []
    for effort in sorted(recalls):
        if not points or recalls[effort] > points[-1].recall:
            index.effort = effort
            points.append(Point(effort, recalls[effort], _micros(index, queries, truth)))
    curve = RecallCurve(k, len(queries), tuple(points))
    for aim in (target + spare, target):
        enough = [effort for effort, recall in recalls.items() if recall >= aim]
        if enough:
            break
    index.effort = min(enough, default=index.most_effort)
    return curve


def _climbed(
    index: Tunable, queries: Float32[np.ndarray, "q d"], truth: list[Hits], target: float
) -> dict[int, float]:
    """Return the recall of each effort that was tried."""
    found: dict[int, float] = {}

    def tried(effort: int) -> float:
        index.effort = effort
        return found.setdefault(effort, recall_at_k(index, queries, truth))

    if not index.most_effort:
        return {0: tried(0)}
    k = max((len(hits.rows) for hits in truth), default=1)
    low = high = max(index.least_effort(k), 1)
    while tried(high) < target and high < index.most_effort:
        low, high = high, min(2 * high, index.most_effort)
    if found[high] < target:
        return found
    enough = high
    for _ in range(HALVINGS):
        middle = (low + high) // 2
        if middle <= low:
            break
        low, high = (low, middle) if tried(middle) >= target else (middle, high)
    if enough < index.most_effort:
        tried(min(2 * enough, index.most_effort))
    return found


def _micros(index: Tunable, queries: Float32[np.ndarray, "q d"], truth: list[Hits]) -> float:
    """Return processor time of one query asked alone, which other work on the machine spares."""
    k = max((len(hits.rows) for hits in truth), default=1)
    timed = queries[:MOST_TIMED]
    started = process_time()
    for query in timed:
        index.search(query[None], k)
    return round(1e6 * (process_time() - started) / max(len(timed), 1), 1)
