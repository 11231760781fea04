"""Compares a TREC run, or two, with TREC judgments."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from pipelines.errors import UserError
from pipelines.metrics import (
    NAMES,
    RESAMPLES,
    Gains,
    Interval,
    Rankings,
    mean_interval,
    measure,
    randomisation_test,
)

RUN_LINE = "query Q0 product position score tag"
QRELS_LINE = "query 0 product gain"
LONGEST_LINE = 100_000  # bytes; a longer one is no line of these files
SHOWN_CHARACTERS = 80  # of a line that a message repeats
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SMALLEST_P = 1 / (1 + RESAMPLES)


class EvaluationError(UserError):
    """A run or judgments that cannot be measured; names file and line."""


class Compared(NamedTuple):
    """One metric of a run and, beside it, of the run that it is compared with."""

    metric: str
    run: Interval
    against: Interval | None = None
    difference: Interval | None = None  # of the run minus the other, query by query
    p_value: float | None = None


class Measured(NamedTuple):
    """A run, and what it reaches: one row a judged query, one column a name in `NAMES`."""

    rankings: Rankings
    values: Float64[np.ndarray, "q m"]


class Evaluation(NamedTuple):
    """What was measured, over all judged queries."""

    num_queries: int
    unanswered: int  # judged, but not in the run: they count as 0
    unjudged: int  # in the run, but not judged: they do not count
    hopeless: int  # judged, but nothing is relevant: they count as 0
    rows: tuple[Compared, ...]

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


def summary(gains: Gains, run: Measured, against: Measured | None = None) -> Evaluation:
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
) -> tuple[Compared, ...]:
    """Return one entry a metric, from one row a query of a run and perhaps of another."""
    runs = mean_interval(values)
    if others is None:
        return tuple(Compared(name, run) for name, run in zip(names, runs, strict=True))
    differences = values - others
    columns = zip(
        names,
        runs,
        mean_interval(others),
        mean_interval(differences),
        map(float, randomisation_test(differences)),
        strict=True,
    )
    return tuple(Compared(*column) for column in columns)


def read_run(path: Path) -> Rankings:
    """Return each query's products by descending score; equal scores by descending id.

    The position column is not looked at, and ties fall as in trec_eval.
    """
    scored: dict[str, dict[str, float]] = {}
    for where, words in _lines(path, RUN_LINE):
        query, _, product, _, score, _ = words
        if product in scored.setdefault(query, {}):
            raise EvaluationError(f"{where}: product {product!r} stands twice in query {query!r}")
        scored[query][product] = _number(where, "score", score)
    return {
        query: [p for _, p in sorted(((s, p) for p, s in products.items()), reverse=True)]
        for query, products in scored.items()
    }


def read_qrels(path: Path) -> Gains:
    """Return the gain of each judged product; gains may be fractions, above 0 is relevant."""
    gains: dict[str, dict[str, float]] = {}
    for where, words in _lines(path, QRELS_LINE):
        query, _, product, gain = words
        if product in gains.setdefault(query, {}):
            raise EvaluationError(f"{where}: product {product!r} is judged twice in {query!r}")
        gains[query][product] = _number(where, "gain", gain)
    if not any(gain > 0 for wanted in gains.values() for gain in wanted.values()):
        raise EvaluationError(f"{path} holds no relevant product: every gain is 0 or less")
    return gains


def read_judgments(path: Path) -> Gains:
    """Return the judgments by query id, so that no figure depends on the order of lines."""
    return dict(sorted(read_qrels(path).items()))


def read_measured(run: Path, qrels: Path, gains: Gains) -> Measured:
    """Read a run and measure it on the judgments that were read from `qrels`."""
    rankings = read_run(run)
    if not gains.keys() & rankings.keys():
        raise EvaluationError(
            f"{run} and {qrels} have no query in common (the first ones are "
            f"{next(iter(rankings))!r} and {next(iter(gains))!r}); made for other requests?"
        )
    return Measured(rankings, measure(rankings, gains))


def _lines(path: Path, expected: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the words of each line with its place; EvaluationError unless there are as many."""
    count = len(expected.split())
    empty = True
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=1):
                if len(line) == LONGEST_LINE:
                    raise EvaluationError(
                        f"{path}, line {number}: longer than {LONGEST_LINE:,} bytes; "
                        f"expected lines of `{expected}`"
                    )
                words = _decoded(f"{path}, line {number}", line).split()
                if not words:
                    continue
                empty = False
                if len(words) != count:
                    raise EvaluationError(
                        f"{path}, line {number}: {len(words)} words where {count} are expected "
                        f"({expected}): {_brief(line)}"
                    )
                yield f"{path}, line {number}", words
    except OSError as e:
        raise EvaluationError(f"{path}: {e.strerror}; expected a file of `{expected}`") from None
    if empty:
        raise EvaluationError(f"{path} is empty; expected lines of `{expected}`")


def _decoded(where: str, line: bytes) -> str:
    try:
        return line.removeprefix(BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError:
        raise EvaluationError(f"{where}: not UTF-8 text") from None


def _number(where: str, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise EvaluationError(f"{where}: the {name} {text[:SHOWN_CHARACTERS]!r} is no number")
    return number


def _brief(line: bytes) -> str:
    text = line.decode(errors="replace").strip()
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")


def _line(row: Compared) -> str:
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
