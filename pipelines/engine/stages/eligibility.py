"""Which products are eligible for a request: filtered, given, or marked."""

from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import FilterError, RowLookup, parse, read_operators, single_values, written
from pipelines.errors import RequestError
from pipelines.live.snapshot import CatalogueSnapshot
from retrieval import Candidates, Query
from retrieval.types import Filtered

Permitted = Callable[[CatalogueSnapshot, str], Bool[np.ndarray, "n"] | None]
MOST_VALUES = 32  # of a filter that are looked up in an explained answer
CACHED_LOOKUPS = 1  # who ranks the same products for many shoppers sends them again


class MarkedProducts(NamedTuple):
    """Products that a request likes (above 0) or dislikes (below 0)."""

    rows: Int64[np.ndarray, "l"]
    weights: Float32[np.ndarray, "l"]
    missing: tuple[str, ...]


UNMARKED = MarkedProducts(np.empty(0, np.int64), np.empty(0, np.float32), ())


class Eligible(NamedTuple):
    """The products that a request may be answered with."""

    snapshot: CatalogueSnapshot  # the products as they are while it is answered
    allowed: Bool[np.ndarray, "n"]
    given: Int64[np.ndarray, "c"] | None  # "rank just these"
    missing: tuple[str, ...]  # named, but not in this release
    marked: MarkedProducts
    where: str = ""  # the filter of the request

    def filtered_by(self, candidates: Candidates) -> Filtered | None:
        """Return how many products are eligible and how they were searched; None: all are."""
        passed, products = int(np.count_nonzero(self.allowed)), self.snapshot.num_products
        if self.given is not None or passed == products:
            return None
        return Filtered(
            passed=passed,
            of=products,
            exact=all(searched.exactness == 1 for searched in candidates.searched.values()),
            channels=candidates.searched,
            unknown=self._unknown_values(),
        )

    def _unknown_values(self) -> tuple[str, ...]:
        """Return the conditions of the filter that name a value which no product has."""
        if not self.where.strip():
            return ()
        named = map(written, islice(single_values(parse(self.where)), MOST_VALUES))
        return tuple(text for text in named if not self.snapshot.allowed(text).any())


class Eligibility:
    """Decides which products are eligible, under the filter of every answer and a request's own."""

    def __init__(self, visible: str, permitted: Permitted | None = None) -> None:
        """Hide what does not pass `visible`, except from a request that names its candidates.

        `permitted` says what the operators of a search permit, where words are searched.
        """
        self._visible = visible
        self._permitted = permitted
        self._rows_of = lru_cache(CACHED_LOOKUPS)(rows_of)

    def of(self, query: Query, snapshot: CatalogueSnapshot) -> Eligible:
        """Return the products that are eligible for a request, or RequestError."""
        chosen, marked = _chosen(snapshot, query.filter), _marked(snapshot, query)
        visible = snapshot.allowed(self._visible)
        if query.candidates is None:
            allowed = visible if chosen is None else visible & chosen
            allowed = _without(allowed, marked.rows)
            if self._permitted and read_operators(query.text).only_exclude:
                permitted = self._permitted(snapshot, query.text)
                allowed = allowed if permitted is None else allowed & permitted
            return Eligible(snapshot, allowed, None, marked.missing, marked, query.filter)
        lookup = self._rows_of(snapshot, query.candidates)
        given = lookup.rows if chosen is None else lookup.rows[chosen[lookup.rows]]
        return Eligible(snapshot, visible, given, (*lookup.missing, *marked.missing), marked)


def rows_of(snapshot: CatalogueSnapshot, candidates: tuple[str, ...]) -> RowLookup:
    """Return the rows of given products, each once."""
    lookup = snapshot.rows_of(list(dict.fromkeys(candidates)))
    lookup.rows.setflags(write=False)  # other requests get the same array
    return lookup


def _without(allowed: Bool[np.ndarray, "n"], rows: Int64[np.ndarray, "l"]) -> Bool[np.ndarray, "n"]:
    if not len(rows):
        return allowed
    allowed = allowed.copy()
    allowed[rows] = False
    return allowed


def _chosen(snapshot: CatalogueSnapshot, text: str) -> Bool[np.ndarray, "n"] | None:
    if not text.strip():
        return None
    try:
        return snapshot.allowed(text)
    except FilterError as e:
        raise RequestError("filter", str(e)) from None


def _marked(snapshot: CatalogueSnapshot, query: Query) -> MarkedProducts:
    both = query.liked.keys() & query.disliked.keys()
    if both:
        raise RequestError("disliked", f"{min(both)!r} is liked as well; name it once")
    marks = {**query.liked, **{name: -mark for name, mark in query.disliked.items()}}
    if not marks:
        return UNMARKED
    lookup = snapshot.rows_of(list(marks))
    present = [name for name in marks if name not in set(lookup.missing)]
    weights = np.array([marks[name] for name in present], np.float32)
    return MarkedProducts(lookup.rows, weights, lookup.missing)
