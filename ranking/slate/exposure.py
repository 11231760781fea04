"""Exposure: the share of attention that each product gets from ranked lists.

A product at a position is looked at with a chance of about 1 / log2(1 + position): the position
discount of Singh and Joachims, Fairness of Exposure in Rankings (KDD 2018), section 3.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

RESAMPLES = 2_000
LEVEL = 0.95
CELLS_AT_ONCE = 4_000_000  # of resampled values in memory


class RankedLists(NamedTuple):
    """Ranked lists, one entry a product that one list shows; any order."""

    requests: Int64[np.ndarray, "e"]  # the number of the list, from 0
    products: Int64[np.ndarray, "e"]  # rows
    positions: Int64[np.ndarray, "e"]  # from 1


class Ends(NamedTuple):
    """The bounds of a 95 % confidence interval; NaN if the lists are too few."""

    low: Float64[np.ndarray, "g"]
    high: Float64[np.ndarray, "g"]


def discounts(positions: Int64[np.ndarray, "e"]) -> Float64[np.ndarray, "e"]:
    """Return the exposure that each position gives: 1 at the first, falling."""
    found: np.ndarray = 1 / np.log2(1.0 + positions)
    return found


def of_products(shown: RankedLists, num_products: int) -> Float64[np.ndarray, "n"]:
    """Return the exposure of each product over all lists, 0 where it is never shown."""
    return np.bincount(shown.products, discounts(shown.positions), num_products)


def of_groups(
    shown: RankedLists, group_of: Int64[np.ndarray, "n"], num_requests: int, num_groups: int
) -> Float64[np.ndarray, "q g"]:
    """Return the exposure of each group of products in each list."""
    cells = shown.requests * num_groups + group_of[shown.products]
    flat = np.bincount(cells, discounts(shown.positions), num_requests * num_groups)
    return np.stack(np.split(flat, num_requests)) if num_requests else np.zeros((0, num_groups))


def shares(exposure: Float64[np.ndarray, "*s g"]) -> Float64[np.ndarray, "*s g"]:
    """Return numbers of groups as parts of their sum, which are 1 together; zeros stay zeros."""
    total = exposure.sum(axis=-1, keepdims=True)
    found: np.ndarray = np.divide(exposure, total, out=np.zeros_like(exposure), where=total > 0)
    return found


def ratios(
    before: Float64[np.ndarray, "*s g"], after: Float64[np.ndarray, "*s g"]
) -> Float64[np.ndarray, "*s g"]:
    """Return each share after over that before; NaN where there was none before."""
    found: np.ndarray = np.divide(after, before, out=np.full_like(after, np.nan), where=before > 0)
    return found


def ratio_interval(
    before: Float64[np.ndarray, "q g"], after: Float64[np.ndarray, "q g"], seed: int = 0
) -> Ends:
    """Return the percentile bootstrap interval of the ratio of shares, lists drawn in pairs.

    One row is one request in both; swapping the two inverts the interval.
    """
    if len(before) < 2:
        unknown = np.full(before.shape[1], np.nan)
        return Ends(unknown, unknown)
    logs = [
        _log_ratios(shares(counts @ before), shares(counts @ after))
        for counts in _draws(len(before), seed)
    ]
    tail = (1 - LEVEL) / 2
    low, high = _quantiles(np.concatenate(logs), tail)
    return Ends(np.exp(low), np.exp(high))


def moved(before: Float64[np.ndarray, "g"], after: Float64[np.ndarray, "g"]) -> float:
    """Return which share of all exposure changed its group: half the sum of the differences."""
    return float(np.abs(shares(after) - shares(before)).sum() / 2)


def coverage(exposure: Float64[np.ndarray, "n"]) -> float:
    """Return the share of products that are ever shown."""
    return float((exposure > 0).mean()) if len(exposure) else 0.0


def gini(exposure: Float64[np.ndarray, "n"]) -> float:
    """Return how unequal the exposure of products is: 0 all the same, towards 1 one has it all.

    Half the mean absolute difference of two products, over the mean (Gini 1912).
    """
    total, count = exposure.sum(), len(exposure)
    if not total:
        return 0.0
    places = np.arange(1, count + 1)
    return float(2 * (places @ np.sort(exposure)) / (count * total) - (count + 1) / count)


def _draws(num_requests: int, seed: int) -> Iterator[Float64[np.ndarray, "r q"]]:
    """Yield how often each request is drawn in each resample, some resamples at a time."""
    random = np.random.default_rng(seed)
    at_once = max(CELLS_AT_ONCE // num_requests, 1)
    even = np.full(num_requests, 1 / num_requests)
    for done in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - done)
        yield random.multinomial(num_requests, even, size=count).astype(np.float64)


def _log_ratios(
    before: Float64[np.ndarray, "r g"], after: Float64[np.ndarray, "r g"]
) -> Float64[np.ndarray, "r g"]:
    """Return the logarithms of the ratios: infinite where one side is empty, NaN where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: np.ndarray = np.log(after) - np.log(before)
    return found


def _quantiles(
    values: Float64[np.ndarray, "r g"], tail: float
) -> tuple[Float64[np.ndarray, "g"], Float64[np.ndarray, "g"]]:
    """Return the resamples that leave `tail` below and above; NaN where one resample is NaN.

    Taken from the sorted resamples without interpolation, so that infinite ones do no harm.
    """
    ordered = np.sort(values, axis=0)  # NaN comes last
    cut = int(tail * len(ordered))
    low, high = ordered[cut].copy(), ordered[-1 - cut].copy()
    unknown = np.isnan(ordered[-1])
    low[unknown], high[unknown] = np.nan, np.nan
    return low, high
