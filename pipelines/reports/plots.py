"""Draws plots as SVG inside a page; one of two modules that import matplotlib."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any, NamedTuple
from warnings import catch_warnings, filterwarnings

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipelines.reports.findings import Range
from ranking.calibration.reliability import Reliability

WIDTH = 4.8  # inches, so that letters can be read on a phone
ROW = 0.24  # inches a bar takes
BINS = 41  # of differences: the one in the middle holds 0
LEAST_END = 0.1  # of the axis of differences
FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20, 50, 100)
FARTHEST = 120.0  # of the axis of ratios; what is beyond is not drawn
# What is drawn in these colours takes those of the page, which has a light and a dark form.
COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--soft)",
    "#030303": "var(--line)",
    "#040404": "var(--run)",
    "#050505": "var(--against)",
    "#060606": "var(--gain)",
    "#070707": "var(--loss)",
}
INK, SOFT, LINE, RUN, AGAINST, GAIN, LOSS = COLOURS
STYLE: Any = {
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",  # letters stay letters, in the font of the page
    "svg.hashsalt": "vetrina",  # the same figure is the same file
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": SOFT,
    "ytick.color": INK,
}
HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
ASIDE = re.compile(r"\s*<metadata>.*?</metadata>|\s*<style[^>]*>.*?</style>", re.DOTALL)
SIZE = re.compile(r'(<svg\b[^>]*?) width="[^"]*"')
HEIGHT = re.compile(r'(<svg\b[^>]*?) height="[^"]*"')
ID = re.compile(r' id="([^"]*)"')


class Bars(NamedTuple):
    """One label and its bars, one a run; without bars the note is shown instead."""

    label: str
    ranges: Sequence[Range]
    note: str = ""


def bars(groups: Sequence[Bars], name: str) -> str:
    """Draw means as bars with their intervals, one below the other, in one scale."""
    places, labels = [], []
    with _figure(sum(max(len(g.ranges), 1) + 0.9 for g in groups) * ROW + 0.35) as (axes, page):
        top = 0.0
        for group in groups:
            height = max(len(group.ranges), 1)
            places.append(top + (height - 1) / 2)
            labels.append(group.label)
            if not group.ranges:
                axes.text(0, top, f"  {group.note}", va="center", color=SOFT, style="italic")
            for number, one in enumerate(group.ranges):
                _bar(axes, top + number, one, (RUN, AGAINST)[number])
            top += height + 0.9
        axes.set_yticks(places, labels)
        axes.set_ylim(top - 0.5, -0.9)
        ends = [end for g in groups for r in g.ranges for end in (r.mean, r.high or 0)]
        axes.set_xlim(0, max([*ends, 0.1]) * 1.13)
    return _inline(page[0], name)


def ratios(groups: Sequence[Bars], name: str) -> str:
    """Draw ratios as points with their intervals around 1, on an axis of equal factors."""
    drawn = [one for g in groups for one in g.ranges if one.mean > 0]
    ends = [end for one in drawn for end in (one.mean, one.low, one.high) if end]
    reach = min(max([1.3, *ends, *(1 / end for end in ends)]) * 1.1, FARTHEST)
    with _figure(len(groups) * ROW * 1.5 + 0.6) as (axes, page):
        axes.axvline(1, color=SOFT, linewidth=0.8)
        for place, group in enumerate(groups):
            if one := next((one for one in group.ranges if one.mean > 0), None):
                _point(axes, place, one)
            else:
                axes.text(1, place, f"  {group.note}", va="center", color=SOFT, style="italic")
        axes.set_yticks(range(len(groups)), [group.label for group in groups])
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.set_xscale("log")
        axes.set_xlim(1 / reach, reach * reach**0.35)  # room for the numbers
        shown = [tick for tick in FACTORS if 1 / reach <= tick <= reach]
        axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
        axes.minorticks_off()
    return _inline(page[0], name)


def differences(changes: Sequence[float], name: str) -> str:
    """Draw how per-query differences are spread around 0; those of exactly 0 are left out."""
    changed = np.array([change for change in changes if change])
    end = max(np.ceil(np.abs(changed).max(initial=0) * 10) / 10, LEAST_END)
    edges = np.linspace(-end, end, BINS + 1)
    counts, _ = np.histogram(changed, edges)
    middles = (edges[:-1] + edges[1:]) / 2
    with _figure(2.5) as (axes, page):
        # The middle bin holds small changes to both sides, and is drawn as two.
        below, _ = np.histogram(changed[changed < 0], edges)
        width = edges[1] - edges[0]
        axes.bar(middles, below, width * 0.86, color=LOSS)
        axes.bar(middles, counts - below, width * 0.86, bottom=below, color=GAIN)
        axes.axvline(0, color=SOFT, linewidth=0.8)
        _count_axis(axes)
        axes.set_xlim(-end * 1.02, end * 1.02)
        axes.set_xlabel("difference of a query")
    return _inline(page[0], name)


def levels(values: Sequence[float], name: str) -> str:
    """Draw how the values of one run are spread from 0 to 1."""
    with _figure(2.5) as (axes, page):
        counts, edges = np.histogram(values, np.linspace(0, 1, 21))
        axes.bar((edges[:-1] + edges[1:]) / 2, counts, 0.043, color=RUN)
        _count_axis(axes)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("value of a query")
    return _inline(page[0], name)


@contextmanager
def _figure(height: float) -> Iterator[tuple[Axes, list[str]]]:
    """Give axes to draw on; the list holds the SVG when the block has ended."""
    page: list[str] = []
    with mpl.rc_context(STYLE):
        figure = Figure((WIDTH, height), layout="constrained")
        axes = figure.subplots()
        axes.tick_params(length=0)
        yield axes, page
        file = StringIO()
        with catch_warnings():
            # The browser has the letters of other scripts; only their width is guessed here.
            filterwarnings("ignore", "(Glyph|Matplotlib currently does not support)")
            figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        page.append(file.getvalue())


def _bar(axes: Axes, place: float, one: Range, colour: str) -> None:
    axes.barh(place, one.mean, 0.82, color=colour)
    end = one.mean
    if one.low is not None and one.high is not None:
        axes.plot([one.low, one.high], [place, place], color=INK, linewidth=1.2)
        axes.plot([one.low, one.high], [place, place], "|", color=INK, markersize=5)
        end = one.high
    axes.annotate(f"{one.mean:.3f}", (end, place), (5, 0), textcoords="offset points", va="center")


def _point(axes: Axes, place: float, one: Range) -> None:
    """Draw one ratio, in the colour of a gain or a loss where its interval leaves out 1."""
    end, colour = one.mean, INK
    if one.low is not None and one.high is not None:
        colour = GAIN if one.low > 1 else LOSS if one.high < 1 else INK
        axes.plot([one.low, one.high], [place, place], color=colour, linewidth=1.6)
        end = one.high
    axes.plot([one.mean], [place], "o", color=colour, markersize=5)
    axes.annotate(f"{one.mean:.2f}", (end, place), (6, 0), textcoords="offset points", va="center")


def _count_axis(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel("queries")
    axes.tick_params(axis="y", colors=SOFT)


def _inline(svg: str, name: str) -> str:
    """Return an SVG that can lie beside others in one page, in the colours of the page."""
    svg = ASIDE.sub("", HEAD.sub("", svg, count=1))
    svg = HEIGHT.sub(r"\1", SIZE.sub(r"\1", svg, count=1), count=1)
    used = set(re.findall(r"(?:#|url\(#)([\w-]+)", svg))
    svg = ID.sub(lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    for colour, variable in COLOURS.items():
        svg = svg.replace(colour, variable)
    return svg


def reliability(seen: Reliability, name: str) -> str:
    """Draw what was observed against what was predicted, with intervals, and labels a bin below.

    Both axes grow by the square root, so that small probabilities stand apart and 0 has a place.
    """
    end = min(max(seen.predicted.max(), seen.high.max()) * 1.05, 1.0)
    with _figure(WIDTH * 1.1) as (axes, page):
        below = axes.inset_axes((0, -0.3, 1, 0.22))
        reach = [seen.observed - seen.low, seen.high - seen.observed]
        axes.plot([0, end], [0, end], color=SOFT, linewidth=0.8)
        axes.errorbar(seen.predicted, seen.observed, reach, fmt="none", ecolor=INK, elinewidth=1.2)
        axes.plot(seen.predicted, seen.observed, "o", color=RUN, markersize=5, clip_on=False)
        axes.set_yscale("function", functions=(_root, np.square))
        axes.set_ylim(0, end)
        axes.set_ylabel("observed")
        axes.tick_params(axis="y", colors=SOFT)
        axes.tick_params(axis="x", labelbottom=False)
        axes.grid(color=LINE, linewidth=0.6)
        below.vlines(seen.predicted, 0, seen.counts, color=RUN, linewidth=3)
        _count_axis(below)
        below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        below.set_ylim(0, None)
        below.set_ylabel("labels")
        below.set_xlabel("predicted")
        below.tick_params(length=0)
        for one in (axes, below):
            one.set_xscale("function", functions=(_root, np.square))
            one.set_xlim(0, end)
    return _inline(page[0], name)


def _root(values: np.ndarray) -> np.ndarray:
    answer: np.ndarray = np.sqrt(np.maximum(values, 0))
    return answer
