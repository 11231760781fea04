"""Counts the values of fields among the products that match a request."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from index import Field, FilterError, RowCodes, parse, without, written
from index.columns.dictionaries import distinct
from pipelines.engine.lists.fields import field_for, is_number, numbered
from pipelines.engine.lists.listing import Matching, collapsed_field, groups
from pipelines.errors import RequestError
from pipelines.live.overlay_columns import LiveColumns
from retrieval import Query
from retrieval.types import Facet, FacetCounts, FacetValue, Interval

READABLE = (5, 2, 1)  # a limit between intervals is a multiple of one of these by a power of ten

Rows = Int64[np.ndarray, "c"]
Groups = Rows | None  # a number a product, where groups are counted once
Values = Float64[np.ndarray, "c"]
Match = Callable[[str], Matching]  # what the request matches with another filter


class CountedProducts(NamedTuple):
    """The products that one field is counted among."""

    matched: Matching
    groups: Groups


def check_facets(facets: tuple[Facet, ...]) -> None:
    """Refuse what cannot be counted, with a RequestError that names the place."""
    for where, facet in zip(numbered("facets", len(facets)), facets, strict=True):
        field = field_for("counted", facet.field, f"{where}.field")
        if facet.intervals and field.key is None and not is_number(field):
            raise RequestError(
                f"{where}.intervals", f"are of numbers, and {facet.field!r} holds words"
            )
        places = numbered(f"{where}.intervals", len(facet.intervals))
        for place, interval in zip(places, facet.intervals, strict=True):
            _check_interval(interval, place)


def count(query: Query, match: Match, columns: LiveColumns) -> tuple[FacetCounts, ...]:
    """Return the counts that a request asks for; where groups are collapsed, a group counts once.

    A group has every value that one of its products has, as if the value were filtered by.
    """
    counted: dict[str, CountedProducts] = {}  # by filter
    counts = []
    for where, facet in zip(numbered("facets", len(query.facets)), query.facets, strict=True):
        field = field_for("counted", facet.field, f"{where}.field")
        _refuse_words(facet, field, columns, where)
        text = filter_of(facet, field, query.filter, where)
        if text not in counted:
            matched = match(text)
            counted[text] = CountedProducts(matched, groups_of(query, matched.rows, columns))
        counts.append(counts_of(facet, field, counted[text], columns))
    return tuple(counts)


def groups_of(query: Query, rows: Rows, columns: LiveColumns) -> Groups:
    """Return which products are of one group, where the request collapses them."""
    field = collapsed_field(query.collapse)
    return None if field is None else groups(field, rows, columns)


def filter_of(facet: Facet, field: Field, text: str, where: str) -> str:
    """Return the filter that a facet is counted under."""
    if not facet.excluded_filter or not text.strip():
        return text
    try:
        whole = parse(text)
        left = without(whole, field)
    except FilterError as e:
        raise RequestError(f"{where}.excluded_filter", str(e)) from None
    if left is None:
        return ""
    return text if left == whole else written(left)


def counts_of(
    facet: Facet, field: Field, counted: CountedProducts, columns: LiveColumns
) -> FacetCounts:
    """Return the counts of one field."""
    rows, exact = counted.matched
    if is_number(field) or (field.key is not None and facet.intervals):
        numbers = columns.numbers(field, rows)
        intervals = facet.intervals or even_intervals(numbers, facet.limit)
        values = in_intervals(numbers, counted.groups, intervals)
        distinct = len(np.unique(numbers[~np.isnan(numbers)]))
    else:
        words, pairs = columns.words(field, rows)
        counts = by_code(pairs, len(words), counted.groups)
        values = most_frequent(words, counts, facet.limit)
        distinct = int(np.count_nonzero(counts))
    return FacetCounts(
        field=facet.field, values=values, distinct=distinct, exact=exact, of=len(rows)
    )


def by_code(pairs: RowCodes, num_words: int, groups: Groups) -> Int64[np.ndarray, "w"]:
    """Return how many products, or groups, have each word."""
    codes = pairs.codes
    if groups is not None and num_words:
        codes = distinct(groups[pairs.at] * num_words + codes) % num_words
    return np.bincount(codes, minlength=num_words)


def most_frequent(
    words: pa.Array, counts: Int64[np.ndarray, "w"], limit: int
) -> tuple[FacetValue, ...]:
    """Return the words of most products, ties by the word."""
    used = np.flatnonzero(counts)
    table = pa.table({"word": words.take(pa.array(used)), "count": counts[used]})
    keys = [("count", "descending"), ("word", "ascending")]
    best = table.take(pc.select_k_unstable(table, min(limit, len(used)), keys)).to_pylist()
    return tuple(FacetValue(value=row["word"], count=row["count"]) for row in best)


def in_intervals(
    numbers: Values, groups: Groups, intervals: tuple[Interval, ...]
) -> tuple[FacetValue, ...]:
    """Return how many products, or groups, have a number in each interval."""
    return tuple(
        FacetValue(interval=interval, count=_number_in(numbers, groups, interval))
        for interval in intervals
    )


def even_intervals(numbers: Values, limit: int) -> tuple[Interval, ...]:
    """Return at most `limit` intervals, each with about as many of the numbers, none empty.

    What parts them are quantiles, rounded to what is read easily; the ends are open.
    """
    finite = np.sort(numbers[np.isfinite(numbers)])
    if not len(finite):
        return ()
    quantiles = np.quantile(finite, np.linspace(0, 1, limit + 1))
    edges: list[float] = []
    before = 0
    for low, middle, high in zip(quantiles, quantiles[1:], quantiles[2:], strict=False):
        edge = rounded(float(middle), float(high - low) / 2)
        below = int(np.searchsorted(finite, edge))
        if before < below < len(finite):
            edges.append(edge)
            before = below
    return tuple(zip([None, *edges], [*edges, None], strict=True))


def rounded(number: float, gap: float) -> float:
    """Return the multiple of 1, 2 or 5 by a power of ten, at most half the gap, nearest to it."""
    if gap <= 0:
        return number
    power = math.floor(math.log10(gap / 2))
    step = next(s for s in (*READABLE, 1) if s * 10.0**power <= gap / 2 * (1 + 1e-9) or s == 1)
    return round(round(number / (step * 10.0**power)) * step * 10.0**power, max(0, -power))


def _number_in(numbers: Values, groups: Groups, interval: Interval) -> int:
    low, high = interval
    inside = ~np.isnan(numbers)
    if low is not None:
        inside &= numbers >= low
    if high is not None:
        inside &= numbers < high
    return int(np.count_nonzero(inside) if groups is None else len(distinct(groups[inside])))


def _refuse_words(facet: Facet, field: Field, columns: LiveColumns, where: str) -> None:
    """Refuse intervals of an attribute that is not of numbers."""
    if facet.intervals and field.key is not None and not columns.is_numeric(field):
        raise RequestError(f"{where}.intervals", f"are of numbers, and {facet.field!r} holds words")


def _check_interval(interval: Interval, where: str) -> None:
    low, high = interval
    if not all(math.isfinite(end) for end in interval if end is not None):
        raise RequestError(where, f"{list(interval)} has an end that is not a number")
    if low is not None and high is not None and low >= high:
        raise RequestError(
            where, f"{list(interval)} holds nothing; write the lower end first, such as [10, 20]"
        )
