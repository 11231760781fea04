"""Reliability of probabilities: log loss, Brier score, calibration error, reliability bins."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64

BINS = 15
CONFIDENCE = 0.95  # of the interval around an observed share
SMALLEST = 1e-15  # log loss takes no probability as further than this from what happened

Probabilities: TypeAlias = Float64[np.ndarray, "c"]
Labels: TypeAlias = Bool[np.ndarray, "c"]


class CalibrationError(ValueError):
    """Labels, logits or probabilities from which nothing can be fitted or measured."""


class Figures(NamedTuple):
    """Metrics of probabilities; less is better, except for the last three, which only describe."""

    log_loss: float
    brier: float
    ece_equal_mass: float
    ece_equal_width: float
    mean_predicted: float
    mean_observed: float
    num_labels: int


def measure(probabilities: Probabilities, labels: Labels) -> Figures:
    """Return every figure of these probabilities."""
    return Figures(
        log_loss=log_loss(probabilities, labels),
        brier=brier(probabilities, labels),
        ece_equal_mass=expected_calibration_error(probabilities, labels),
        ece_equal_width=expected_calibration_error(probabilities, labels, binning="equal_width"),
        mean_predicted=float(probabilities.mean()),
        mean_observed=float(labels.mean()),
        num_labels=len(labels),
    )


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Return the mean of -log of the probability that was given to what happened, in nats."""
    _refuse_improbable(probabilities, labels)
    given = np.where(labels, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(given, SMALLEST)).mean())


def brier(probabilities: Probabilities, labels: Labels) -> float:
    """Return the mean squared distance between probability and label (Brier, 1950)."""
    _refuse_improbable(probabilities, labels)
    return float(np.square(probabilities - labels).mean())


def equal_width(probabilities: Probabilities, bins: int) -> Int64[np.ndarray, "c"]:
    """Cut [0, 1] into bins of one width; each holds its upper end (Guo et al. 2017, section 2)."""
    return np.searchsorted(np.arange(1, bins) / bins, probabilities, side="left")


def equal_mass(probabilities: Probabilities, bins: int) -> Int64[np.ndarray, "c"]:
    """Cut at quantiles, so that bins hold equally many; equal probabilities share a bin."""
    inner = np.arange(1, bins) / bins
    edges = np.quantile(probabilities, inner, method="inverted_cdf")
    return np.searchsorted(edges, probabilities, side="left")


BINNINGS: dict[str, Callable[[Probabilities, int], Int64[np.ndarray, "c"]]] = {
    "equal_mass": equal_mass,
    "equal_width": equal_width,
}


class Reliability(NamedTuple):
    """Predicted and observed shares, one row for each bin that is not empty, ascending."""

    predicted: Float64[np.ndarray, "b"]  # mean probability
    observed: Float64[np.ndarray, "b"]  # share of true labels
    low: Float64[np.ndarray, "b"]  # ends of the 95 % interval of that share
    high: Float64[np.ndarray, "b"]
    counts: Int64[np.ndarray, "b"]


def reliability(
    probabilities: Probabilities, labels: Labels, bins: int = BINS, binning: str = "equal_mass"
) -> Reliability:
    """Compare probabilities with what happened, bin by bin, with Wilson's interval (1927)."""
    predicted, positives, counts = _binned(probabilities, labels, bins, binning)
    return Reliability(predicted, positives / counts, *_wilson(positives, counts), counts)


def _binned(
    probabilities: Probabilities, labels: Labels, bins: int, binning: str
) -> tuple[Float64[np.ndarray, "b"], Int64[np.ndarray, "b"], Int64[np.ndarray, "b"]]:
    """Return mean prediction, positives and labels of each bin that holds any."""
    _refuse_improbable(probabilities, labels)
    if binning not in BINNINGS:
        raise CalibrationError(f"unknown binning {binning!r}; choose one of {', '.join(BINNINGS)}")
    if bins < 1:
        raise CalibrationError(f"{bins} bins hold nothing; at least 1 is needed")
    place = BINNINGS[binning](probabilities, bins)
    counts = np.bincount(place, minlength=bins)
    positives = np.bincount(place[labels], minlength=bins)
    sums = np.bincount(place, probabilities, bins)
    filled = counts > 0
    return sums[filled] / counts[filled], positives[filled], counts[filled]


def expected_calibration_error(
    probabilities: Probabilities, labels: Labels, bins: int = BINS, binning: str = "equal_mass"
) -> float:
    """Return the mean distance between predicted and observed, each bin by its labels.

    sum over bins of n_b / n |observed_b - predicted_b| (Naeini, Cooper and Hauskrecht 2015; Guo et
    al. 2017, equation 3). Where most probabilities are small, bins of one width are nearly all
    empty and hide errors between them; those of one mass do not.
    """
    predicted, positives, counts = _binned(probabilities, labels, bins, binning)
    return float(counts @ np.abs(positives / counts - predicted) / len(labels))


def _wilson(
    positives: Int64[np.ndarray, "b"], counts: Int64[np.ndarray, "b"]
) -> tuple[Float64[np.ndarray, "b"], Float64[np.ndarray, "b"]]:
    """Return the ends of Wilson's score interval of each share, which holds the share."""
    from scipy.stats import binomtest  # half a second, and only reports ask for it

    intervals = [
        binomtest(int(k), int(n)).proportion_ci(CONFIDENCE, method="wilson")
        for k, n in zip(positives, counts, strict=True)
    ]
    low, high = (np.array([one[end] for one in intervals], np.float64) for end in (0, 1))
    shares = positives / counts
    return np.minimum(low, shares), np.maximum(high, shares)  # rounding may leave a share outside


def refuse_lengths(name: str, given: np.ndarray, labels: Labels) -> None:
    """Raise CalibrationError where there are no labels, or not one for each that is given."""
    if not len(labels):
        raise CalibrationError("no labels to learn or measure from; at least 1 is needed")
    if len(given) != len(labels):
        raise CalibrationError(f"{len(given)} {name} for {len(labels)} labels; give one for each")


def _refuse_improbable(probabilities: Probabilities, labels: Labels) -> None:
    refuse_lengths("probabilities", probabilities, labels)
    outside = int((~((probabilities >= 0) & (probabilities <= 1))).sum())
    if outside:
        raise CalibrationError(f"{outside} of {len(labels)} probabilities are not in [0, 1]")
