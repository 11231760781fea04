"""Compares the products of two releases: who is gone, who is new, and what changed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from index import Columns
from pipelines.shop.schemas import PRODUCT_SCHEMA

FIELDS = tuple(name for name in PRODUCT_SCHEMA.names if name != "id")
PASSING = ("price", "currency", "availability")  # says nothing of what a product is


class ProductChanges(NamedTuple):
    """What happened to the products from one release to another."""

    gone: tuple[str, ...]  # in the order of the first
    new: tuple[str, ...]  # in the order of the second
    both: tuple[str, ...]  # in the order of the second
    changed: dict[str, Bool[np.ndarray, "b"]]  # by field: which of `both`

    @property
    def drift(self) -> float:
        """Return the share of all products that are new, gone or another thing than before."""
        other = np.zeros(len(self.both), bool)
        for field, changed in self.changed.items():
            if field not in PASSING:
                other |= changed
        count = len(self.gone) + len(self.new) + int(other.sum())
        return count / max(len(self.gone) + len(self.new) + len(self.both), 1)


def compare_products(first: Columns, second: Columns) -> ProductChanges:
    """Return what differs; products are the same by their id."""
    lookup = first.rows_of(second.ids)
    missing = set(lookup.missing)
    kept = [name not in missing for name in second.ids]
    both = tuple(name for name, known in zip(second.ids, kept, strict=True) if known)
    rows = lookup.rows.tolist()
    here = np.flatnonzero(kept).tolist()
    return ProductChanges(
        gone=second.rows_of(first.ids).missing,
        new=lookup.missing,
        both=both,
        changed={
            name: _differs(first.column(name), rows, second.column(name), here) for name in FIELDS
        },
    )


def _differs(
    before: Sequence[Any], rows: Sequence[int], now: Sequence[Any], here: Sequence[int]
) -> Bool[np.ndarray, "b"]:
    pairs = zip(rows, here, strict=True)
    return np.fromiter((before[row] != now[place] for row, place in pairs), bool, len(rows))
