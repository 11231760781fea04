"""The plot of reliability shows each bin, and lies in a page like its neighbours."""

import re

import numpy as np
import pytest
from defusedxml.ElementTree import fromstring
from scipy.special import expit

from pipelines.reports import plots
from ranking.calibration.reliability import Reliability, reliability


@pytest.fixture
def seen() -> Reliability:
    rng = np.random.default_rng(5)
    chances = expit(rng.normal(-4, 1.2, 20_000))
    return reliability(chances, rng.random(20_000) < chances)


def test_every_bin_is_one_mark_with_its_labels_below(seen: Reliability) -> None:
    svg = plots.reliability(seen, "trust")

    words = {
        "".join(text.itertext()) for text in fromstring(svg).iter() if text.tag.endswith("text")
    }
    assert len(marks_of(svg)) == len(seen.counts) == 15
    assert {"predicted", "observed", "labels"} <= words


def test_bins_that_predict_what_was_observed_lie_on_the_diagonal() -> None:
    at = np.array([0.01, 0.04, 0.25])
    exact = Reliability(at, at, at * 0.9, at * 1.1, np.array([9, 9, 9]))

    places = marks_of(plots.reliability(exact, "trust"))

    first, middle, last = places
    slope = (last[1] - first[1]) / (last[0] - first[0])
    assert middle[1] == pytest.approx(first[1] + slope * (middle[0] - first[0]), abs=0.01)
    assert slope < 0  # up is less in SVG


def test_nothing_but_zeros_and_ones_can_be_drawn() -> None:
    seen = reliability(np.array([0.0, 1.0]), np.array([False, True]))

    assert len(marks_of(plots.reliability(seen, "trust"))) == 2


def test_the_same_figures_are_the_same_plot_in_the_colours_of_the_page(seen: Reliability) -> None:
    first, second = (plots.reliability(seen, "trust") for _ in range(2))

    assert first == second
    assert "var(--run)" in first
    assert not re.search("#0[1-7]0[1-7]0[1-7]", first)


def marks_of(svg: str) -> list[tuple[float, float]]:
    """Return where the marks of the bins lie, across and down."""
    marks = (m for m in fromstring(svg).iter() if "fill: var(--run)" in m.get("style", ""))
    return [(float(m.attrib["x"]), float(m.attrib["y"])) for m in marks if m.tag.endswith("use")]
