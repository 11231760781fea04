"""Evaluates one TREC run, or compares two, with TREC judgments."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from pipelines.evaluation.trec_files import EvaluationError, read_judgments, read_run
from pipelines.metrics.intervals import RESAMPLES, Interval, mean_interval, randomisation_test
from pipelines.metrics.ranked_lists import NAMES, Gains, Rankings, measure

SMALLEST_P = 1 / (1 + RESAMPLES)


class MetricComparison(NamedTuple):
    """One metric of a run and, beside it, of the run to compare with."""

    metric: str
    run: Interval
    against: Interval | None = None
    difference: Interval | None = None  # of the run minus the other, query by query
    p_value: float | None = None


class MeasuredRun(NamedTuple):
    """A run and its metrics: one row a judged query, one column a name in `NAMES`."""

    rankings: Rankings
    values: Float64[np.ndarray, "q m"]


class Evaluation(NamedTuple):
    """The metrics of a run, and their comparison, over all judged queries."""

    num_queries: int
    unanswered: int  # judged, but not in the run: they count as 0
    unjudged: int  # in the run, but not judged: they do not count
    hopeless: int  # judged, but nothing is relevant: they count as 0
    rows: tuple[MetricComparison, ...]

    def table(self) -> str:
        """Write one line a metric, then what the queries were."""
        paired = any(row.p_value is not None for row in self.rows)
        head = f"{'metric':<10}  {'run':>6}  {'95 % interval':<16}"
        if paired:
            head += f"  {'against':>7}  {'difference':>10}  {'95 % interval':<18}  {'p':>8}"
        lines = [head.rstrip(), *(_line(row) for row in self.rows), *self._notes(paired)]
        return "\n".join(lines)

    def _notes(self, paired: bool) -> Iterator[str]:  # noqa: FBT001 - private
        yield f"{self.num_queries:,} judged queries; intervals: bootstrap over queries"
        if paired:
            yield "p: two-sided paired randomisation test, query by query"
        if self.num_queries == 1:
            yield "one query has no interval"
        if self.unanswered:
            yield f"{self.unanswered:,} of them are not in the run and count as 0"
        if self.hopeless:
            yield f"{self.hopeless:,} of them have no relevant product and count as 0"
        if self.unjudged:
            yield f"{self.unjudged:,} queries of the run are not judged and do not count"


def evaluate(run: Path, qrels: Path, against: Path | None = None) -> Evaluation:
    """Measure a run on every judged query, and pair it with another run if there is one."""
    gains = read_judgments(qrels)
    measured = read_measured(run, qrels, gains)
    others = None if against is None else read_measured(against, qrels, gains)
    return summary(gains, measured, others)


def summary(gains: Gains, run: MeasuredRun, against: MeasuredRun | None = None) -> Evaluation:
    """Return every metric over all judged queries, and what the queries were."""
    rankings = run.rankings
    return Evaluation(
        num_queries=len(gains),
        unanswered=len(gains.keys() - rankings.keys()),
        unjudged=len(rankings.keys() - gains.keys()),
        hopeless=sum(not any(gain > 0 for gain in wanted.values()) for wanted in gains.values()),
        rows=compare(run.values, None if against is None else against.values),
    )


def compare(
    values: Float64[np.ndarray, "q m"],
    others: Float64[np.ndarray, "q m"] | None = None,
    names: Sequence[str] = NAMES,
) -> tuple[MetricComparison, ...]:
    """Return one entry a metric, from one row a query of a run and perhaps of another."""
    runs = mean_interval(values)
    if others is None:
        return tuple(MetricComparison(name, run) for name, run in zip(names, runs, strict=True))
    differences = values - others
    columns = zip(
        names,
        runs,
        mean_interval(others),
        mean_interval(differences),
        map(float, randomisation_test(differences)),
        strict=True,
    )
    return tuple(MetricComparison(*column) for column in columns)


def read_measured(run: Path, qrels: Path, gains: Gains) -> MeasuredRun:
    """Read a run and measure it on the judgments that were read from `qrels`."""
    rankings = read_run(run)
    if not gains.keys() & rankings.keys():
        raise EvaluationError(
            f"{run} and {qrels} have no query in common (the first ones are "
            f"{next(iter(rankings))!r} and {next(iter(gains))!r}); made for other requests?"
        )
    return MeasuredRun(rankings, measure(rankings, gains))


def _line(row: MetricComparison) -> str:
    text = f"{row.metric:<10}  {row.run.mean:6.4f}  {_ends(row.run):<16}"
    if row.against is None or row.difference is None or row.p_value is None:
        return text.rstrip()
    p = f"<{SMALLEST_P:.4f}" if row.p_value <= SMALLEST_P else f"{row.p_value:.4f}"
    return (
        f"{text}  {row.against.mean:>7.4f}  {row.difference.mean:>+10.4f}  "
        f"{_ends(row.difference, sign='+'):<18}  {p:>8}"
    )


def _ends(interval: Interval, sign: str = "") -> str:
    return (
        "-"
        if math.isnan(interval.low)
        else (f"[{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]")
    )
