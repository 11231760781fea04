"""Draws a report as one HTML page that needs no network, and no script to be read."""

import base64
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from pipelines.evaluation.evaluate import SMALLEST_P
from pipelines.metrics.intervals import LEVEL, RESAMPLES
from pipelines.reports import plots
from pipelines.reports.findings import Family, Figure, Range, Report, Slice
from pipelines.reports.markup import MARKS, Drawing, counted, packaged, render
from pipelines.reports.pages.worst_queries import worst_query_facts
from pipelines.reports.plots import Bars
from pipelines.reports.slices import LEAST_QUERIES, METRICS

TOLD_APART = 0.05  # p below which two runs differ
TOO_FEW = f"fewer than {LEAST_QUERIES} queries: too few to say anything"
SIDES = {"gain": "above", "loss": "below", None: "not told apart from"}


class TableRow(NamedTuple):
    """One line of a table: its figure, or why there is none."""

    name: str
    note: str
    figure: Figure | str


class SliceTable(NamedTuple):
    """One metric of all slices of a family."""

    metric: str
    rows: list[TableRow]


class FamilySection(NamedTuple):
    """One way to slice; `only` is said instead where all queries are in the same slice."""

    title: str
    definition: str
    only: str = ""
    drawing: Drawing | None = None
    tables: Sequence[SliceTable] = ()
    summary: str = ""
    left_out: str = ""


def page(report: Report) -> str:
    """Return the whole page."""
    script = packaged("report.js")
    return render(
        "report.html",
        policy=_policy(script),
        script=Markup(script),
        title=f"{' against '.join(report.runs)}: evaluation",
        report=report,
        marks=list(zip(report.runs, MARKS, strict=False)),
        paired=len(report.runs) > 1,
        facts=_facts(report),
        metrics=_metrics(report),
        metric_rows=[TableRow(one.metric, "", one) for one in report.figures],
        families=[_family(report, family) for family in report.families],
        spread=_spread(report),
        lines=_notes(report),
        told_apart=SIDES,
        number=_number,
        ends=_ends,
        p_text=_p,
        side=_side,
        marked_ranges=lambda figure: list(zip(_ranges(figure), MARKS, strict=False)),
        **worst_query_facts(report),
    )


def _policy(script: str) -> str:
    """Let the browser run our script and our style, and fetch nothing."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _facts(report: Report) -> str:
    facts = [counted(report.num_queries, "judged ")]
    if report.release is not None:
        facts.append(f"release {report.release}, which saw nothing from {report.cut} on")
    return " · ".join(facts)


def _metrics(report: Report) -> Drawing:
    bars = [Bars(one.metric, _ranges(one)) for one in report.figures]
    return Drawing(
        Markup(plots.bars(bars, "metrics")),
        f"Every metric with its 95 % interval. {_alt(bars, report.runs)}",
    )


def _family(report: Report, family: Family) -> FamilySection:
    """Return the slices, or one sentence where all queries are in the same."""
    filled = [one for one in family.slices if one.num_queries]
    if len(filled) == 1 and filled[0].num_queries == report.num_queries and not family.left_out:
        only = f"All {report.num_queries:,} queries are in one slice, {filled[0].name!r}: as above."
        return FamilySection(family.title, family.definition, only)
    bars = [Bars(one.name, _ranges(_of(one, METRICS[0])), TOO_FEW) for one in filled]
    return FamilySection(
        family.title,
        family.definition,
        drawing=Drawing(
            Markup(plots.bars(bars, family.name)),
            f"{METRICS[0]} by slice. {_alt(bars, report.runs)}",
        )
        if any(one.figures for one in filled)
        else None,
        tables=[SliceTable(metric, _slice_rows(family, metric)) for metric in METRICS],
        summary=f"{' and '.join(METRICS[1:])} of these slices",
        left_out=family.left_out,
    )


def _slice_rows(family: Family, metric: str) -> list[TableRow]:
    return [
        TableRow(
            one.name,
            f"{counted(one.num_queries)}, {one.num_relevant:,} relevant",
            _of(one, metric) or (TOO_FEW if one.num_queries else "no such query"),
        )
        for one in family.slices
    ]


def _side(figure: Figure) -> str | None:
    """Return `gain` or `loss` where interval and p both tell the runs apart, else None."""
    change, p = figure.difference, figure.p_value
    if change is None or change.low is None or change.high is None or p is None:
        return None
    if p >= TOLD_APART or change.low <= 0 <= change.high:
        return None
    return "gain" if change.low > 0 else "loss"


def _spread(report: Report) -> Drawing:
    values = report.per_query
    if values.against is None:
        zero, one = (sum(value == end for value in values.run) for end in (0, 1))
        text = (
            f"Of {report.num_queries:,} queries, {zero:,} have {values.metric} 0, "
            f"and {one:,} have 1."
        )
        svg = plots.levels(values.run, "spread")
    else:
        changes = [a - b for a, b in zip(values.run, values.against, strict=True)]
        gained, lost = sum(c > 0 for c in changes), sum(c < 0 for c in changes)
        text = (
            f"Of {report.num_queries:,} queries, {gained:,} are better by {values.metric}, "
            f"{lost:,} worse, and {len(changes) - gained - lost:,} the same, which is not drawn."
        )
        svg = plots.differences(changes, "spread")
    return Drawing(Markup(svg), text)


def _notes(report: Report) -> list[str]:
    notes = [
        f"Intervals hold {LEVEL * 100:.0f} % of {RESAMPLES:,} bootstrap samples over queries.",
        f"Slices with fewer than {LEAST_QUERIES} queries are not measured.",
    ]
    if len(report.runs) > 1:
        notes.append(
            "p is that of a two-sided paired randomisation test, query by query. It is not "
            "corrected for how many slices are looked at: of twenty slices without any "
            "difference, about one looks like one at 0.05."
        )
    for name, unanswered, unjudged in zip(
        report.runs, report.unanswered, report.unjudged, strict=True
    ):
        if unanswered:
            notes.append(f"Judged, but not in {name}, and counted as 0: {counted(unanswered)}.")
        if unjudged:
            notes.append(f"In {name}, but not judged, and not counted: {counted(unjudged)}.")
    if report.hopeless:
        notes.append(f"Without a relevant product, counted as 0: {counted(report.hopeless)}.")
    return [*notes, *report.lacks]


def _alt(bars: Sequence[Bars], runs: Sequence[str]) -> str:
    lines = []
    for one in bars:
        values = [f"{name} {r.mean:.3f}" for name, r in zip(runs, one.ranges, strict=False)]
        lines.append(f"{one.label}: {', '.join(values) or one.note}")
    return "; ".join(lines)


def _of(one: Slice, metric: str) -> Figure | None:
    return next((figure for figure in one.figures if figure.metric == metric), None)


def _ranges(figure: Figure | None) -> list[Range]:
    found = () if figure is None else (figure.run, figure.against)
    return [one for one in found if one is not None]


def _ends(one: Range, sign: str = "") -> str:
    if one.low is None or one.high is None:
        return ""
    return f" ({_number(one.low, sign, 3)} to {_number(one.high, sign, 3)})"


def _number(value: float, sign: str = "", digits: int = 4) -> str:
    return f"{value:{sign}.{digits}f}".replace("-", "\u2212")


def _p(value: float) -> str:
    return f"< {SMALLEST_P:.4f}" if value <= SMALLEST_P else f"{value:.4f}"
