"""The input of the product tower: columns of a catalogue, and batches of them as tensors."""

from typing import NamedTuple

import numpy as np
import torch
import xxhash
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from retrieval.towers.shape import CODE_BUCKETS

MOST_CODES = 12  # attributes of a product
ONE = ("title", "description")  # at most one vector a product
SEVERAL = ("picture", "video")  # several pictures, several frames
DENSE = (*ONE, *SEVERAL)


class Dense(NamedTuple):
    """Vectors of products: those of row i are `vectors[offsets[i] : offsets[i + 1]]`."""

    vectors: Float32[np.ndarray, "m v"]
    offsets: Int64[np.ndarray, "n1"]  # one more than there are products


class TowerColumns(NamedTuple):
    """Everything about the products of a release that the tower may look at, row by row."""

    dense: dict[str, Dense]  # by one of DENSE; what the shop has
    codes: Int64[np.ndarray, "n a"]  # brand, categories, attributes, tags, hashed; 0: none
    own: Int64[np.ndarray, "n"]  # number of the product's own embedding; 0: bought too seldom
    price: Float32[np.ndarray, "n"]  # log(1 + price), standardised; NaN: unknown
    popularity: Float32[np.ndarray, "n f"]  # log(1 + baskets) by half-life, standardised

    @property
    def size(self) -> int:
        """How many products there are."""
        return len(self.own)


class PastColumns(NamedTuple):
    """What was known of the products when each request of a training was asked."""

    now: TowerColumns  # as it is when the towers are measured and served
    periods: tuple[TowerColumns, ...] = ()  # as it was where each period starts; none: as it is now
    period_of: Int64[np.ndarray, "r"] | None = None  # number of the period of each request
    shares: Float32[np.ndarray, "p n"] | None = None  # of drawn right products, by period

    def of(self, period: int) -> TowerColumns:
        """Return what was known where a period starts."""
        return self.periods[period] if self.periods else self.now


class ProductBatch(NamedTuple):
    """Some products, padded. True in a mask means: really there."""

    dense: dict[str, Float32[Tensor, "b m v"]]
    dense_mask: dict[str, Bool[Tensor, "b m"]]
    codes: Int64[Tensor, "b a"]
    own: Int64[Tensor, "b"]
    price: Float32[Tensor, "b"]
    popularity: Float32[Tensor, "b f"]


def one_each(vectors: Float32[np.ndarray, "n v"]) -> Dense:
    """Return a vector a product; a zero vector is none."""
    there = np.any(vectors != 0, axis=1)
    offsets = np.concatenate([[0], np.cumsum(there)]).astype(np.int64)
    return Dense(vectors if there.all() else vectors[there], offsets)


def code(fact: str) -> int:
    """Return a bucket from 1 to CODE_BUCKETS - 1, the same on every machine."""
    return 1 + xxhash.xxh3_64_intdigest(fact.encode()) % (CODE_BUCKETS - 1)


def take(columns: TowerColumns, rows: Int64[np.ndarray, "b"]) -> ProductBatch:
    """Return these products as tensors; codes are as many as the fullest of them has."""
    gathered = {name: _gather(dense, rows) for name, dense in columns.dense.items()}
    codes = columns.codes[rows]
    used = int((codes > 0).sum(axis=1).max(initial=0))
    return ProductBatch(
        dense={name: vectors for name, (vectors, _) in gathered.items()},
        dense_mask={name: mask for name, (_, mask) in gathered.items()},
        codes=torch.from_numpy(codes[:, : max(used, 1)]),
        own=torch.from_numpy(columns.own[rows]),
        price=torch.from_numpy(columns.price[rows]),
        popularity=torch.from_numpy(columns.popularity[rows]),
    )


def _gather(dense: Dense, rows: Int64[np.ndarray, "b"]) -> tuple[Tensor, Tensor]:
    starts, counts = dense.offsets[rows], np.diff(dense.offsets)[rows]
    most = max(int(counts.max(initial=0)), 1)
    place = np.arange(most)
    mask = place < counts[:, None]
    found = np.zeros((len(rows), most, dense.vectors.shape[1]), np.float32)
    found[mask] = dense.vectors[(starts[:, None] + place)[mask]]
    return torch.from_numpy(found), torch.from_numpy(mask)
