"""What shoppers did, as columns: who bought what and when, and what follows from it."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender
from jaxtyping import Float32, Float64, Int32, Int64
from scipy import sparse

from index import map_array, save_array

DAY = 86_400
NEIGHBOURS = 50
SHRINKAGE = 5.0  # keeps two products that one person bought once from being twins
HALF_LIVES_DAYS = (7.0, 30.0, 365.0)


class Purchases(NamedTuple):
    """A purchase log, one entry a line of a receipt; any order."""

    users: Int32[np.ndarray, "e"]  # position in the sorted list of user ids
    rows: Int32[np.ndarray, "e"]
    seconds: Int64[np.ndarray, "e"]  # the shop's local time since 1970
    baskets: Int64[np.ndarray, "e"]


class History(NamedTuple):
    """One shopper's purchases before a moment, one entry a product and basket, oldest first."""

    rows: Int32[np.ndarray, "h"]
    seconds: Int64[np.ndarray, "h"]
    baskets: Int64[np.ndarray, "h"]


NO_HISTORY = History(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))


class ProductStatistics(NamedTuple):
    """What all shoppers together did with each product before `until`."""

    buyers: Float32[np.ndarray, "n"]  # distinct users
    baskets: Float32[np.ndarray, "n"]  # distinct baskets
    popularity: Float32[np.ndarray, "p n"]  # baskets, halved every 7, 30 and 365 days
    repeat_share: Float32[np.ndarray, "n"]  # of buyers who came back for it, in [0, 1]
    rhythm_days: Float32[np.ndarray, "n"]  # mean days between two purchases by one user


class Behaviour(msgspec.Struct, frozen=True):
    """Every purchase before `until_seconds`, sorted by user and time, with its statistics."""

    user_ids: np.ndarray  # sorted
    offsets: Int64[np.ndarray, "u1"]
    log: History
    statistics: ProductStatistics
    neighbours: Int32[np.ndarray, "n k"]  # item-to-item, best first; -1 where there are fewer
    similarities: Float32[np.ndarray, "n k"]
    until_seconds: int

    @classmethod
    def build(
        cls, user_ids: np.ndarray, purchases: Purchases, num_products: int, until_seconds: int
    ) -> "Behaviour":
        """Learn from the purchases strictly before `until_seconds`; the rest is not looked at."""
        log = _before(purchases, until_seconds)
        offsets = np.searchsorted(log.users, np.arange(len(user_ids) + 1)).astype(np.int64)
        neighbours, similarities = item_to_item(log, len(user_ids), num_products)
        return cls(
            user_ids=user_ids,
            offsets=offsets,
            log=History(log.rows, log.seconds, log.baskets),
            statistics=product_statistics(log, num_products, until_seconds),
            neighbours=neighbours,
            similarities=similarities,
            until_seconds=until_seconds,
        )

    @property
    def num_products(self) -> int:
        """How many products the statistics cover."""
        return len(self.statistics.buyers)

    def history(self, user_id: str | None, at_seconds: int) -> History:
        """Return what this shopper bought before a moment; empty for a stranger."""
        longest = self.user_ids.dtype.itemsize // 4
        if user_id is None or len(user_id) > longest or "\0" in user_id:
            return NO_HISTORY
        name = np.asarray(user_id, self.user_ids.dtype)
        user = int(np.searchsorted(self.user_ids, name))
        if user == len(self.user_ids) or self.user_ids[user] != name:
            return NO_HISTORY
        start, end = self.offsets[user], self.offsets[user + 1]
        end = start + np.searchsorted(self.log.seconds[start:end], at_seconds, side="left")
        return History(*(column[start:end] for column in self.log))

    def save(self, folder: Path) -> None:
        """Write the tables as `.npy` files and one JSON file."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays().items():
            save_array(folder / f"{name}.npy", array)
        about = _About(until_seconds=self.until_seconds)
        (folder / "behaviour.json").write_bytes(msgspec.json.encode(about))

    @classmethod
    def open(cls, folder: Path) -> "Behaviour":
        """Map the tables of `save` into memory."""
        about = msgspec.json.decode((folder / "behaviour.json").read_bytes(), type=_About)
        load = {path.stem: map_array(path) for path in folder.glob("*.npy")}
        return cls(
            user_ids=load["user_ids"],
            offsets=load["offsets"],
            log=History(*(load[f"log_{name}"] for name in History._fields)),
            statistics=ProductStatistics(
                *(load[f"product_{name}"] for name in ProductStatistics._fields)
            ),
            neighbours=load["neighbours"],
            similarities=load["similarities"],
            until_seconds=about.until_seconds,
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "user_ids": self.user_ids,
            "offsets": self.offsets,
            "neighbours": self.neighbours,
            "similarities": self.similarities,
            **{f"log_{name}": array for name, array in self.log._asdict().items()},
            **{f"product_{name}": array for name, array in self.statistics._asdict().items()},
        }


class _About(msgspec.Struct, frozen=True):
    until_seconds: int


def decay(
    ages_seconds: Int64[np.ndarray, "*s"], half_life_days: float
) -> Float64[np.ndarray, "*s"]:
    """Return weights in (0, 1] that halve every `half_life_days`."""
    weights: np.ndarray = np.exp2(-np.maximum(ages_seconds, 0) / (DAY * half_life_days))
    return weights


def item_to_item(
    log: Purchases, num_users: int, num_products: int
) -> tuple[Int32[np.ndarray, "n k"], Float32[np.ndarray, "n k"]]:
    """Return each product's nearest products by the cosine of who bought them.

    Item-based collaborative filtering (Sarwar et al., WWW 2001), fitted by `implicit`.
    A product is not its own neighbour.
    """
    shape = (num_users, num_products)
    counts = sparse.csr_matrix((np.ones(len(log.rows)), (log.users, log.rows)), shape=shape)
    counts.data = np.log1p(counts.data)
    lengths = np.sqrt(np.bincount(counts.indices, counts.data**2, num_products) + SHRINKAGE)
    counts.data /= lengths[counts.indices]
    neighbours = np.full((num_products, NEIGHBOURS), -1, np.int32)
    similarities = np.zeros((num_products, NEIGHBOURS), np.float32)
    if not len(log.rows):
        return neighbours, similarities
    model = ItemItemRecommender(K=NEIGHBOURS + 1, num_threads=2)
    model.fit(counts, show_progress=False)
    near = model.similarity.tocsr()
    rows = np.repeat(np.arange(num_products), np.diff(near.indptr))
    keep = near.indices != rows
    rows, columns, values = rows[keep], near.indices[keep], near.data[keep]
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    fits = place < NEIGHBOURS
    neighbours[rows[fits], place[fits]] = columns[fits]
    similarities[rows[fits], place[fits]] = values[fits]
    return neighbours, similarities


def together(behaviour: Behaviour, history: History, recent: int = 200) -> Float32[np.ndarray, "n"]:
    """Return every product's item-to-item similarity, summed over recent purchases.

    A purchase 60 days older than the newest one counts half.
    """
    rows, seconds = history.rows[-recent:], history.seconds[-recent:]
    ages = seconds.max(initial=0) - seconds
    near = behaviour.neighbours[rows]
    weights = behaviour.similarities[rows] * decay(ages, 60.0)[:, None]
    found = near >= 0
    sums = np.bincount(near[found], weights=weights[found], minlength=behaviour.num_products)
    return sums.astype(np.float32)


def product_statistics(log: Purchases, num_products: int, until_seconds: int) -> ProductStatistics:
    """Count, for every product, its baskets, its buyers and how they come back."""
    user_product = log.users.astype(np.int64) * num_products + log.rows
    order = np.argsort(user_product, kind="stable")  # keeps time order within a pair
    pairs, starts, counts = np.unique(user_product[order], return_index=True, return_counts=True)
    pair_rows = pairs % num_products
    ends = starts + counts - 1
    seconds = log.seconds[order]
    span_days = (seconds[ends] - seconds[starts]) / DAY
    buyers = np.bincount(pair_rows, minlength=num_products)
    repeaters = np.bincount(pair_rows, weights=counts > 1, minlength=num_products)
    gaps = np.bincount(pair_rows, weights=counts - 1, minlength=num_products)
    days = np.bincount(pair_rows, weights=span_days, minlength=num_products)
    ages = until_seconds - log.seconds
    popularity = [
        np.bincount(log.rows, weights=decay(ages, half_life), minlength=num_products)
        for half_life in HALF_LIVES_DAYS
    ]
    columns = (
        buyers,
        np.bincount(log.rows, minlength=num_products),
        np.stack(popularity),
        (repeaters + 0.1) / (buyers + 1.0),
        (days + 60.0) / (gaps + 1.0),
    )
    return ProductStatistics(*(column.astype(np.float32) for column in columns))


def _before(purchases: Purchases, until_seconds: int) -> Purchases:
    """Keep the first line of a product in a basket, and sort by user, time, basket and row."""
    past = Purchases(*(column[purchases.seconds < until_seconds] for column in purchases))
    order = np.lexsort((past.seconds, past.rows, past.baskets, past.users))
    users, rows, _, baskets = (column[order] for column in past)
    new = np.ones(len(rows), bool)
    new[1:] = (np.diff(users) != 0) | (np.diff(baskets) != 0) | (np.diff(rows) != 0)
    users, rows, seconds, baskets = (column[order[new]] for column in past)
    order = np.lexsort((rows, baskets, seconds, users))
    return Purchases(users[order], rows[order], seconds[order], baskets[order])
