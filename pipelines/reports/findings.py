"""The findings of a report, as data: the page is drawn from them, and `--json` writes them."""

import math
from collections.abc import Iterable

import msgspec

from pipelines.evaluation.evaluate import MetricComparison
from pipelines.metrics.intervals import Interval

FORMAT = 1


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a report."""


class Range(Finding, frozen=True, kw_only=True):
    """A mean over queries with its 95 % interval; no ends where one query has none."""

    mean: float
    low: float | None = None
    high: float | None = None


class Figure(Finding, frozen=True, kw_only=True):
    """One metric of both runs; the difference is paired by query."""

    metric: str
    run: Range
    against: Range | None = None
    difference: Range | None = None
    p_value: float | None = None


class Slice(Finding, frozen=True, kw_only=True):
    """Some of the queries; without figures if they are too few."""

    name: str
    num_queries: int
    num_relevant: int  # judged relevant, over these queries, and counted in this slice
    figures: tuple[Figure, ...] = ()


class Family(Finding, frozen=True, kw_only=True):
    """One way to slice the queries: its name, its definition, and the queries of no slice."""

    name: str
    title: str
    definition: str
    slices: tuple[Slice, ...]
    left_out: str = ""


class PerQuery(Finding, frozen=True, kw_only=True):
    """One metric of every judged query, in the order of the query ids."""

    metric: str
    queries: tuple[str, ...]
    run: tuple[float, ...]
    against: tuple[float, ...] | None = None


class SeenProduct(Finding, frozen=True, kw_only=True):
    """A product in the explorer; `gain` is None where nobody judged it for this query."""

    id: str
    title: str = ""
    gain: float | None = None
    positions: tuple[int | None, ...]  # in each run, from 1; None: it is not in the run


class SeenQuery(Finding, frozen=True, kw_only=True):
    """One query of the explorer: its request, its relevant products, and the top of each run."""

    id: str
    chosen: str  # why it is shown
    text: str = ""
    user: str = ""
    at: str = ""
    filter: str = ""
    picture: bool = False
    num_candidates: int | None = None
    bought: tuple[str, ...] = ()  # titles of what the shopper bought last before the cut
    values: tuple[float, ...]  # of each run
    num_relevant: int
    relevant: tuple[SeenProduct, ...]
    top: tuple[tuple[SeenProduct, ...], ...]  # of each run


class Report(Finding, frozen=True, kw_only=True):
    """All findings of the page."""

    format: int = FORMAT
    runs: tuple[str, ...]  # the names of the run and, if there is one, of the other
    release: str | None = None
    cut: str | None = None  # the moment at which the release stopped looking
    num_queries: int
    unanswered: tuple[int, ...]  # judged, but not in each run
    unjudged: tuple[int, ...]  # in each run, but not judged
    hopeless: int
    figures: tuple[Figure, ...]
    families: tuple[Family, ...]
    per_query: PerQuery
    explorer: tuple[SeenQuery, ...]
    lacks: tuple[str, ...]


def figures(rows: Iterable[MetricComparison]) -> tuple[Figure, ...]:
    """Return what was compared, as data."""
    return tuple(
        Figure(
            metric=row.metric,
            run=_range(row.run),
            against=None if row.against is None else _range(row.against),
            difference=None if row.difference is None else _range(row.difference),
            p_value=row.p_value,
        )
        for row in rows
    )


def _range(interval: Interval) -> Range:
    ends = (None if math.isnan(end) else end for end in (interval.low, interval.high))
    low, high = ends
    return Range(mean=interval.mean, low=low, high=high)
