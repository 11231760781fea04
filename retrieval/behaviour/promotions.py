"""Promotions: the products on offer or display at a moment, and their share of the places."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64

from index import map_array, save_array
from retrieval.types import PromotionKind


class Runs(NamedTuple):
    """The promotions of one kind, by product and then by start."""

    first: Int64[np.ndarray, "m"]  # where those of each product begin; one more, where all end
    starts: Int64[np.ndarray, "p"]  # seconds on the shop's clock
    ends: Int64[np.ndarray, "p"]
    shares: Float32[np.ndarray, "p"]  # of the shop's places


Promotions = dict[PromotionKind, Runs]

NO_RUNS = Runs(
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
)
NO_PROMOTIONS: Promotions = dict.fromkeys(PromotionKind, NO_RUNS)


def by_product(
    rows: Int32[np.ndarray, "p"],
    starts: Int64[np.ndarray, "p"],
    ends: Int64[np.ndarray, "p"],
    shares: Float32[np.ndarray, "p"],
    num_products: int,
) -> Runs:
    """Return runs, given in any order, as `shares_at` needs them; one that never runs is none."""
    real = np.flatnonzero(ends > starts)
    order = real[np.lexsort((starts[real], rows[real]))]
    first = np.searchsorted(rows[order], np.arange(num_products + 1, dtype=rows.dtype))
    return Runs(first, starts[order], ends[order], shares[order])


def shares_at(
    runs: Runs, rows: Int64[np.ndarray, "c"], at_seconds: int
) -> Float32[np.ndarray, "c"]:
    """Return in which share of the shop's places each product is put forward now, 0 in none.

    Of several runs of a product the one counts that began last.
    """
    shares = np.zeros(len(rows), np.float32)
    if not len(runs.starts):
        return shares
    promoted = np.flatnonzero(runs.first[rows + 1] > runs.first[rows])  # at some time or other
    shares[promoted] = _running(runs, rows[promoted], at_seconds)
    return shares


def _running(runs: Runs, rows: Int64[np.ndarray, "c"], at_seconds: int) -> Float32[np.ndarray, "c"]:
    """Return the shares of products that have runs."""
    begun = low = runs.first[rows]
    high = runs.first[rows + 1]
    while (open_ := begun < high).any():  # halving: the first run that begins after now
        middle = (begun + high) // 2
        early = open_ & (runs.starts[np.minimum(middle, len(runs.starts) - 1)] <= at_seconds)
        begun = np.where(early, middle + 1, begun)
        high = np.where(open_ & ~early, middle, high)
    last = np.maximum(begun - 1, 0)
    running = (begun > low) & (runs.ends[last] > at_seconds)
    return np.where(running, runs.shares[last], 0).astype(np.float32)


def save_promotions(promotions: Promotions, folder: Path) -> None:
    """Write a column a file."""
    for kind, runs in promotions.items():
        for name, column in runs._asdict().items():
            save_array(folder / f"{kind}_{name}.npy", column)


def open_promotions(folder: Path) -> Promotions:
    """Map what `save_promotions` wrote; the caller has checked the files."""
    return {
        kind: Runs(*(map_array(folder / f"{kind}_{name}.npy") for name in Runs._fields))
        for kind in PromotionKind
    }
