"""Asks every channel that has something to say and fuses what they propose."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from jaxtyping import Float32, Int64

from index import Hits
from retrieval.ask import Ask
from retrieval.fusion import EQUAL, fuse, fuse_given, fuse_scored, proposed
from retrieval.types import Candidates, Searched


@runtime_checkable
class Channel(Protocol):
    """One reason to propose a product. None means: this request is not for me."""

    @property
    def name(self) -> str:
        """How explanations call the channel."""
        ...

    def propose(self, ask: Ask, k: int) -> Hits | None:
        """Return the best `k` products of the channel."""
        ...

    def score(self, ask: Ask, rows: Int64[np.ndarray, "c"]) -> Float32[np.ndarray, "c"] | None:
        """Return the channel's score of each given row, 0 for no opinion."""
        ...


class Retriever:
    """The first stage. A search asks the channels that read; anything else, those that watch."""

    def __init__(
        self,
        searching: Sequence[Channel],
        recommending: Sequence[Channel],
        *,
        per_channel: int,
        rrf_k: float,
        weights: Mapping[str, float] = EQUAL,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        """With `scales`, recommendations are fused by score; searches always by position."""
        self._searching = tuple(searching)
        self._recommending = tuple(recommending)
        self._per_channel = per_channel
        self._rrf_k = rrf_k
        self._weights = weights
        self._scales = scales

    def over(self, wrap: Callable[[Channel], Channel]) -> "Retriever":
        """Return the same with each channel wrapped."""
        return Retriever(
            [wrap(channel) for channel in self._searching],
            [wrap(channel) for channel in self._recommending],
            per_channel=self._per_channel,
            rrf_k=self._rrf_k,
            weights=self._weights,
            scales=self._scales,
        )

    def retrieve(self, ask: Ask, limit: int) -> Candidates:
        """Return at most `limit` products, the best fused score first.

        Every channel's score is known for every candidate, whoever proposed it, so that the
        ranker sees the same numbers here as for given candidates.
        """
        depth = max(self._per_channel, limit)
        said = self.proposals(ask, depth)
        scales, searched = self._scales_of(ask), searches_of(said)
        if scales:
            scores = self.scores(ask, proposed(said))
            candidates = fuse_scored(said, scores, scales, limit, self._weights)
            return msgspec.structs.replace(candidates, searched=searched)
        candidates = fuse(said, self._rrf_k, limit, self._weights)
        scores = self.scores(ask, candidates.rows)
        return msgspec.structs.replace(candidates, scores=scores, searched=searched)

    def proposals(self, ask: Ask, k: int) -> dict[str, Hits]:
        """Return the best `k` products of each channel that has something to say."""
        hits = {c.name: c.propose(ask, k) for c in self._channels(ask)}
        return {name: h for name, h in hits.items() if h is not None}

    def order(self, ask: Ask, rows: Int64[np.ndarray, "c"]) -> Candidates:
        """Return just these rows, best first."""
        scores, scales = self.scores(ask, rows), self._scales_of(ask)
        return fuse_given(rows, scores, self._rrf_k, self._weights, scales)

    def scores(self, ask: Ask, rows: Int64[np.ndarray, "c"]) -> dict[str, Float32[np.ndarray, "c"]]:
        """Return what each channel that has something to say thinks of each given row."""
        scores = {c.name: c.score(ask, rows) for c in self._channels(ask)}
        return {name: column for name, column in scores.items() if column is not None}

    def _scales_of(self, ask: Ask) -> Mapping[str, float] | None:
        return None if searches(ask) else self._scales

    def _channels(self, ask: Ask) -> tuple[Channel, ...]:
        return self._searching if searches(ask) else self._recommending


def searches_of(said: Mapping[str, Hits]) -> dict[str, Searched]:
    """Return how each channel that searched vectors under a filter did so."""
    plans = {name: hits.plan for name, hits in said.items() if hits.plan is not None}
    return {
        name: Searched(way=str(plan.way), passed=plan.passed, of=plan.of, exactness=plan.exactness)
        for name, plan in plans.items()
    }


def searches(ask: Ask) -> bool:
    """Tell whether a request says or shows something; everything else is a recommendation."""
    asked = ask.text.strip() or ask.joined_vector is not None or ask.image_vector is not None
    return bool(asked)
