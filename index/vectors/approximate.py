"""The base of approximate indexes: rows, filters, and exact scores of what was found."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64
from msgspec import structs

from index.arrays import map_array, save_array
from index.top_k import best
from index.types import FilterPlan, Hits, Way
from index.vectors.filtered_search import (
    SPARE,
    IndexShape,
    choose,
    scans_bytes,
    search_until_stable,
)
from index.vectors.scans.byte_codes import ByteCodes
from index.vectors.scans.row_scores import row_scores
from index.vectors.validation import fit_vectors, same_dimension

NEARLY_ALL = 0.9  # share of the rows; if more pass, a filter seldom goes against a query

Found = tuple[Int64[np.ndarray, "q m"], Float32[np.ndarray, "q m"]]  # places and scores


class ApproximateIndex(ABC):
    """Search by inner product over the rows that have a vector.

    `rows` are the places of the vectors among `size` rows of the catalogue: a product without a
    picture has no vector in the picture space, and is never found there. Where the index holds
    its vectors compressed, `deeper` times as many as asked for are fetched, and those are scored
    again from the vectors themselves; 0: the scores are those of the index.
    """

    tuned_for = 100  # answers, for which the effort was chosen
    recall = 0.0  # that was measured without a filter, when the effort was chosen; 0: never
    codes: ByteCodes | None = None  # of the same rows, to scan those that pass a filter

    def __init__(
        self,
        vectors: Float32[np.ndarray, "n d"],
        rows: Int64[np.ndarray, "m"],
        deeper: float = 0.0,
    ) -> None:
        self._vectors = vectors
        self._plain = np.asarray(vectors)  # the same memory, without the slow class of a map
        self._rows = np.asarray(rows)
        self._complete = len(rows) == len(vectors)
        self._rows_are_places = bool((self._rows == np.arange(len(rows))).all())
        self._count, self._dim = len(self._rows), int(self._plain.shape[1])
        self.deeper = deeper

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return self._dim

    @property
    def size(self) -> int:
        """How many rows the catalogue has, with a vector or without."""
        return len(self._vectors)

    @property
    def rows(self) -> Int64[np.ndarray, "m"]:
        """Which rows of the catalogue have a vector."""
        return self._rows

    @property
    @abstractmethod
    def effort(self) -> int:
        """How hard a search looks; 0: it compares everything."""

    @effort.setter
    @abstractmethod
    def effort(self, value: int) -> None: ...

    @property
    @abstractmethod
    def most_effort(self) -> int:
        """Where more effort finds nothing more."""

    def least_effort(self, k: int) -> int:
        """Return below which a search for `k` looks no less hard: in a graph, `k` nodes."""
        return self._depth(k)

    @property
    @abstractmethod
    def shape(self) -> IndexShape:
        """What the choice of a way to search among filtered rows needs to know."""

    def search(
        self,
        queries: Float32[np.ndarray, "q d"],
        k: int,
        allowed: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Hits]:
        """Return at most `k` hits a query; with a filter, each says how it was searched."""
        queries = fit_vectors(queries, "query")
        same_dimension(queries, self._dim)
        if allowed is None:
            return self._unfiltered(queries, min(k, self._count))
        held = allowed if self._complete else allowed[self._rows]
        plan = choose(self.shape, int(np.count_nonzero(held)), k)
        return [self._among(query[None], k, held, plan) for query in queries]

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the index, and which rows it holds."""

    def _save_tuning(self, path: Path) -> None:
        save_array(path, np.array([self.deeper, self.recall]))

    @abstractmethod
    def _nearest(self, queries: Float32[np.ndarray, "q d"], depth: int) -> Found:
        """Return places, -1 where fewer were found, with the scores of the index."""

    def _looks(
        self, query: Float32[np.ndarray, "1 d"], k: int, held: Bool[np.ndarray, "m"]
    ) -> Callable[[int], Hits]:
        """Return what finds the best `k` with a given effort: here, rows that are fetched."""
        return lambda depth: self._filtered(query, k, held, depth)

    def _unfiltered(self, queries: Float32[np.ndarray, "q d"], k: int) -> list[Hits]:
        if k == 0:
            return [Hits(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        places, scores = self._nearest(queries, self._depth(k))
        if len(queries) == 1 and self._is_plain(places, scores):
            return [Hits(places[0], scores[0])]
        return self._hits(queries, places, scores, k)

    def _is_plain(
        self, places: Int64[np.ndarray, "1 m"], scores: Float32[np.ndarray, "1 m"]
    ) -> bool:
        """Return whether what a library found, best first, is the answer: no ties, no padding."""
        if self.deeper or not self._rows_are_places or places.item(-1) < 0:
            return False
        return not (scores[0, 1:] == scores[0, :-1]).any()

    def _depth(self, k: int) -> int:
        """Return how many are fetched for the best `k`."""
        wanted = max(int(k * self.deeper), k) if self.deeper else k
        return min(wanted, self._count)

    def _hits(
        self,
        queries: Float32[np.ndarray, "q d"],
        places: Int64[np.ndarray, "q m"],
        scores: Float32[np.ndarray, "q m"],
        k: int,
    ) -> list[Hits]:
        """Return the best `k` of each query, ties by the lower row; -1, the padding, ends here."""
        if self.deeper:
            return self._scored_again(queries, places, k)
        rows = places if self._rows_are_places else self._rows[places]
        padded = places.size > 0 and places.min() < 0
        if padded:
            rows = np.where(places < 0, -1, rows)
        rows, scores = in_order(rows, scores)
        if rows.shape[1] > k:
            rows, scores = rows[:, :k], scores[:, :k]
        if padded:
            kept = [row >= 0 for row in rows]
            return [Hits(r[p], s[p]) for r, s, p in zip(rows, scores, kept, strict=True)]
        return [Hits(*pair) for pair in zip(rows, scores, strict=True)]

    def _scored_again(
        self, queries: Float32[np.ndarray, "q d"], places: Int64[np.ndarray, "q m"], k: int
    ) -> list[Hits]:
        if places.size and places.min() < 0:
            kept = [row[row >= 0] for row in places]
            if len(kept) > 1:
                pairs = zip(queries, kept, strict=True)
                return [self._scored_again(q[None], p[None], k)[0] for q, p in pairs]
            places = kept[0][None]
        rows = places if self._rows_are_places else self._rows[places]
        scores = row_scores(self._plain, rows, queries)
        return [best(*pair, k) for pair in zip(rows, scores, strict=True)]

    def _among(
        self,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        held: Bool[np.ndarray, "m"],
        plan: FilterPlan,
    ) -> Hits:
        """Search as planned; where that proves too little, compare every row that passes."""
        if plan.way is not Way.SCAN and plan.passed >= NEARLY_ALL * plan.of:
            found = self._overfetched(query, k, held, plan)
            if found is not None:
                return found
        codes = self.codes if scans_bytes(self.shape, plan.passed, k) else None
        scan = None
        if codes is not None and plan.passed < NEARLY_ALL * plan.of:
            scan = codes.estimate(self._plain, query, k, held)
        if plan.way is not Way.SCAN:
            looks = scan is None or not scan.is_crowded
            found = (
                search_until_stable(self._looks(query, k, held), plan, self.shape, k)
                if looks
                else None
            )
            if found is not None:
                return found
            plan = structs.replace(plan, way=Way.SCAN, effort=0, exactness=1.0)
        if codes is not None:
            among = codes.best(scan or codes.estimate(self._plain, query, k, held))
            if among is not None:
                plan = structs.replace(plan, exactness=among.exactness)
                return Hits(among.hits.rows, among.hits.scores, plan)
        rows = self._rows[np.flatnonzero(held)]
        [scores] = row_scores(self._plain, rows[None], query)
        hits = best(rows, scores, k)
        return Hits(hits.rows, hits.scores, plan)

    def _overfetched(
        self,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        held: Bool[np.ndarray, "m"],
        plan: FilterPlan,
    ) -> Hits | None:
        """Search without the filter, deeper, and drop what does not pass; None: that left too few.

        The best `k` that pass are among the best of all, which the index finds as surely as
        without a filter.
        """
        depth = ceil(SPARE * k * plan.of / plan.passed)
        hits = self._filtered(query, k, held, depth)
        if len(hits.rows) < min(k, plan.passed):
            return None
        how = structs.replace(plan, way=Way.OVERFETCH, effort=depth, exactness=self.recall)
        return structs.replace(hits, plan=how)

    def _filtered(
        self, query: Float32[np.ndarray, "1 d"], k: int, held: Bool[np.ndarray, "m"], depth: int
    ) -> Hits:
        """Fetch this many rows and keep the best `k` that pass."""
        places, scores = self._nearest(query, self._depth(depth))
        passes = (places[0] >= 0) & held[places[0]]
        [hits] = self._hits(query, places[:, passes], scores[:, passes], k)
        return hits


class Tuning(NamedTuple):
    """How much deeper an index searches, and the recall that was measured so."""

    deeper: float
    recall: float


def opened_tuning(path: Path) -> Tuning:
    """Return what an index was saved with."""
    return Tuning(*map_array(path).tolist())


def in_order(
    rows: Int64[np.ndarray, "q m"], scores: Float32[np.ndarray, "q m"]
) -> tuple[Int64[np.ndarray, "q m"], Float32[np.ndarray, "q m"]]:
    """Return both with the best first, ties by the lower row; what is in order is not sorted."""
    mixed = np.flatnonzero(~(scores[:, 1:] < scores[:, :-1]).all(axis=1))
    if not len(mixed):
        return rows, scores
    if len(mixed) == len(rows):
        return _sorted(rows, scores)
    rows, scores = rows.copy(), scores.copy()
    rows[mixed], scores[mixed] = _sorted(rows[mixed], scores[mixed])
    return rows, scores


def _sorted(
    rows: Int64[np.ndarray, "q m"], scores: Float32[np.ndarray, "q m"]
) -> tuple[Int64[np.ndarray, "q m"], Float32[np.ndarray, "q m"]]:
    order = np.argsort(-scores, axis=1)
    found = np.take_along_axis(scores, order, 1)
    if (found[:, 1:] == found[:, :-1]).any():
        order = np.lexsort((rows, -scores), axis=1)
        found = np.take_along_axis(scores, order, 1)
    return np.take_along_axis(rows, order, 1), found
