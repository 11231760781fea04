"""Promotions: the products on offer or display at a moment, and their share of the places."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64

from index import map_array, save_array
from retrieval.types import PromotionKind


class Runs(NamedTuple):
    """The promotions of one kind, by product and then by start."""

    rows: Int32[np.ndarray, "p"]
    starts: Int64[np.ndarray, "p"]  # seconds on the shop's clock
    ends: Int64[np.ndarray, "p"]
    shares: Float32[np.ndarray, "p"]  # of the shop's places


Promotions = dict[PromotionKind, Runs]

NO_RUNS = Runs(
    np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
)
NO_PROMOTIONS: Promotions = dict.fromkeys(PromotionKind, NO_RUNS)


def in_order(runs: Runs) -> Runs:
    """Return the runs as `shares_at` needs them; those that end before they start left out."""
    real = np.flatnonzero(runs.ends > runs.starts)
    order = real[np.lexsort((runs.starts[real], runs.rows[real]))]
    return Runs(*(column[order] for column in runs))


def shares_at(
    runs: Runs, rows: Int64[np.ndarray, "c"], at_seconds: int
) -> Float32[np.ndarray, "c"]:
    """Return in which share of the shop's places each product is put forward now, 0 in none.

    Of several runs of a product the one counts that began last.
    """
    if not len(runs.rows):
        return np.zeros(len(rows), np.float32)
    sought = rows.astype(runs.rows.dtype)  # of another type, the whole column would be copied
    low, high = (np.searchsorted(runs.rows, sought, side=side) for side in ("left", "right"))
    begun = low.copy()
    while (open_ := begun < high).any():  # halving: the first run that begins after now
        middle = (begun + high) // 2
        early = open_ & (runs.starts[np.minimum(middle, len(runs.rows) - 1)] <= at_seconds)
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
