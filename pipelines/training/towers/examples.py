"""Turns a purchase log into past requests for the towers: what was known, and what was bought."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from scipy import sparse

from retrieval import Placement, Scene
from retrieval.behaviour.purchases import History
from retrieval.behaviour.recent import recent_products
from retrieval.behaviour.tables import Behaviour
from retrieval.context_facts import FactVocabulary, hashed_facts
from retrieval.towers.query import QueryBatch
from retrieval.towers.sampling import PastRequests

DRAWN = 4  # right products of a basket that become columns
SEARCH_SHARE = 0.25  # of requests are asked in words, where there are words for the basket
STRANGERS = 0.05  # chance that a request's history is not seen
MOST_PERIODS = 12  # each with what was known of the products where it starts
LEAST_IN_PERIOD = 64  # requests, so that a batch of one period holds enough products
LOOKED_BACK = 500  # newest purchases that are looked at for the distinct ones


class TitleWords(NamedTuple):
    """Which words stand in which product's title, and searches that are made of them."""

    held: sparse.csr_matrix  # products x words
    searches: Int64[np.ndarray, "s 2"]  # first and last word of each search, equal where it is one
    vectors: Float32[np.ndarray, "s v"]  # of the searches, in the joined space
    meant: Int64[np.ndarray, "s"]  # the product that a search was made from, sorted
    texts: list[str]  # the searches themselves


class RequestSizes(NamedTuple):
    """How wide the parts of a request are."""

    text: int
    picture: int
    recent: int


class BasketRequests:
    """Each basket of a log as one request; some of them as a search for one of its products."""

    def __init__(
        self,
        behaviour: Behaviour,
        titles: Int64[np.ndarray, "n"],
        traits: dict[str, dict[str, str]],
        words: TitleWords | None,
        sizes: RequestSizes,
        country: str,
    ) -> None:
        self._behaviour = behaviour
        self._titles = titles  # number of each product's title: twins have the same
        self._traits = traits
        self._words = words
        self._meant = np.empty(0, np.int64) if words is None else words.meant
        self._sizes = sizes
        self._country = country
        log = behaviour.purchases.entries
        users = np.repeat(
            np.arange(len(behaviour.purchases.user_ids)), np.diff(behaviour.purchases.offsets)
        )
        new = (np.diff(users, prepend=-1) != 0) | (np.diff(log.baskets, prepend=-1) != 0)
        self._starts = np.flatnonzero(new)
        self._ends = np.append(self._starts[1:], len(log.rows))
        self._users = users[self._starts]
        self.size = len(self._starts)
        self.shares = self._shares_of(np.arange(self.size))

    def _shares_of(self, numbers: Int64[np.ndarray, "b"]) -> Float32[np.ndarray, "n"]:
        """Return the chance of each product to be the right one that is drawn from these."""
        baskets = [self._basket(number) for number in numbers.tolist()]
        rows = np.concatenate([np.empty(0, np.int64), *baskets])
        lengths = np.array([len(one) for one in baskets], np.int64)
        weight = np.repeat(1 / lengths, lengths)  # of a line, drawn alike from every basket
        drawn = np.bincount(rows, weight, minlength=self._behaviour.num_products)
        return np.asarray(drawn / max(drawn.sum(), 1), np.float32)

    def shares_by_period(self, period_of: Int64[np.ndarray, "r"]) -> Float32[np.ndarray, "p n"]:
        """Return the same chances among the requests of each period."""
        periods = range(int(period_of.max(initial=-1)) + 1)
        return np.stack([self._shares_of(np.flatnonzero(period_of == one)) for one in periods])

    def periods(self) -> tuple[Int64[np.ndarray, "p"], Int64[np.ndarray, "r"]]:
        """Return where each period starts, in seconds, and the period of each request.

        Periods hold about as many requests each; a request is never older than its period's start.
        """
        at = np.asarray(self._behaviour.purchases.entries.seconds[self._starts], np.int64)
        count = min(max(self.size // LEAST_IN_PERIOD, 1), MOST_PERIODS)
        ranked = np.sort(at)
        starts = np.unique(ranked[[self.size * period // count for period in range(count)]])
        return starts, np.searchsorted(starts, at, side="right") - 1

    def take(self, numbers: Int64[np.ndarray, "b"], random: np.random.Generator) -> PastRequests:
        """Return these baskets as requests."""
        baskets = [self._basket(int(number)) for number in numbers]
        searches = np.array([self._search(basket, random) for basket in baskets], np.int64)
        right, drawn = [], []
        for basket, search in zip(baskets, searches, strict=True):
            wanted = basket if search < 0 else self._meant[[search]]
            right.append(wanted)
            drawn.append(random.choice(wanted, DRAWN))
        columns = [self._request(int(n), s, random) for n, s in zip(numbers, searches, strict=True)]
        recent, recent_facts, facts = (np.stack(c) for c in zip(*columns, strict=True))
        used = max(int((recent >= 0).sum(axis=1).max()), 1)
        queries = QueryBatch(
            text=torch.from_numpy(self._texts(searches)),
            picture=torch.zeros(len(numbers), max(self._sizes.picture, 1)),
            marked=torch.full((len(numbers), 0), -1),
            marks=torch.zeros(len(numbers), 0),
            recent=torch.from_numpy(recent[:, :used]),
            recent_facts=torch.from_numpy(recent_facts[:, :used]),
            facts=torch.from_numpy(self._numbered(facts)),
        )
        return PastRequests(
            queries,
            np.concatenate(drawn),
            partial(_holds, right),
            partial(self._may_be_right, right, searches),
        )

    def _basket(self, number: int) -> Int64[np.ndarray, "b"]:
        rows = self._behaviour.purchases.entries.rows[self._starts[number] : self._ends[number]]
        return np.asarray(rows, np.int64)

    def _request(
        self, number: int, search: int, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        start, user = int(self._starts[number]), int(self._users[number])
        first = max(int(self._behaviour.purchases.offsets[user]), start - LOOKED_BACK)
        first = start if random.random() < STRANGERS else first
        log = self._behaviour.purchases.entries
        at = int(log.seconds[start])
        history = History(*(column[first:start] for column in log))
        recent, recent_facts = recent_products(history, at, self._sizes.recent)
        placement = Placement.HOME if search < 0 else Placement.SEARCH
        return recent, recent_facts, self._facts(number, placement)

    def _facts(self, number: int, placement: Placement) -> Int64[np.ndarray, "f"]:
        at = int(self._behaviour.purchases.entries.seconds[self._starts[number]])
        user = str(self._behaviour.purchases.user_ids[self._users[number]])
        scene = Scene(placement=placement, country=self._country)
        return hashed_facts(at, self._traits.get(user, {}), scene)

    @cached_property
    def facts(self) -> FactVocabulary:
        """The facts of all requests."""
        placements = [Placement.HOME, *[Placement.SEARCH] * (self._words is not None)]
        return FactVocabulary.of(
            self._facts(number, placement)
            for number in range(self.size)
            for placement in placements
        )

    def _numbered(self, codes: Int64[np.ndarray, "b f"]) -> Int64[np.ndarray, "b g"]:
        """Return the numbers of the facts, as many columns as are used."""
        numbers = self.facts.numbers(codes)
        used = np.flatnonzero((numbers > 0).any(axis=0))
        return numbers[:, : 1 + int(used.max(initial=0))]

    def _search(self, basket: Int64[np.ndarray, "b"], random: np.random.Generator) -> int:
        """Return the number of a search for a product of the basket, or -1."""
        chance, row, which = random.random(), int(random.choice(basket)), random.random()
        if self._words is None or chance >= SEARCH_SHARE:
            return -1
        first, last = np.searchsorted(self._words.meant, [row, row + 1])
        return int(first + which * (last - first)) if last > first else -1

    def _texts(self, searches: Int64[np.ndarray, "b"]) -> Float32[np.ndarray, "b v"]:
        texts = np.zeros((len(searches), self._sizes.text), np.float32)
        asked = searches >= 0
        if self._words is not None:
            texts[asked] = self._words.vectors[searches[asked]]
        return texts

    def _may_be_right(
        self,
        right: Sequence[Int64[np.ndarray, "p"]],
        searches: Int64[np.ndarray, "b"],
        rows: Int64[np.ndarray, "c"],
    ) -> Bool[np.ndarray, "b c"]:
        """Tell which products bear a right one's title, or all the words of the search."""
        titles = self._titles[rows]
        found = np.stack([np.isin(titles, self._titles[wanted]) for wanted in right])
        asked = np.flatnonzero(searches >= 0)
        if self._words is not None and len(asked):
            held = self._words.held[rows]
            for place in asked:
                words = np.unique(self._words.searches[searches[place]])
                found[place] |= np.asarray(held[:, words].sum(axis=1)).ravel() == len(words)
        return np.asarray(found & ~_holds(right, rows), bool)


def _holds(
    right: Sequence[Int64[np.ndarray, "p"]], rows: Int64[np.ndarray, "c"]
) -> Bool[np.ndarray, "b c"]:
    return np.stack([np.isin(rows, wanted) for wanted in right])


def title_numbers(titles: Sequence[str]) -> Int64[np.ndarray, "n"]:
    """Number the titles, equal ones alike."""
    return np.unique(np.asarray([t.casefold() for t in titles]), return_inverse=True)[1].astype(
        np.int64
    )


def split_words(title: str) -> list[str]:
    """Return the words of a title, as searches are made of them."""
    return title.casefold().replace(",", " ").split()
