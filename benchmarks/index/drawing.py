"""Draws recall against queries a second, one line a way to search."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "vetrina",
}
OURS = "#b3261e"
MARKS = "osv^D<>ph*"


class OperatingPoint(NamedTuple):
    """What one effort finds, and how many queries a second it answers."""

    effort: int
    recall: float
    single: float
    batch: float


def draw(
    curves: Mapping[str, Sequence[OperatingPoint]], title: str, least: float, path: Path
) -> None:
    """Write two plots side by side: one query a call, and many."""
    with mpl.rc_context(STYLE):
        figure = Figure((10, 4.4), layout="constrained")
        for axes, how in zip(figure.subplots(1, 2), ("single", "batch"), strict=True):
            for number, (name, points) in enumerate(curves.items()):
                ours = name.startswith("vetrina")
                shown = [point for point in points if point.recall >= least]
                axes.plot(
                    [point.recall for point in shown],
                    [getattr(point, how) for point in shown],
                    marker=MARKS[number % len(MARKS)],
                    markersize=4,
                    linewidth=2.2 if ours else 1.1,
                    color=OURS if ours and "," in name and "faiss" not in name else None,
                    label=name,
                )
            axes.set_yscale("log")
            axes.axvline(0.95, color="#888888", linewidth=0.8, linestyle=":")
            axes.set_xlabel("recall@100")
            axes.set_ylabel("queries a second")
            axes.set_title(f"{'one query' if how == 'single' else 'many queries'} a call")
            axes.grid(visible=True, which="both", linewidth=0.3, alpha=0.5)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        figure.suptitle(title)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
