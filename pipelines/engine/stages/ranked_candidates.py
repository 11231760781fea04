"""Candidates in their final order, with the stage that ordered them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from ranking.slate.compose import Ordered, Reasoning
from retrieval import Candidates, Stage

Rows = Int64[np.ndarray, "c"]
Reasons = Callable[[Rows], Reasoning]  # of candidates at these places


class RankedCandidates(NamedTuple):
    """Candidates in their order, how far the request got, and who can say why."""

    ordered: Ordered
    stage: Stage
    is_search: bool  # else what is eligible is all that matches
    reasons: Reasons | None = None


def in_retrieval_order(candidates: Candidates, *, is_search: bool) -> RankedCandidates:
    """Return candidates as retrieval ordered them."""
    ordered = Ordered(candidates, falling(candidates.fused), None, {})
    return RankedCandidates(ordered, Stage.RETRIEVAL, is_search)


def falling(scores: Float32[np.ndarray, "c"]) -> Float32[np.ndarray, "c"]:
    """Return scores that never rise along the order given, each rise taken off what follows.

    Relevance and stock come before a score; it still orders the products of one slate.
    """
    rises = np.maximum(np.diff(scores, prepend=scores[:1]), 0)
    return np.asarray(scores - np.cumsum(rises), np.float32)
