"""Candidates in their final order, with the stage that ordered them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from ranking.slate.compose import Ordered, Reasoning
from retrieval import Candidates, Stage
from retrieval.types import Because, Skipped

Rows = Int64[np.ndarray, "c"]
Reasons = Callable[[Rows], Reasoning]  # of candidates at these places


class RankedCandidates(NamedTuple):
    """Candidates in their order, how far the request got, and who can say why."""

    ordered: Ordered
    stage: Stage
    is_search: bool  # else what is eligible is all that matches
    reasons: Reasons | None = None
    skipped: tuple[Skipped, ...] = ()


def in_retrieval_order(
    candidates: Candidates,
    *,
    is_search: bool,
    stage: Stage = Stage.RETRIEVAL,
    unranked: Because | None = None,
) -> RankedCandidates:
    """Return candidates as retrieval ordered them; `unranked` says why they were not ranked."""
    ordered = Ordered(candidates, falling(candidates.fused), None, {})
    skipped = () if unranked is None else (Skipped(stage=Stage.RANKING, because=unranked),)
    return RankedCandidates(ordered, stage, is_search, skipped=skipped)


def falling(scores: Float32[np.ndarray, "c"]) -> Float32[np.ndarray, "c"]:
    """Return scores that never rise along the order given, each rise taken off what follows.

    Relevance and stock come before a score; it still orders the products of one slate.
    """
    rises = np.maximum(np.diff(scores, prepend=scores[:1]), 0)
    return np.asarray(scores - np.cumsum(rises), np.float32)
