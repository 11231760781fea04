"""The protocol of a vector index, and the types of its answers."""

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec
import numpy as np
from jaxtyping import Bool, Float32, Int64

if TYPE_CHECKING:
    from index.columns.filter_language import Expression


class Way(StrEnum):
    """How rows that pass a filter are searched."""

    SCAN = "scan"  # all of them are compared
    SELECT = "select"  # the index skips the others
    OVERFETCH = "overfetch"  # the index fetches more, and the others are dropped


class FilterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a filtered search went: `passed` of the rows `of` the index, and what that is worth.

    `exactness` estimates the share of the true answers that were found; 1: all, for sure.
    """

    way: Way
    passed: int
    of: int
    effort: int
    exactness: float


class Hits(msgspec.Struct, frozen=True):
    """The answer to one query: rows with scores, best first, ties by the lower row.

    Fewer than `k` rows when the index, or the filter, holds fewer. A filtered search says its plan.
    """

    rows: Int64[np.ndarray, "m"]
    scores: Float32[np.ndarray, "m"]
    plan: FilterPlan | None = None


@runtime_checkable
class FiltersItself(Protocol):
    """An index that holds the columns, too, and reads a filter instead of a list of rows."""

    def search_where(
        self, queries: Float32[np.ndarray, "q d"], k: int, where: "Expression"
    ) -> list[Hits]:
        """Return at most `k` hits a query for which the filter holds."""
        ...

    def plan(self, allowed: Bool[np.ndarray, "n"], found: int, k: int) -> FilterPlan:
        """Say what an answer of so many hits among these rows is worth."""
        ...


@runtime_checkable
class VectorIndex(Protocol):
    """Nearest vectors by inner product; on unit vectors that is the cosine."""

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        ...

    @property
    def size(self) -> int:
        """How many vectors there are; rows run from 0 to size - 1."""
        ...

    def search(
        self,
        queries: Float32[np.ndarray, "q d"],
        k: int,
        allowed: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Hits]:
        """Return at most `k` hits a query, none outside `allowed` (True: may be returned)."""
        ...
