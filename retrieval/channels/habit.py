"""Behaviour channels: repeat purchases, item-to-item, EASE, season, kinds, trends."""

from abc import ABC, abstractmethod
from functools import lru_cache, partial

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from index import Hits
from retrieval.behaviour.neighbours import Neighbours, speak_for
from retrieval.behaviour.purchases import decay
from retrieval.behaviour.relations import ease_scores, next_scores, together_scores
from retrieval.behaviour.season import in_week, week_of
from retrieval.behaviour.statistics import selling_now
from retrieval.behaviour.tables import Behaviour
from retrieval.encoded_query import EncodedQuery, Visit

KIND_HALF_LIFE_DAYS = 120.0  # a taste for a kind outlives one for a product
TINY = 1e-9
SAMPLED, SPARE = 16, 2  # one score of so many tells what the best are; twice as many are taken
CACHED_WEEKS = 2  # this one, and that of an evaluation or of the turn of the week


class ScoredChannel(ABC):
    """A channel that gives every product a number; above 0 it is proposed, the highest first.

    The numbers of the last request are kept, because a request asks for them several times.
    """

    _last: tuple[EncodedQuery, Float32[np.ndarray, "n"] | None] | None = None

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the best of the products that something speaks for; None with nothing to go by."""
        scores = self._scores_once(ask)
        return None if scores is None else best(scores, k, ask)

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return each row's number, 0 where the channel speaks against it."""
        scores = self._scores_once(ask)
        return None if scores is None else np.maximum(scores[rows], 0)

    def _scores_once(self, ask: EncodedQuery) -> Float32[np.ndarray, "n"] | None:
        """Return the numbers of this very request, made once; threads may take turns here."""
        last = self._last
        if last is None or last[0] is not ask:
            last = self._last = (ask, self.scores(ask))
        return last[1]

    @abstractmethod
    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "n"] | None:
        """Return one number a product, or None where there is nothing to go by."""


class RepeatChannel(ScoredChannel):
    """Products that this shopper bought before; a purchase counts half after `half_life_days`."""

    name = "repeat"

    def __init__(self, behaviour: Behaviour, half_life_days: float) -> None:
        self._num_products = behaviour.num_products
        self._half_life_days = half_life_days

    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "n"] | None:
        """Return decayed numbers of purchases; None for a stranger."""
        if not len(ask.history.rows):
            return None
        weights = decay(ask.at_seconds - ask.history.seconds, self._half_life_days)
        sums = np.bincount(ask.history.rows, weights=weights, minlength=self._num_products)
        return sums.astype(np.float32)


class TogetherChannel(ScoredChannel):
    """Item-to-item: products bought in one basket with this shopper's recent products."""

    name = "together"

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "n"] | None:
        """Return summed similarities to the recent products; None for a stranger."""
        if not len(ask.history.rows):
            return None
        relations = self._behaviour.relations
        return with_visit(together_scores(relations, ask.history), relations.together, ask.visit)


class NextChannel(ScoredChannel):
    """Products that others bought in the baskets after one like this shopper's last ones."""

    name = "next"

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "n"] | None:
        """Return how strongly the last baskets lead to each product; None for a stranger."""
        return (
            next_scores(self._behaviour.relations, ask.history) if len(ask.history.rows) else None
        )


class EaseChannel(ScoredChannel):
    """EASE: the sum of weights, positive and negative, from the shopper's whole history."""

    name = "ease"

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "n"] | None:
        """Return sums of weights, below 0 where the history speaks against; None for a stranger."""
        if not len(ask.history.rows):
            return None
        relations = self._behaviour.relations
        scores = ease_scores(relations, ask.history, ask.at_seconds)
        return with_visit(scores, relations.ease, ask.visit)


class SeasonChannel(ScoredChannel):
    """Products that sold around this time last year; none if the log is shorter."""

    name = "season"

    def __init__(self, behaviour: Behaviour) -> None:
        self._in_week = lru_cache(CACHED_WEEKS)(partial(in_week, behaviour.season))

    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "n"] | None:
        """Return baskets in the weeks around the moment of the scene, a year before."""
        return self._in_week(int(week_of(ask.at_seconds)))


class KindChannel(ScoredChannel):
    """Products that sell now, of the kinds that this shopper buys, bought before or not."""

    name = "kind"

    def __init__(self, behaviour: Behaviour, kinds: Int32[np.ndarray, "n"]) -> None:
        """Know `kinds`, a number from 0 on for each product."""
        popularity = selling_now(behaviour.statistics).astype(np.float64)
        self._num_kinds = int(kinds.max(initial=0)) + 1
        sold = np.bincount(kinds, popularity, self._num_kinds)
        self._kinds = np.asarray(kinds, np.intp)  # what an array is looked up by is never copied
        shares = popularity / np.maximum(sold[kinds], TINY)  # of each product in its kind
        self._shares = shares.astype(np.float32)

    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "n"] | None:
        """Return purchases of the kind times the product's share in it; None for a stranger.

        That is how many of the shopper's purchases would have been this product, had the shopper
        chosen within a kind as everybody does these weeks.
        """
        if not len(ask.history.rows):
            return None
        weights = decay(ask.at_seconds - ask.history.seconds, KIND_HALF_LIFE_DAYS)
        wanted = np.bincount(self._kinds[ask.history.rows], weights, self._num_kinds)
        return np.asarray(wanted.astype(np.float32).take(self._kinds) * self._shares)


class TrendingChannel:
    """Products that all shoppers buy now: baskets a day, halved every 7 and every 30 days."""

    name = "trending"

    def __init__(self, behaviour: Behaviour) -> None:
        self._popularity = selling_now(behaviour.statistics)
        self._order = np.argsort(-self._popularity, kind="stable")
        self._order = self._order[self._popularity[self._order] > 0]

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the most bought products that are allowed."""
        order = self._order[:k]
        if ask.allowed is not None:
            order = _first_allowed(self._order, ask.allowed, k)
        return Hits(order.astype(np.int64), self._popularity[order])

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return each row's popularity."""
        return np.asarray(self._popularity[rows])


def _first_allowed(
    order: Int64[np.ndarray, "m"], allowed: Bool[np.ndarray, "n"], k: int
) -> Int64[np.ndarray, "k"]:
    """Return the first `k` rows of an order that are allowed, reading no more than is needed."""
    length = 2 * k
    while True:
        head = order[:length]
        found = head[allowed[head]]
        if len(found) >= k or length >= len(order):
            return np.asarray(found[:k])
        length *= 4


def with_visit(
    scores: Float32[np.ndarray, "n"], table: Neighbours, visit: Visit
) -> Float32[np.ndarray, "n"]:
    """Return scores and what the products of this visit say by the same table."""
    if not len(visit.rows):
        return scores
    weights: np.ndarray = np.log2(1 + visit.weights)
    summed: np.ndarray = scores + speak_for(table, visit.rows, weights, len(scores))
    return summed


def best(scores: Float32[np.ndarray, "n"], k: int, ask: EncodedQuery) -> Hits:
    """Return the allowed rows with the `k` highest scores above 0, ties by the lower row."""
    if ask.allowed is not None:
        scores = scores * ask.allowed
    rows = _promising(scores, k)
    if len(rows) > k:
        rows = rows[scores[rows] >= np.partition(scores[rows], -k)[-k]]
    rows = rows[np.argsort(-scores[rows], kind="stable")[:k]]
    return Hits(rows, scores[rows])


def _promising(scores: Float32[np.ndarray, "n"], k: int) -> Int64[np.ndarray, "m"]:
    """Return, ascending, rows with scores above 0 among which the `k` highest are.

    Every SAMPLED-th score tells about what a score must have to be among them. So few rows are
    looked at one by one; where they prove to be fewer than `k`, all scores above 0 are.
    """
    sample = scores[::SAMPLED]
    sample = sample[sample > 0]
    place = SPARE + SPARE * k // SAMPLED  # of the sample, from the top
    if place < len(sample):
        rows = np.flatnonzero(scores >= np.partition(sample, -place)[-place])
        if len(rows) >= k:
            return rows
    return np.flatnonzero(scores > 0)
