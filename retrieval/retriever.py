"""Asks every channel that has something to say and fuses what they propose."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import Hits
from retrieval.channels.types import Channel, WordChannel
from retrieval.encoded_query import EncodedQuery
from retrieval.fusion.fusion import (
    EQUAL,
    fuse,
    fuse_given,
    fuse_normalised,
    fuse_relevant,
    fuse_scored,
    proposed,
    take,
)
from retrieval.fusion.relevance import relevance, relevant_enough, word_shares
from retrieval.types import Candidates, Searched

Scores = Float32[np.ndarray, "c"]
Fusion = Literal["relevance", "position", "minmax", "theoretical"]


class Retriever:
    """The first stage. A search asks the channels that read; anything else, those that watch."""

    def __init__(  # noqa: PLR0913 - all that the order depends on
        self,
        searching: Sequence[Channel],
        recommending: Sequence[Channel],
        *,
        per_channel: int,
        rrf_k: float,
        weights: Mapping[str, float] = EQUAL,
        scales: Mapping[str, float] | None = None,
        fusion: Fusion = "position",
        words_weight: float = 0.4,
        floor: float = 0.0,
        fallback: Channel | None = None,
    ) -> None:
        """With `scales`, recommendations are fused by score; searches as `fusion` says.

        That is by relevance (where a picture is searched by, by position), by position, or by
        scores that are normalised between the lowest and the highest (`minmax`) or between the
        lowest there can be and the highest (`theoretical`). What is
        less relevant than the share `floor` of the best does not answer a search. `fallback` fills
        recommendations that would be shorter than asked for.
        """
        self._searching = tuple(searching)
        self._words = tuple(c for c in self._searching if isinstance(c, WordChannel))
        self._recommending = tuple(recommending)
        self._per_channel = per_channel
        self._rrf_k = rrf_k
        self._weights = weights
        self._scales = scales
        self._fusion: Fusion = fusion
        self._words_weight = words_weight
        self._floor = floor
        self._fallback = fallback

    def over(self, wrap: Callable[[Channel], Channel]) -> "Retriever":
        """Return the same with each channel wrapped."""
        return self._with(
            [wrap(channel) for channel in self._searching],
            [wrap(channel) for channel in self._recommending],
            None if self._fallback is None else wrap(self._fallback),
        )

    def without(self, names: Collection[str]) -> "Retriever":
        """Return the same without the channels of these names."""
        fallback = self._fallback
        return self._with(
            [channel for channel in self._searching if channel.name not in names],
            [channel for channel in self._recommending if channel.name not in names],
            None if fallback is None or fallback.name in names else fallback,
        )

    @property
    def word_channels(self) -> tuple[str, ...]:
        """The names of the channels that search the words of a request."""
        return tuple(channel.name for channel in self._words)

    def channels(self, *, searching: bool) -> tuple[str, ...]:
        """Return the names of all channels that answer searches, or recommendations."""
        return tuple(c.name for c in (self._searching if searching else self._recommending))

    def _with(
        self,
        searching: Sequence[Channel],
        recommending: Sequence[Channel],
        fallback: Channel | None,
    ) -> "Retriever":
        return Retriever(
            searching,
            recommending,
            per_channel=self._per_channel,
            rrf_k=self._rrf_k,
            weights=self._weights,
            scales=self._scales,
            fusion=self._fusion,
            words_weight=self._words_weight,
            floor=self._floor,
            fallback=fallback,
        )

    def retrieve(self, ask: EncodedQuery, limit: int) -> Candidates:
        """Return at most `limit` products, the best fused score first.

        Every channel's score is known for every candidate, whoever proposed it, so that the
        ranker sees the same numbers here as for given candidates.
        """
        ask = self._under_operators(ask)
        candidates = self._fused(ask, limit)
        if self._fallback is None or searches(ask) or len(candidates.rows) >= limit:
            return candidates
        return _filled(candidates, self._fallback.propose(ask, limit), limit)

    def matching(self, ask: EncodedQuery) -> Int64[np.ndarray, "m"] | None:
        """Return, ascending, every row that holds all words of a search; None: it has no words."""
        if not self._words or not ask.text.strip():
            return None
        return self._words[0].holding_all(ask)

    def permitted(self, ask: EncodedQuery) -> Bool[np.ndarray, "n"] | None:
        """Return which rows the operators of a search permit; None: it has none."""
        masks = [channel.permitted(ask) for channel in self._words]
        return next((mask for mask in masks if mask is not None), None)

    def _under_operators(self, ask: EncodedQuery) -> EncodedQuery:
        """Return the request without the products that its operators exclude."""
        permitted = self.permitted(ask)
        if permitted is None:
            return ask
        allowed = permitted if ask.allowed is None else permitted & ask.allowed
        return ask._replace(allowed=allowed, where=None)

    def _fused(self, ask: EncodedQuery, limit: int) -> Candidates:
        said = self.proposals(ask, max(self._per_channel, limit))
        scales, searched = self._scales_of(ask), searches_of(said)
        theoretical = self._theoretical(ask)
        by_relevance = self._is_by_relevance(ask)
        if not said or not (scales or by_relevance or theoretical is not None):
            candidates = fuse(said, self._rrf_k, limit, self._weights)
            scores = self.scores(ask, candidates.rows)
            return msgspec.structs.replace(candidates, scores=scores, searched=searched)
        rows = proposed(said)
        scores = self.scores(ask, rows)
        if scales:
            candidates = fuse_scored(said, scores, scales, limit, self._weights)
        elif by_relevance:
            shares = self.word_shares(ask, rows)
            relevances = self._relevance(rows, scores, shares)
            enough = relevant_enough(relevances, shares, self._floor)
            candidates = fuse_relevant(said, scores, relevances, limit, enough)
        else:
            candidates = fuse_normalised(
                said, scores, limit, self._weights, theoretical=bool(theoretical)
            )
        return msgspec.structs.replace(candidates, searched=searched)

    def judged(self, ask: EncodedQuery, limit: int) -> tuple[dict[str, Hits], dict[str, Scores]]:
        """Return what `retrieve` fuses: proposals, and what each channel thinks of all of them."""
        said = self.proposals(ask, max(self._per_channel, limit))
        return said, self.scores(ask, proposed(said))

    def proposals(self, ask: EncodedQuery, k: int) -> dict[str, Hits]:
        """Return the best `k` products of each channel that has something to say."""
        hits = {c.name: c.propose(ask, k) for c in self._channels(ask)}
        return {name: h for name, h in hits.items() if h is not None}

    def order(self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]) -> Candidates:
        """Return just these rows, best first."""
        scores, scales = self.scores(ask, rows), self._scales_of(ask)
        theoretical = self._theoretical(ask)
        candidates = fuse_given(
            rows, scores, self._rrf_k, self._weights, scales, theoretical=theoretical
        )
        if not self._is_by_relevance(ask):
            return candidates
        relevances = self.relevance(ask, candidates.rows, candidates.scores)
        candidates = msgspec.structs.replace(candidates, fused=relevances, relevance=relevances)
        return take(candidates, np.argsort(-relevances, kind="stable"))

    def relevance(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"], scores: Mapping[str, Scores]
    ) -> Scores:
        """Return how well each row fits the words of a search, given the scores of the channels."""
        return self._relevance(rows, scores, self.word_shares(ask, rows))

    def _relevance(
        self, rows: Int64[np.ndarray, "c"], scores: Mapping[str, Scores], shares: Scores
    ) -> Scores:
        cosines = scores.get("semantic", np.zeros(len(rows), np.float32))
        return relevance(cosines, shares, self._words_weight)

    def word_shares(self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]) -> Scores:
        """Return the share of the words of a search that each row holds; 0 where none are read."""
        shares = np.zeros(len(rows), np.float32)
        for channel in self._words:
            shares = word_shares(channel.matches(ask, rows))
        return shares

    def scores(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> dict[str, Float32[np.ndarray, "c"]]:
        """Return what each channel that has something to say thinks of each given row."""
        scores = {c.name: c.score(ask, rows) for c in self._channels(ask)}
        return {name: column for name, column in scores.items() if column is not None}

    def _scales_of(self, ask: EncodedQuery) -> Mapping[str, float] | None:
        return None if searches(ask) else self._scales

    def _is_by_relevance(self, ask: EncodedQuery) -> bool:
        return self._fusion == "relevance" and bool(ask.text.strip()) and ask.image_vector is None

    def _theoretical(self, ask: EncodedQuery) -> bool | None:
        """Tell how scores of a search are normalised; None: it is fused by position."""
        by_score = searches(ask) and self._fusion in ("minmax", "theoretical")
        return self._fusion == "theoretical" if by_score else None

    def _channels(self, ask: EncodedQuery) -> tuple[Channel, ...]:
        return self._searching if searches(ask) else self._recommending


def _filled(candidates: Candidates, more: Hits | None, limit: int) -> Candidates:
    """Return candidates with others behind them, which nothing but the fallback speaks for."""
    if more is None:
        return candidates
    rows = more.rows[~np.isin(more.rows, candidates.rows)][: limit - len(candidates.rows)]
    count = len(rows)
    lowest = float(candidates.fused.min(initial=0))
    zeros, silent = np.zeros(count, np.float32), np.zeros(count, np.int32)
    return msgspec.structs.replace(
        candidates,
        rows=np.concatenate([candidates.rows, rows]),
        fused=np.concatenate([candidates.fused, zeros + np.float32(lowest)]),
        positions={n: np.concatenate([c, silent]) for n, c in candidates.positions.items()},
        scores={n: np.concatenate([c, zeros]) for n, c in candidates.scores.items()},
    )


def searches_of(said: Mapping[str, Hits]) -> dict[str, Searched]:
    """Return how each channel that searched vectors under a filter did so."""
    plans = {name: hits.plan for name, hits in said.items() if hits.plan is not None}
    return {
        name: Searched(way=str(plan.way), passed=plan.passed, of=plan.of, exactness=plan.exactness)
        for name, plan in plans.items()
    }


def searches(ask: EncodedQuery) -> bool:
    """Tell whether a request says or shows something; everything else is a recommendation."""
    asked = ask.text.strip() or ask.joined_vector is not None or ask.image_vector is not None
    return bool(asked)
