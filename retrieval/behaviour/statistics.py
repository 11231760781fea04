"""Product statistics: buyers, baskets, popularity and repeat purchases of each product."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from retrieval.behaviour.purchases import DAY, Purchases, decay

HALF_LIVES_DAYS = (7.0, 30.0, 365.0)


class ProductStatistics(NamedTuple):
    """What all shoppers together did with each product before `until`."""

    buyers: Float32[np.ndarray, "n"]  # distinct users
    baskets: Float32[np.ndarray, "n"]  # distinct baskets
    popularity: Float32[np.ndarray, "p n"]  # baskets, halved every 7, 30 and 365 days
    repeat_share: Float32[np.ndarray, "n"]  # of buyers who came back for it, in [0, 1]
    rhythm_days: Float32[np.ndarray, "n"]  # mean days between two purchases by one user


def product_statistics(log: Purchases, num_products: int, until_seconds: int) -> ProductStatistics:
    """Count, for every product, its baskets, its buyers and how they come back."""
    user_product = log.users.astype(np.int64) * num_products + log.rows
    order = np.argsort(user_product, kind="stable")  # keeps time order within a pair
    pairs, starts, counts = np.unique(user_product[order], return_index=True, return_counts=True)
    pair_rows = pairs % num_products
    ends = starts + counts - 1
    seconds = log.seconds[order]
    span_days = (seconds[ends] - seconds[starts]) / DAY
    buyers = np.bincount(pair_rows, minlength=num_products)
    repeaters = np.bincount(pair_rows, weights=counts > 1, minlength=num_products)
    gaps = np.bincount(pair_rows, weights=counts - 1, minlength=num_products)
    days = np.bincount(pair_rows, weights=span_days, minlength=num_products)
    ages = until_seconds - log.seconds
    popularity = [
        np.bincount(log.rows, weights=decay(ages, half_life), minlength=num_products)
        for half_life in HALF_LIVES_DAYS
    ]
    columns = (
        buyers,
        np.bincount(log.rows, minlength=num_products),
        np.stack(popularity),
        (repeaters + 0.1) / (buyers + 1.0),
        (days + 60.0) / (gaps + 1.0),
    )
    return ProductStatistics(*(column.astype(np.float32) for column in columns))


def selling_now(statistics: ProductStatistics) -> Float32[np.ndarray, "n"]:
    """Return baskets a day of each product these weeks: what a week and a month say, added up.

    The week knows what is new or on offer; the month, what a week sees too little of.
    """
    week, month = statistics.popularity[:2]
    rates: np.ndarray = week / HALF_LIVES_DAYS[0] + month / HALF_LIVES_DAYS[1]
    return rates.astype(np.float32)
