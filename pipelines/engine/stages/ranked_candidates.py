"""Candidates in their final order, with the stage that ordered them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

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
    ordered = Ordered(candidates, candidates.fused, None, {})
    return RankedCandidates(ordered, Stage.RETRIEVAL, is_search)
