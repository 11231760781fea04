"""Finds how much each channel should weigh, from requests whose outcome is known."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import Hits

STEPS = (0.0, 0.1, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 6.0)  # tried for each channel in turn
ROUNDS = 3
LEAST_GAIN = 1e-4  # of the worth, for a weight to be moved
PAGE = 20


class Outcome(NamedTuple):
    """What the channels proposed to one past request, and what was bought."""

    hits: Mapping[str, Hits]
    bought: Int64[np.ndarray, "b"]  # distinct rows


class Worth(NamedTuple):
    """How good a fused order is, mean over requests, each in [0, 1]."""

    recall: float  # of what was bought, among the candidates
    ndcg: float  # of the first 20

    @property
    def total(self) -> float:
        """The sum: neither is bought with more of the other than it is worth."""
        return self.recall + self.ndcg


class _Votes(NamedTuple):
    shares: Float32[np.ndarray, "channels c"]  # 1 / (rrf_k + position)
    bought: Bool[np.ndarray, "c"]
    size: int  # of the basket


def worth(
    outcomes: Sequence[Outcome], weights: Mapping[str, float], rrf_k: float, candidates: int
) -> Worth:
    """Return how good these weights are."""
    names = _names(outcomes)
    votes = [_votes(outcome, names, rrf_k) for outcome in outcomes]
    return _worth(votes, np.array([weights.get(name, 1.0) for name in names]), candidates)


def fit_weights(
    outcomes: Sequence[Outcome], start: Mapping[str, float], rrf_k: float, candidates: int
) -> dict[str, float]:
    """Return weights that are at least as good as `start` on these requests.

    Coordinate search: each channel in alphabetical order tries a few weights while the others
    stand still, three times over. Maximised is recall among the candidates plus nDCG@20. The same
    requests give the same weights; what no request heard of keeps its own.
    """
    names = _names(outcomes)
    votes = [_votes(outcome, names, rrf_k) for outcome in outcomes]
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


def _names(outcomes: Sequence[Outcome]) -> list[str]:
    return sorted({name for outcome in outcomes for name in outcome.hits})


def _votes(outcome: Outcome, names: list[str], rrf_k: float) -> _Votes:
    lists = [hits.rows for hits in outcome.hits.values()]
    rows = np.unique(np.concatenate(lists or [np.empty(0, np.int64)]))
    shares = np.zeros((len(names), len(rows)), np.float32)
    for place, name in enumerate(names):
        if name in outcome.hits:
            proposed = outcome.hits[name].rows
            votes = 1 / (rrf_k + np.arange(1, len(proposed) + 1))
            shares[place, np.searchsorted(rows, proposed)] = votes
    return _Votes(shares, np.isin(rows, outcome.bought), len(outcome.bought))


def _worth(votes: Sequence[_Votes], weights: np.ndarray, candidates: int) -> Worth:
    sums = np.array([_worth_of(one, weights.astype(np.float32), candidates) for one in votes])
    recall, ndcg = sums.mean(axis=0)
    return Worth(float(recall), float(ndcg))


def _worth_of(votes: _Votes, weights: np.ndarray, candidates: int) -> tuple[float, float]:
    fused = weights @ votes.shares
    order = np.argsort(-fused, kind="stable")[:candidates]
    hit = votes.bought[order]
    discounts = 1 / np.log2(np.arange(2, PAGE + 2))
    page = hit[:PAGE]
    ideal = discounts[: min(votes.size, PAGE)].sum()
    return hit.sum() / votes.size, (page * discounts[: len(page)]).sum() / ideal
