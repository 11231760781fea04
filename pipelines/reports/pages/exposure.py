"""Draws a report on exposure as one HTML page that needs no network."""

from typing import NamedTuple

from markupsafe import Markup

from pipelines.reports import plots
from pipelines.reports.exposure_findings import LEAST_REQUESTS, ExposureReport, Group, Grouped
from pipelines.reports.findings import Range
from pipelines.reports.markup import MARKS, Drawing, render
from pipelines.reports.plots import Bars
from ranking.slate.exposure import RESAMPLES

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
NEW = "not shown before"
GONE = "not shown after"


class GroupingSection(NamedTuple):
    """One grouping with its two drawings."""

    of: Grouped
    shares: Drawing
    ratios: Drawing


def page(report: ExposureReport) -> str:
    """Return the whole page."""
    return render(
        "exposure.html",
        policy=POLICY,
        script=None,
        title=f"{' to '.join(report.runs)}: exposure",
        report=report,
        marks=list(zip(report.runs, MARKS, strict=True)),
        facts=(
            f"{report.num_requests:,} requests · first {report.k} products · release "
            f"{report.release}, which saw nothing from {report.cut} on"
        ),
        groupings=[_grouping(report, one) for one in report.groupings],
        spread_facts=(
            f"How many of the {report.num_products:,} products are shown at all, and how unequally "
            "exposure falls on them: a Gini of 0 is the same for all, 1 is everything for one."
        ),
        lines=_notes(report),
        side=_side,
        new=NEW,
    )


def _grouping(report: ExposureReport, one: Grouped) -> GroupingSection:
    shares = [
        Bars(group.name, [Range(mean=group.before), Range(mean=group.after)])
        for group in one.groups
    ]
    factors = [
        Bars(group.name, [group.ratio] if group.ratio else [], GONE if group.ratio else NEW)
        for group in one.groups
    ]
    return GroupingSection(
        one,
        Drawing(Markup(plots.bars(shares, f"{one.name}-share")), _alt(report, one)),
        Drawing(
            Markup(plots.ratios(factors, f"{one.name}-ratio")),
            "; ".join(f"{group.name}: {_ratio_text(group)}" for group in one.groups),
        ),
    )


def _side(ratio: Range | None) -> str | None:
    """Return `gain` or `loss` where the interval leaves out 1, else None."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    return "gain" if ratio.low > 1 else "loss" if ratio.high < 1 else None


def _notes(report: ExposureReport) -> list[str]:
    notes = [
        "A product at a position has an exposure of 1 / log2(1 + position) (Singh and Joachims, "
        f"2018). Only the first {report.k} products of a request count.",
        f"Intervals hold 95 % of {RESAMPLES:,} bootstrap samples over requests, each request with "
        "both of its lists.",
        f"A group that fewer than {LEAST_REQUESTS} requests show, before or after, has no "
        "interval. Of twenty groups without any change, about one looks changed.",
        "Purchases are baskets before the cut. A group with more exposure than purchases is not "
        "wrong by that: exposure may be given on purpose, to what is new for example.",
        "The catalogue is every product of the release, those that no window shows included.",
    ]
    for run, alone in zip(report.runs, report.alone, strict=True):
        if alone:
            notes.append(f"Requests only in {run}, which do not count: {alone:,}.")
    return notes


def _alt(report: ExposureReport, one: Grouped) -> str:
    first, second = report.runs
    return "; ".join(
        f"{g.name}: {first} {g.before:.1%}, {second} {g.after:.1%}" for g in one.groups
    )


def _ratio_text(group: Group) -> str:
    return NEW if group.ratio is None else f"{group.ratio.mean:.2f}"
