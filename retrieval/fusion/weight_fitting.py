"""Finds how much each channel should weigh, from requests whose outcome is known."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from index import Hits
from retrieval.fusion.fusion import positions_in, proposed, share
from retrieval.ndcg import ndcg

STEPS = (0.0, 0.1, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 6.0)  # tried for each channel in turn
ROUNDS = 3
LEAST_GAIN = 1e-4  # of the worth, for a weight to be moved
PAGE = 20


class ChannelOutcome(NamedTuple):
    """What the channels proposed to one past request, and what was bought."""

    hits: Mapping[str, Hits]
    bought: Int64[np.ndarray, "b"]  # distinct rows
    scores: Mapping[str, Float32[np.ndarray, "c"]] | None = None  # of all proposed rows, ascending


class FusionQuality(NamedTuple):
    """How good a fused order is, mean over requests, each in [0, 1]."""

    recall: float  # of what was bought, among the candidates
    ndcg: float  # of the first 20

    @property
    def total(self) -> float:
        """The sum: neither is bought with more of the other than it is worth."""
        return self.recall + self.ndcg


class FusionWeights(NamedTuple):
    """How channels are fused: by score where there are scales, else by position."""

    weights: dict[str, float]
    scales: dict[str, float]


class _Votes(NamedTuple):
    shares: Float32[np.ndarray, "channels c"]  # what a weight of 1 adds to each proposed row
    bought: Int64[np.ndarray, "b"]  # places of what was bought among the proposed rows
    size: int  # of the basket


def worth(
    outcomes: Sequence[ChannelOutcome],
    weights: Mapping[str, float],
    rrf_k: float,
    candidates: int,
    scales: Mapping[str, float] | None = None,
) -> FusionQuality:
    """Return how good these weights are, by score where scales are given, else by position."""
    names = sorted(scales) if scales else _names(outcomes)
    votes = (
        [_votes_by_score(outcome, scales) for outcome in outcomes]
        if scales
        else [_votes(outcome, names, rrf_k) for outcome in outcomes]
    )
    return _worth(votes, np.array([weights.get(name, 1.0) for name in names]), candidates)


def gains(
    outcomes: Sequence[ChannelOutcome],
    channel: str,
    start: Mapping[str, float],
    rrf_k: float,
    candidates: int,
) -> Float64[np.ndarray, "r"]:
    """Return what a channel adds to the worth of each request, fitted on other requests.

    Every second request is fused as is best for those between, with the channel and without.
    """
    rest = [without(outcome, channel) for outcome in outcomes]
    having, lacking = (_cross_fitted(given, start, rrf_k, candidates) for given in (outcomes, rest))
    return np.asarray((having - lacking).sum(axis=1))


def cross_fitted_worth(
    outcomes: Sequence[ChannelOutcome], start: Mapping[str, float], rrf_k: float, candidates: int
) -> FusionQuality:
    """Return how good fitted weights are on requests that did not fit them.

    Every second request is fused as is best for those between, and the other way round (two-fold
    cross-fitting).
    """
    means = _cross_fitted(outcomes, start, rrf_k, candidates).mean(axis=0)
    return FusionQuality(*means.tolist())


def _cross_fitted(
    outcomes: Sequence[ChannelOutcome], start: Mapping[str, float], rrf_k: float, candidates: int
) -> Float64[np.ndarray, "r 2"]:
    """Return recall and nDCG of each request, fused by what was fitted on the other half."""
    found = np.zeros((len(outcomes), 2))
    for half in (0, 1):
        fitted = fit_fusion_weights(outcomes[1 - half :: 2], start, rrf_k, candidates)
        for place in range(half, len(outcomes), 2):
            one, scales = outcomes[place], fitted.scales or None
            found[place] = worth([one], fitted.weights, rrf_k, candidates, scales)
    return found


def without(outcome: ChannelOutcome, channel: str) -> ChannelOutcome:
    """Return the outcome as it would be had the channel not been asked."""
    hits = {name: found for name, found in outcome.hits.items() if name != channel}
    places = np.searchsorted(proposed(outcome.hits), proposed(hits))
    scores = outcome.scores and {
        name: column[places] for name, column in outcome.scores.items() if name != channel
    }
    return ChannelOutcome(hits, outcome.bought, scores)


def fit_fusion_weights(
    outcomes: Sequence[ChannelOutcome], start: Mapping[str, float], rrf_k: float, candidates: int
) -> FusionWeights:
    """Return the better of the best weights by position and the best by score.

    By score only where every outcome holds scores. A tie is fused by position.
    """
    by_position = fit_weights(outcomes, start, rrf_k, candidates)
    scales = fit_scales(outcomes, candidates)
    if not scales:
        return FusionWeights(by_position, {})
    votes = [_votes_by_score(outcome, scales) for outcome in outcomes]
    by_score = _climb(votes, sorted(scales), start, candidates)
    gain = (
        worth(outcomes, by_score, rrf_k, candidates, scales).total
        - worth(outcomes, by_position, rrf_k, candidates).total
    )
    return FusionWeights(by_score, scales) if gain > 0 else FusionWeights(by_position, {})


def fit_scales(outcomes: Sequence[ChannelOutcome], candidates: int) -> dict[str, float]:
    """Return a score of each channel that is just worth mentioning.

    The median, over requests, of the score of a channel's last proposal among as many as there
    are candidates. Empty where an outcome holds no scores.
    """
    if any(outcome.scores is None for outcome in outcomes):
        return {}
    lasts: dict[str, list[float]] = {}
    for outcome in outcomes:
        for name, last in _last_scores(outcome.hits, candidates).items():
            lasts.setdefault(name, []).append(last)
    medians = {name: float(np.median(found)) for name, found in sorted(lasts.items())}
    return {name: scale for name, scale in medians.items() if scale > 0}


def _last_scores(hits: Mapping[str, Hits], candidates: int) -> dict[str, float]:
    """Return the score of each channel's last proposal among as many as there are candidates."""
    return {name: float(h.scores[:candidates][-1]) for name, h in hits.items() if len(h.rows)}


def fit_weights(
    outcomes: Sequence[ChannelOutcome], start: Mapping[str, float], rrf_k: float, candidates: int
) -> dict[str, float]:
    """Return weights by position that are at least as good as `start` on these requests.

    Coordinate search: each channel in alphabetical order tries a few weights while the others
    stand still, three times over. Maximised is recall among the candidates plus nDCG@20. The same
    requests give the same weights; what no request heard of keeps its own.
    """
    names = _names(outcomes)
    votes = [_votes(outcome, names, rrf_k) for outcome in outcomes]
    return _climb(votes, names, start, candidates)


def _climb(
    votes: Sequence[_Votes], names: Sequence[str], start: Mapping[str, float], candidates: int
) -> dict[str, float]:
    weights = np.array([start.get(name, 1.0) for name in names])
    best = _worth(votes, weights, candidates).total if votes else 0.0
    for _ in range(ROUNDS):
        before = best
        for place in range(len(names)):
            for step in STEPS:
                tried = weights.copy()
                tried[place] = step
                found = _worth(votes, tried, candidates).total if tried.any() else 0.0
                if found > best + LEAST_GAIN:
                    best, weights = found, tried
        if best == before:
            break
    return {**start, **dict(zip(names, weights.tolist(), strict=True))}


def _names(outcomes: Sequence[ChannelOutcome]) -> list[str]:
    return sorted({name for outcome in outcomes for name in outcome.hits})


def _votes(outcome: ChannelOutcome, names: Sequence[str], rrf_k: float) -> _Votes:
    rows = proposed(outcome.hits)
    shares = np.zeros((len(names), len(rows)), np.float32)
    for name, positions in positions_in(outcome.hits, rows).items():
        shares[names.index(name)] = np.where(positions > 0, 1 / (rrf_k + positions), 0)
    return _Votes(shares, np.flatnonzero(np.isin(rows, outcome.bought)), len(outcome.bought))


def _votes_by_score(outcome: ChannelOutcome, scales: Mapping[str, float]) -> _Votes:
    rows = proposed(outcome.hits)
    shares = np.zeros((len(scales), len(rows)), np.float32)
    for place, name in enumerate(sorted(scales)):
        column = (outcome.scores or {}).get(name)
        if column is not None:
            shares[place] = share(column, scales[name])
    return _Votes(shares, np.flatnonzero(np.isin(rows, outcome.bought)), len(outcome.bought))


def _worth(votes: Sequence[_Votes], weights: np.ndarray, candidates: int) -> FusionQuality:
    sums = np.array([_worth_of(one, weights.astype(np.float32), candidates) for one in votes])
    recall, ndcg = sums.mean(axis=0)
    return FusionQuality(float(recall), float(ndcg))


def _worth_of(votes: _Votes, weights: np.ndarray, candidates: int) -> tuple[float, float]:
    fused = weights @ votes.shares
    ranks = _ranks(fused, votes.bought)
    hit = np.zeros(PAGE)
    hit[ranks[ranks < min(PAGE, candidates)]] = 1
    found = np.count_nonzero(ranks < candidates)
    return found / votes.size, ndcg(hit, np.ones(votes.size), PAGE)


def _ranks(
    fused: Float32[np.ndarray, "c"], places: Int64[np.ndarray, "b"]
) -> Int64[np.ndarray, "b"]:
    """Return how many stand before each of these places, best first, ties by the lower place.

    A basket has a few products, so that counting takes a tenth of putting thousands in order.
    """
    ranks = [
        np.count_nonzero(fused > score) + np.count_nonzero(fused[:place] == score)
        for place, score in zip(places.tolist(), fused[places], strict=True)
    ]
    return np.array(ranks, np.int64)
