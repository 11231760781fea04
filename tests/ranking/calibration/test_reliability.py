"""Figures about probabilities are those of the formulas, and of other implementations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit
from sklearn import metrics as independent

from ranking.calibration.reliability import (
    BINNINGS,
    CalibrationError,
    brier,
    expected_calibration_error,
    log_loss,
    refuse_lengths,
    reliability,
)


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    probabilities = draw(
        arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1, width=16))
    )
    return probabilities, draw(arrays.arrays(np.bool_, len(probabilities)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize("binning", BINNINGS)
def test_what_is_calibrated_has_a_small_error_and_what_is_not_a_large_one(
    binning: str, rng: np.random.Generator
) -> None:
    right = expit(rng.normal(-5, 1.2, 200_000))
    labels = rng.random(200_000) < right

    small = expected_calibration_error(right, labels, binning=binning)
    large = expected_calibration_error(right / 3, labels, binning=binning)

    assert small < 0.0015
    assert large == pytest.approx(2 / 3 * labels.mean(), rel=0.1)


def test_errors_that_cancel_in_wide_bins_are_seen_in_bins_of_one_mass(
    rng: np.random.Generator,
) -> None:
    labels = rng.random(100_000) < np.where(np.arange(100_000) < 50_000, 0.005, 0.025)
    wrong_way = np.where(np.arange(100_000) < 50_000, 0.025, 0.005)

    wide = expected_calibration_error(wrong_way, labels, binning="equal_width")
    even = expected_calibration_error(wrong_way, labels, binning="equal_mass")

    assert wide < 0.001
    assert even == pytest.approx(0.02, abs=0.002)


@given(one=judged(), bins=st.integers(1, 20))
def test_the_error_with_bins_of_one_width_is_what_the_formula_says(
    one: tuple[np.ndarray, np.ndarray], bins: int
) -> None:
    probabilities, labels = one
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = (probabilities > low) & (probabilities <= high)
        inside |= (probabilities == 0) & (number == 0)
        if inside.any():
            gap = abs(labels[inside].mean() - probabilities[inside].mean())
            error += inside.sum() / len(labels) * gap

    found = expected_calibration_error(probabilities, labels, bins, "equal_width")

    assert found == pytest.approx(error, abs=1e-12)


@given(one=judged(), bins=st.integers(1, 20))
def test_the_error_with_bins_of_one_mass_is_what_the_formula_says(
    one: tuple[np.ndarray, np.ndarray], bins: int
) -> None:
    probabilities, labels = one
    ascending, count = np.sort(probabilities), len(labels)
    last = [ascending[-(-count * number // bins) - 1] for number in range(1, bins)]
    groups: dict[int, list[int]] = {}
    for row, probability in enumerate(probabilities):
        groups.setdefault(sum(bool(probability > edge) for edge in last), []).append(row)
    error = sum(
        len(rows) / count * abs(labels[rows].mean() - probabilities[rows].mean())
        for rows in groups.values()
    )

    found = expected_calibration_error(probabilities, labels, bins, "equal_mass")

    assert found == pytest.approx(error, abs=1e-12)


@given(one=judged())
def test_equal_probabilities_are_never_told_apart_by_their_place(
    one: tuple[np.ndarray, np.ndarray],
) -> None:
    probabilities, labels = one

    straight = expected_calibration_error(probabilities, labels)
    turned = expected_calibration_error(probabilities[::-1], labels[::-1])

    assert straight == pytest.approx(turned, abs=1e-12)


def test_distinct_probabilities_fill_bins_of_one_mass_equally(rng: np.random.Generator) -> None:
    counts = reliability(rng.random(1_500), rng.random(1_500) < 0.1, 15).counts

    assert counts.tolist() == [100] * 15


@given(one=judged())
def test_losses_are_what_another_implementation_finds(
    one: tuple[np.ndarray, np.ndarray],
) -> None:
    probabilities, labels = np.clip(one[0], 0.001, 0.999), one[1]

    assert brier(probabilities, labels) == pytest.approx(
        independent.brier_score_loss(labels, probabilities, labels=[False, True])
    )
    assert log_loss(probabilities, labels) == pytest.approx(
        independent.log_loss(labels, probabilities, labels=[False, True])
    )


def test_a_purchase_that_was_called_impossible_costs_much_but_not_everything() -> None:
    assert log_loss(np.array([0.0]), np.array([True])) == pytest.approx(15 * np.log(10))


def test_the_interval_of_a_share_is_that_of_wilson(rng: np.random.Generator) -> None:
    probabilities, labels = rng.random(400) / 20, rng.random(400) < 0.03

    seen = reliability(probabilities, labels, 8)

    assert (seen.observed == 0).any()
    for observed, low, high, count in zip(*seen[1:], strict=True):
        middle = observed + 1.959964**2 / (2 * count)
        reach = np.sqrt(observed * (1 - observed) / count + 1.959964**2 / (4 * count**2))
        ends = (middle + side * 1.959964 * reach for side in (-1, 1))
        wilson = [end / (1 + 1.959964**2 / count) for end in ends]
        assert (low, high) == pytest.approx(wilson, abs=1e-6)
        assert low <= observed <= high


def test_nothing_is_measured_of_what_is_no_probability() -> None:
    with pytest.raises(CalibrationError, match="no labels"):
        log_loss(np.zeros(0), np.zeros(0, bool))
    with pytest.raises(CalibrationError, match=r"2 of 2 probabilities are not in \[0, 1\]"):
        brier(np.array([1.5, np.nan]), np.array([True, False]))
    with pytest.raises(CalibrationError, match="2 probabilities for 1 labels"):
        refuse_lengths("probabilities", np.zeros(2), np.zeros(1, bool))
    with pytest.raises(CalibrationError, match="1 of 1 probabilities are not in"):
        reliability(np.array([-0.1]), np.array([True]))
    with pytest.raises(CalibrationError, match="0 bins"):
        reliability(np.array([0.5]), np.array([True]), 0)


def test_probabilities_are_binned_by_fifteenths_unless_told_otherwise() -> None:
    middles = (np.arange(60) + 0.5) / 60

    found = reliability(middles, middles > 0.5, binning="equal_width")

    assert found.counts.tolist() == [4] * 15
    assert expected_calibration_error(
        middles, middles > 0.5, binning="equal_width"
    ) == pytest.approx(expected_calibration_error(middles, middles > 0.5, 15, "equal_width"))


def test_an_unknown_binning_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CalibrationError, match="'even'; choose one of equal_mass, equal_width"):
        reliability(np.array([0.5]), np.array([True]), binning="even")
