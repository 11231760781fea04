"""Candidates: the columns of products that retrieval passes to ranking, and how it searched."""

import msgspec
import numpy as np
from jaxtyping import Float32, Int32, Int64

from retrieval.types.fields import Noun, Share


class Searched(Noun, frozen=True, kw_only=True):
    """How a channel searched its vectors among the products that might be shown.

    `way` is `scan` (all that pass were compared, if many as bytes first), `select` (its index
    skipped the others) or `overfetch` (it fetched more and dropped the others). `exactness`
    estimates the share of the true answers that were found; 1: all, for sure.
    """

    way: str
    passed: int
    of: int
    exactness: Share


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """Proposed products as columns: row numbers of one release, never objects.

    `positions[channel]` counts from 1 within the channel; 0 where it did not propose the row.
    `scores[channel]` is comparable within its channel only; 0 where it has no opinion.
    `fused` orders them; rows stand best first. `relevance` says how well each fits the words of a
    search; None: the request has none, or its lists are fused in another way. `searched[channel]`
    says how a channel of vectors got along with a filter. `silent` are the channels that should
    have answered, and did not.
    """

    rows: Int64[np.ndarray, "c"]
    fused: Float32[np.ndarray, "c"]
    positions: dict[str, Int32[np.ndarray, "c"]]
    scores: dict[str, Float32[np.ndarray, "c"]]
    relevance: Float32[np.ndarray, "c"] | None = None
    searched: dict[str, Searched] = {}
    silent: tuple[str, ...] = ()

    @property
    def coverage(self) -> float:
        """The share of the channels for such a request that answered; 1 where there are none."""
        asked = len(self.positions) + len(self.silent)
        return len(self.positions) / asked if asked else 1.0
