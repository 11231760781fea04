"""The purchase log as columns, and the decay of a purchase with its age."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32, Int64

DAY = 86_400


class Purchases(NamedTuple):
    """A purchase log, one entry a line of a receipt; any order."""

    users: Int32[np.ndarray, "e"]  # position in the sorted list of user ids
    rows: Int32[np.ndarray, "e"]
    seconds: Int64[np.ndarray, "e"]  # the shop's local time since 1970
    baskets: Int64[np.ndarray, "e"]


class History(NamedTuple):
    """One shopper's purchases before a moment, one entry a product and basket, oldest first."""

    rows: Int32[np.ndarray, "h"]
    seconds: Int64[np.ndarray, "h"]
    baskets: Int64[np.ndarray, "h"]


NO_HISTORY = History(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))


def decay(
    ages_seconds: Int64[np.ndarray, "*s"], half_life_days: float
) -> Float64[np.ndarray, "*s"]:
    """Return weights in (0, 1] that halve every `half_life_days`."""
    weights: np.ndarray = np.exp2(-np.maximum(ages_seconds, 0) / (DAY * half_life_days))
    return weights
