"""Puts what a request matches into one list: sorted, each group once, cut into pages."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from index import Field
from pipelines.engine.lists.fields import field_for, numbered
from pipelines.engine.stages.eligibility import Eligible
from pipelines.engine.stages.ranked_candidates import RankedCandidates
from pipelines.live.overlay_columns import LiveColumns
from ranking.slate.compose import Page
from retrieval import Candidates, Query
from retrieval.fusion.relevance import bands
from retrieval.types import Collapse, Direction, FacetCounts, Matched, Sort

FITTING = 0.15  # share of the best relevance within which a product counts as matching
Rows = Int64[np.ndarray, "c"]
Numbers = Float64[np.ndarray, "c"]


class Matching(NamedTuple):
    """The products that a request matches; `exact`: all of them, not only those proposed."""

    rows: Rows
    exact: bool


class Listing(NamedTuple):
    """Everything that one list holds, in the order in which its pages show it."""

    ranked: RankedCandidates
    of: int  # products that match
    exact: bool
    rows: Rows  # one of each group
    places: Rows  # of each among the candidates; -1: not among them
    variants: Rows | None  # others of its group that match
    matched: Rows  # all products that match, in any order

    def summary(self, facets: tuple[FacetCounts, ...], *, stale: bool) -> Matched:
        """Return what an answer says of the list."""
        return Matched(
            total=len(self.rows), of=self.of, exact=self.exact, stale=stale, facets=facets
        )

    def page(self, offset: int, k: int) -> Page:
        """Return a part of the list, its positions counted from the list's beginning."""
        cut = slice(offset, offset + k)
        variants = None if self.variants is None else self.variants[cut]
        return Page(self.rows[cut], self.places[cut], offset + 1, variants)


def is_listed(query: Query) -> bool:
    """Tell whether a request asks for a list, not only for its best products."""
    return bool(query.facets or query.sort or query.collapse is not None or query.cursor)


def check_list(query: Query) -> None:
    """Refuse to sort or collapse by what cannot be, with a RequestError."""
    for where, sort in zip(numbered("sort", len(query.sort)), query.sort, strict=True):
        field_for("sorted by", sort.field, f"{where}.field")
    collapsed_field(query.collapse)


def collapsed_field(collapse: Collapse | None) -> Field | None:
    """Return the field whose values are shown once."""
    return None if collapse is None else field_for("collapsed", collapse.field, "collapse.field")


def matching(
    candidates: Candidates, eligible: Eligible, by_words: Rows | None, *, is_search: bool
) -> Matching:
    """Return what a request matches: given products, what holds its words, or all that pass.

    `by_words` are the products that hold all words of a search; None: it has none. Where no
    product holds them all, or a search has no words, these are the candidates that fit it best,
    and there may be more.
    """
    if eligible.given is not None:
        return Matching(eligible.given, exact=True)
    if not is_search:
        return Matching(np.flatnonzero(eligible.allowed), exact=True)
    if by_words is not None and len(by_words):
        return Matching(by_words, exact=True)
    rows = fitting(candidates)
    return Matching(rows, len(rows) == int(np.count_nonzero(eligible.allowed)))


def fitting(candidates: Candidates) -> Rows:
    """Return the candidates next to the most relevant one; all of them where none has a number."""
    if candidates.relevance is None:
        return candidates.rows
    return np.asarray(candidates.rows[bands(candidates.relevance, FITTING) == 0])


def listing(
    query: Query, ranked: RankedCandidates, matched: Matching, columns: LiveColumns
) -> Listing:
    """Return the list of all that match: candidates first, in their order, then the others.

    Sorted by columns where that is asked for, ties as above; of each group the first is kept.
    """
    candidates = ranked.ordered.candidates.rows
    places = np.flatnonzero(np.isin(candidates, matched.rows))
    first = candidates[places]
    beyond = matched.rows[~np.isin(matched.rows, first)]
    rows = np.concatenate([first, beyond])
    places = np.concatenate([places, np.full(len(beyond), -1)])
    if query.sort:
        order = sorted_places(query.sort, rows, columns)
        rows, places = rows[order], places[order]
    of, variants = len(rows), None
    field = collapsed_field(query.collapse)
    if field is not None:
        shown, variants = first_of_each(groups(field, rows, columns))
        rows, places = rows[shown], places[shown]
    return Listing(ranked, of, matched.exact, rows, places, variants, matched.rows)


def sorted_places(sorts: tuple[Sort, ...], rows: Rows, columns: LiveColumns) -> Rows:
    """Return the order of rows by columns, the first one most; a missing value is last."""
    keys: list[Numbers] = []
    for sort in reversed(sorts):  # the last key of a lexsort counts most
        values = sort_values(field_for("sorted by", sort.field, "sort"), rows, columns)
        missing = np.isnan(values)
        values = np.where(missing, 0, values)
        keys += [-values if sort.order is Direction.DESCENDING else values, missing.astype(float)]
    return np.lexsort(keys)


def sort_values(field: Field, rows: Rows, columns: LiveColumns) -> Float64[np.ndarray, "c"]:
    """Return a number a row that orders it by a column, NaN for none; case makes no difference."""
    if columns.is_numeric(field):
        return columns.numbers(field, rows)
    words, pairs = columns.words(field, rows)
    used, codes = np.unique(pairs.codes, return_inverse=True)
    lower = pc.utf8_lower(words.take(pa.array(used)))
    values = np.full(len(rows), np.nan)
    values[pairs.at] = np.asarray(pc.rank(lower, tiebreaker="dense"), np.float64)[codes]
    return values


def groups(field: Field, rows: Rows, columns: LiveColumns) -> Rows:
    """Return a number a row, the same for rows with one value; a row without one stands alone."""
    words, pairs = columns.words(field, rows)
    alone = len(words) + np.arange(len(rows))
    alone[pairs.at] = pairs.codes
    return alone


def first_of_each(numbers: Rows) -> tuple[Rows, Rows]:
    """Return the first place of each group, in order, and how many others it has."""
    _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    order = np.argsort(first)
    return first[order], counts[order] - 1
