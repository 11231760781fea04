"""The sales of these weeks, by which popular products are known."""

from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64

from retrieval.behaviour.statistics import ProductStatistics, selling_now


class Sales:
    """Baskets a day of each product of a release, these weeks; computed when first asked for."""

    def __init__(self, statistics: ProductStatistics) -> None:
        self._statistics = statistics

    @cached_property
    def all(self) -> Float32[np.ndarray, "n"]:
        """The sales of each product of the release."""
        return selling_now(self._statistics)

    def of(self, rows: Int64[np.ndarray, "c"]) -> Float32[np.ndarray, "c"]:
        """Return the sales of these products; 0 of one that is newer than the release."""
        built = len(self.all)
        return np.where(rows < built, self.all[np.minimum(rows, built - 1)], np.float32(0))
