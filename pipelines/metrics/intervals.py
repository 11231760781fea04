"""Means with bootstrap confidence intervals, and paired randomisation tests."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

RESAMPLES = 10_000
LEVEL = 0.95
CELLS_AT_ONCE = 4_000_000  # of resampled values in memory
ROUNDING = 1e-12  # two sums of the same numbers in another order may differ by so much


class Interval(NamedTuple):
    """A mean over queries with its 95 % confidence interval; NaN bounds for a single query."""

    mean: float
    low: float
    high: float


def mean_interval(values: Float64[np.ndarray, "q m"], seed: int = 0) -> list[Interval]:
    """Return the mean of each column and its percentile bootstrap interval over queries."""
    means = values.mean(axis=0)
    if len(values) < 2:
        return [Interval(float(mean), float("nan"), float("nan")) for mean in means]
    resampled = resampled_means(values, seed)
    return [interval_of(float(m), drawn) for m, drawn in zip(means, resampled.T, strict=True)]


def resampled_means(
    values: Float64[np.ndarray, "q m"], seed: int = 0
) -> Float64[np.ndarray, "r m"]:
    """Return the mean of each column in samples of the queries, drawn with replacement."""
    random, length = np.random.default_rng(seed), len(values)
    samples = (random.integers(length, size=(count, length)) for count in _chunks(values))
    return np.concatenate([_times(drawn) @ values / length for drawn in samples])


def _times(drawn: Int64[np.ndarray, "r q"]) -> Int64[np.ndarray, "r q"]:
    """Return how often each query is in each sample: faster than to look its values up."""
    return np.stack([np.bincount(sample, minlength=drawn.shape[1]) for sample in drawn])


def interval_of(found: float, resampled: Float64[np.ndarray, "r"]) -> Interval:
    """Return what was found, between the percentiles of what was found in the samples."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(found, float(low), float(high))


def randomisation_test(
    differences: Float64[np.ndarray, "q m"], seed: int = 0
) -> Float64[np.ndarray, "m"]:
    """Return two-sided p-values of paired differences under random exchange of the two runs.

    Fisher's randomisation test by random signs (Smucker, Allan and Carterette, CIKM 2007).
    """
    observed = np.abs(differences.sum(axis=0))
    random = np.random.default_rng(seed)
    as_extreme = np.zeros(differences.shape[1], np.int64)
    for count in _chunks(differences):
        signs = random.choice(np.array([-1.0, 1.0]), (count, len(differences)))
        as_extreme += (np.abs(signs @ differences) >= observed - ROUNDING).sum(axis=0)
    return (1 + as_extreme) / (1 + RESAMPLES)


def _chunks(values: Float64[np.ndarray, "q m"]) -> list[int]:
    """Split the resamples so that each part fits into memory."""
    at_once = max(CELLS_AT_ONCE // max(values.size, 1), 1)
    full, rest = divmod(RESAMPLES, at_once)
    return [at_once] * full + [rest] * bool(rest)
