"""Sampling for the towers: requests of a step, product columns, and mined hard negatives."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from index import FaissIndex
from retrieval.towers.columns import PastColumns
from retrieval.towers.query import QueryBatch

MINED_FROM = 50  # nearest products, from which hard negatives are drawn
FLAT_BELOW = 10_000  # products; more are mined from an inverted file, which finds most of them
CELLS, EFFORT = 256, 8
UNTRAINED_ALIKE = 0.95  # cosine before training; a mined product so near to a right one is no wrong


class PastRequests(NamedTuple):
    """A batch of past requests, with the products that were right for each."""

    queries: QueryBatch  # rows are products of the catalogue
    drawn: Int64[np.ndarray, "p"]  # right products that become columns, any order, may repeat
    right: Callable[[Int64[np.ndarray, "c"]], Bool[np.ndarray, "b c"]]  # of given products
    ignored: Callable[[Int64[np.ndarray, "c"]], Bool[np.ndarray, "b c"]]  # may be right as well


@runtime_checkable
class Requests(Protocol):
    """Past requests by number."""

    size: int
    shares: Float32[np.ndarray, "n"]  # chance that a drawn right product is this one; sums to 1

    def take(self, numbers: Int64[np.ndarray, "b"], random: np.random.Generator) -> PastRequests:
        """Return these requests; what is random about them comes from `random`."""
        ...


class TowerInputs(NamedTuple):
    """Products of a batch: the first `shared` are wrong for all, the others for one request."""

    rows: Int64[np.ndarray, "c"]
    log_counts: Float32[np.ndarray, "c"]
    own: Bool[np.ndarray, "b c"] | None  # mined columns: whose they are


NO_COLUMNS = TowerInputs(np.empty(0, np.int64), np.empty(0, np.float32), None)


class Step(NamedTuple):
    """The requests of one step of a training, all of one period."""

    requests: Int64[np.ndarray, "b"]
    period: int
    random: np.random.Generator  # for all that is drawn in this step


class BatchSampler:
    """Draws the requests of each step, and the products that all of them are compared with."""

    def __init__(
        self,
        requests: Requests,
        batch_size: int,
        processes: int,
        seed: int,
        past: PastColumns | None = None,
    ) -> None:
        self._requests = requests
        self._processes = processes
        self._seed = seed
        alike = np.zeros(requests.size, np.int64)
        periods = alike if past is None or past.period_of is None else past.period_of
        self._members = [np.flatnonzero(periods == one) for one in range(periods.max() + 1)]
        everywhere = np.broadcast_to(requests.shares, (len(self._members), len(requests.shares)))
        self._shares = everywhere if past is None or past.shares is None else past.shares
        self._steps = [max(len(members) // batch_size, 1) for members in self._members]
        self._size = batch_size
        self.steps_an_epoch = sum(self._steps)

    def step(self, number: int) -> Step:
        """Return what a step learns from.

        An epoch goes through the periods in an order that is drawn, and through a permutation of
        the requests of each; of a period that does not fill its batches the rest is left out.
        """
        epoch, place = divmod(number, self.steps_an_epoch)
        random = np.random.default_rng((self._seed, epoch))
        order = random.permutation(len(self._members)).tolist()
        shuffled = [random.permutation(self._members[period]) for period in order]
        left = place
        for period, members in zip(order, shuffled, strict=True):
            if left < self._steps[period]:
                drawn = members[left * self._size : (left + 1) * self._size]
                return Step(drawn, period, np.random.default_rng((self._seed, epoch, place)))
            left -= self._steps[period]
        raise AssertionError("a step lies in one of the periods")

    def columns(self, drawn: Int64[np.ndarray, "p"], period: int = 0) -> TowerInputs:
        """Return each drawn product once, and how often a batch of a period should hold it."""
        rows = np.unique(drawn)
        short = -len(rows) % self._processes
        rows = np.concatenate([rows, np.repeat(rows[-1:], short)])
        missed = len(drawn) * np.log1p(-np.minimum(self._shares[period][rows], 1 - 1e-6))
        log_counts = np.log(np.maximum(-np.expm1(missed), 1e-9))  # 1 - (1 - share) ** draws
        return TowerInputs(rows, log_counts.astype(np.float32), None)


class NegativeMiner:
    """Mines hard negatives: wrong products whose vectors stand nearest to a request.

    Left out is what is right or may be, and what looked like a right product before anything was
    trained (false negatives; Xiong et al., ANCE, ICLR 2021, mine so from their own index).
    """

    def __init__(
        self, table: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"], count: int
    ) -> None:
        """Take the untrained vectors, the rows that may be mined, and how many for a request."""
        self._untrained = table.copy()
        self._rows = rows
        self._count = count
        self.index(table)

    def index(self, table: Float32[np.ndarray, "n d"]) -> None:
        """Index the vectors as they are now."""
        factory = "Flat" if len(self._rows) < FLAT_BELOW else f"IVF{CELLS},Flat"
        self._index = FaissIndex.build(table, factory, self._rows)
        self._index.effort = EFFORT

    def mine(
        self,
        past: PastRequests,
        vectors: Float32[np.ndarray, "b d"],
        luck: Float64[np.ndarray, "b m"],
    ) -> TowerInputs:
        """Return negatives of each request; which ones of the nearest is decided by `luck`."""
        near = self._near(vectors)
        rows = np.unique(near[near >= 0])
        if not len(rows):
            return NO_COLUMNS
        unfit = past.right(rows) | past.ignored(rows) | self._alike(past, rows)
        places = np.searchsorted(rows, near)
        fit = (near >= 0) & ~np.take_along_axis(unfit, places.clip(max=len(rows) - 1), axis=1)
        order = np.argsort(np.where(fit, luck, np.inf), axis=1)[:, : self._count]
        chosen = np.take_along_axis(fit, order, axis=1)
        own = np.zeros((len(vectors), len(rows)), bool)
        own[np.nonzero(chosen)[0], np.take_along_axis(places, order, axis=1)[chosen]] = True
        used = own.any(axis=0)
        alone = np.zeros(int(used.sum()), np.float32)  # a mined product stands for itself only
        return TowerInputs(rows[used], alone, own[:, used])

    def _near(self, vectors: Float32[np.ndarray, "b d"]) -> Int64[np.ndarray, "b m"]:
        """Return the nearest products; -1 for a zero vector, of which nothing is known."""
        near = np.full((len(vectors), MINED_FROM), -1, np.int64)
        places = np.flatnonzero(vectors.any(axis=1))
        for place, hits in zip(
            places, self._index.search(vectors[places], MINED_FROM), strict=True
        ):
            near[place, : len(hits.rows)] = hits.rows
        return near

    def _alike(self, past: PastRequests, rows: Int64[np.ndarray, "c"]) -> Bool[np.ndarray, "b c"]:
        right_rows = np.unique(past.drawn)
        near = self._untrained[rows] @ self._untrained[right_rows].T >= UNTRAINED_ALIKE
        reached: np.ndarray = past.right(right_rows).astype(np.float32) @ near.T
        return reached > 0
