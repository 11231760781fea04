"""Seasonal sales: last year's purchases of each product by week of the year."""

import numpy as np
from jaxtyping import Float32

from retrieval.behaviour.purchases import DAY, Purchases

WEEKS = 52  # of 7 days; the last one holds the days that are left over
YEAR_SECONDS = 365.2425 * DAY
AHEAD = {-1: 0.5, 0: 1.0, 1: 1.0, 2: 0.5}  # weeks around the moment, and how much each counts
LEAST_AGE_DAYS = 200  # of a purchase: this season's own sales are known to `trending`


def week_of(seconds: np.ndarray | int) -> np.ndarray:
    """Return the week of the year, from 0 to 51."""
    days = np.asarray(seconds).astype("datetime64[s]").astype("datetime64[D]")
    first = days.astype("datetime64[Y]").astype("datetime64[D]")
    return np.asarray(np.minimum((days - first).astype(np.int64) // 7, WEEKS - 1))


def weeks(log: Purchases, num_products: int, until_seconds: int) -> Float32[np.ndarray, "w n"]:
    """Count each product's baskets by week of the year, as of last year.

    Only purchases between 200 days and a year and a month old count, so that a request soon
    after `until_seconds` sees the same season a year before and nothing of the weeks just past.
    """
    age = until_seconds - log.seconds
    past = (age > LEAST_AGE_DAYS * DAY) & (age <= YEAR_SECONDS + 31 * DAY)
    if not past.any():
        return no_weeks(num_products)
    counts = np.zeros((WEEKS, num_products), np.float32)
    np.add.at(counts, (week_of(log.seconds[past]), log.rows[past]), 1)
    return counts


def no_weeks(num_products: int) -> Float32[np.ndarray, "w n"]:
    """Return the counts of a log that does not reach back to last year."""
    return np.zeros((0, num_products), np.float32)


def in_week(counts: Float32[np.ndarray, "w n"], week: int) -> Float32[np.ndarray, "n"] | None:
    """Return what sold around this week of last year; None where the log does not reach back."""
    if not len(counts):
        return None
    around = [(week + ahead) % WEEKS for ahead in AHEAD]
    now: np.ndarray = np.asarray(tuple(AHEAD.values()), np.float32) @ counts[around]
    return now.astype(np.float32) if now.any() else None
