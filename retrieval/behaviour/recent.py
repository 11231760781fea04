"""A shopper's last distinct products, with the age and the number of their purchases."""

import numpy as np
from jaxtyping import Float32, Int64

from retrieval.behaviour.purchases import DAY, History


def recent_products(
    history: History, at_seconds: int, count: int
) -> tuple[Int64[np.ndarray, "r"], Float32[np.ndarray, "r 2"]]:
    """Return rows of distinct products, newest first, with log days since and log times bought.

    Unused places hold row -1 and zeros.
    """
    rows, facts = np.full(count, -1, np.int64), np.zeros((count, 2), np.float32)
    if len(history.rows):
        newest_first = history.rows[::-1]
        distinct, first, times = np.unique(newest_first, return_index=True, return_counts=True)
        order = np.argsort(first, kind="stable")[:count]
        days = (at_seconds - history.seconds[::-1][first[order]]) / DAY
        rows[: len(order)] = distinct[order]
        facts[: len(order)] = np.stack([np.log1p(days), np.log(times[order])], axis=1)
    return rows, facts
