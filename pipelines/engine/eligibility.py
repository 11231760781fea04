"""What a request may be answered with: the products that pass, those that are given or marked."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import FilterError, RowLookup
from pipelines.errors import RequestError
from pipelines.live.snapshot import CatalogueSnapshot
from retrieval import Candidates, Query
from retrieval.types import Filtered

Find = Callable[[CatalogueSnapshot, tuple[str, ...]], RowLookup]


class Marked(NamedTuple):
    """Products that a request likes (above 0) or dislikes (below 0)."""

    rows: Int64[np.ndarray, "l"]
    weights: Float32[np.ndarray, "l"]
    missing: tuple[str, ...]


UNMARKED = Marked(np.empty(0, np.int64), np.empty(0, np.float32), ())


class Eligible(NamedTuple):
    """What a request may be answered with."""

    view: CatalogueSnapshot  # the products as they are while it is answered
    allowed: Bool[np.ndarray, "n"]
    given: Int64[np.ndarray, "c"] | None  # "rank just these"
    missing: tuple[str, ...]  # named, but not in this release
    marked: Marked


def eligible_for(view: CatalogueSnapshot, query: Query, shown_where: str, find: Find) -> Eligible:
    """Return what a request may be answered with, or RequestError.

    `shown_where` is the filter that every window is under; given products are not.
    """
    chosen, marked = _chosen(view, query.filter), _marked(view, query)
    shown = view.allowed(shown_where)
    if query.candidates is None:
        allowed = shown if chosen is None else shown & chosen
        if len(marked.rows):
            allowed = allowed.copy()
            allowed[marked.rows] = False
        return Eligible(view, allowed, None, marked.missing, marked)
    found = find(view, query.candidates)
    given = found.rows if chosen is None else found.rows[chosen[found.rows]]
    return Eligible(view, shown, given, (*found.missing, *marked.missing), marked)


def find(view: CatalogueSnapshot, candidates: tuple[str, ...]) -> RowLookup:
    """Return where given products stand, each once."""
    found = view.rows_of(list(dict.fromkeys(candidates)))
    found.rows.setflags(write=False)  # others get it, too
    return found


def filtered_by(scope: Eligible, candidates: Candidates) -> Filtered | None:
    """Return how many products might be shown and how they were searched; None: all might."""
    passed, products = int(np.count_nonzero(scope.allowed)), scope.view.num_products
    if scope.given is not None or passed == products:
        return None
    return Filtered(
        passed=passed,
        of=products,
        exact=all(searched.exactness == 1 for searched in candidates.searched.values()),
        channels=candidates.searched,
    )


def _chosen(view: CatalogueSnapshot, text: str) -> Bool[np.ndarray, "n"] | None:
    if not text.strip():
        return None
    try:
        return view.allowed(text)
    except FilterError as e:
        raise RequestError("filter", str(e)) from None


def _marked(view: CatalogueSnapshot, query: Query) -> Marked:
    both = query.liked.keys() & query.disliked.keys()
    if both:
        raise RequestError("disliked", f"{min(both)!r} is liked as well; name it once")
    marks = {**query.liked, **{name: -mark for name, mark in query.disliked.items()}}
    if not marks:
        return UNMARKED
    found = view.rows_of(list(marks))
    known = [name for name in marks if name not in set(found.missing)]
    weights = np.array([marks[name] for name in known], np.float32)
    return Marked(found.rows, weights, found.missing)
