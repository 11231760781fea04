"""Draws a study: the value of each trial and the best so far, and the value against each key."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from pipelines.tuning.ranges import Choices, Range, name_of
from pipelines.tuning.study import FinishedTrial, State

PANELS_A_ROW = 3
WIDTH, TOP_HEIGHT, PANEL_HEIGHT = 9.0, 3.2, 2.4  # inches
LONGEST_LABEL = 16  # letters
CLOSE = 100  # ends of a logarithmic axis whose ratio is below have labels at 1, 2 and 5
STYLE: Any = {
    "svg.fonttype": "none",  # words stay words
    "svg.hashsalt": "vetrina",  # the same study gives the same file
    "font.size": 9,
    "text.parse_math": False,  # a choice may hold a dollar sign
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
}


class Mark(NamedTuple):
    """The marker of the trials of one state."""

    label: str
    shape: str
    colour: str


MARKS: dict[State, Mark] = {
    "complete": Mark("complete", "o", "#2f6690"),
    "pruned": Mark("given up early, as far as seen", "x", "#c98a3a"),
}
FIRST = Mark("as given", "D", "#222222")
BEST_COLOUR, FAILED_COLOUR = "#5b8e7d", "#c4573a"


def draw(
    tried: Sequence[FinishedTrial], ranges: Mapping[str, Range], measure: str, path: Path
) -> None:
    """Write the plot as SVG."""
    rows = -(-len(ranges) // PANELS_A_ROW)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, TOP_HEIGHT + rows * PANEL_HEIGHT), layout="constrained")
        grid = figure.add_gridspec(
            1 + rows, PANELS_A_ROW, height_ratios=[TOP_HEIGHT, *[PANEL_HEIGHT] * rows]
        )
        _draw_trials(figure.add_subplot(grid[0, :]), tried, measure)
        for place, (key, given) in enumerate(ranges.items()):
            row, column = divmod(place, PANELS_A_ROW)
            _draw_key(figure.add_subplot(grid[1 + row, column]), tried, key, given)
            if column == 0:
                figure.axes[-1].set_ylabel(measure)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_trials(axes: Axes, tried: Sequence[FinishedTrial], measure: str) -> None:
    _scatter(axes, tried, {t.number: float(t.number) for t in tried})
    complete = [t for t in tried if t.state == "complete" and t.value is not None]
    numbers = [t.number for t in complete]
    best = list(accumulate((_value(t) for t in complete), max))
    last = tried[-1].number
    axes.step(
        [*numbers, last], [*best, best[-1]], where="post", color=BEST_COLOUR, label="best so far"
    )
    for number, t in enumerate(t for t in tried if t.state == "failed"):
        axes.axvline(t.number, color=FAILED_COLOUR, lw=1, ls=":", label="" if number else "failed")
    axes.set_xlabel("trial")
    axes.set_ylabel(measure)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"{measure} of the shoppers that trials are chosen by", loc="left", pad=22)
    above: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    axes.legend(**above, ncols=6, frameon=False, fontsize=8)


def _draw_key(axes: Axes, tried: Sequence[FinishedTrial], key: str, given: Range) -> None:
    names = list(given.values) if isinstance(given, Choices) else []
    _scatter(axes, tried, {t.number: _place(t.outcome.settings[key], names) for t in tried})
    if isinstance(given, Choices):
        axes.set_xticks(range(len(names)), [_label(name) for name in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
    elif given.log:
        axes.set_xscale("log")
        steps = (1.0, 2.0, 5.0) if given.high < CLOSE * given.low else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(key)
    axes.margins(y=0.1)


def _scatter(axes: Axes, tried: Sequence[FinishedTrial], places: Mapping[int, float]) -> None:
    for state, mark in MARKS.items():
        shown = [t for t in tried if t.state == state and t.value is not None and t.number]
        x, y = [places[t.number] for t in shown], [_value(t) for t in shown]
        if shown:
            axes.scatter(x, y, s=22, marker=mark.shape, color=mark.colour, label=mark.label, lw=1.2)
    best = max((t for t in tried if t.state == "complete"), key=_value, default=None)
    if best is not None:
        axes.scatter(
            [places[best.number]], [_value(best)], s=110, facecolors="none", edgecolors=BEST_COLOUR,
            linewidths=1.5, label="best",
        )  # fmt: skip
    first = tried[0]
    if first.value is not None and first.state == "complete":
        axes.scatter(
            [places[0]],
            [first.value],
            s=30,
            marker=FIRST.shape,
            color=FIRST.colour,
            label=FIRST.label,
        )


def _value(tried: FinishedTrial) -> float:
    return float("nan") if tried.value is None else tried.value


def _place(value: Any, names: Sequence[str]) -> float:
    """Return where a setting stands; one outside the choices, which trial 0 may have, nowhere."""
    if not names:
        return float(value)
    name = name_of(value)
    return float(names.index(name)) if name in names else float("nan")


def _label(name: str) -> str:
    words = name.strip('[]"').replace('","', ", ")
    return words if len(words) <= LONGEST_LABEL else f"{words[: LONGEST_LABEL - 1]}…"
