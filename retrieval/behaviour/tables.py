"""What shoppers did, as columns: who bought what and when, and what follows from it."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32, Int32, Int64

from index import map_array, save_array
from retrieval.behaviour.cold_start import NO_CONTENT, Bridge, Content, bridge, cross
from retrieval.behaviour.ease import EaseSettings, ease, user_matrix, wants
from retrieval.behaviour.item_to_item import next_after, together
from retrieval.behaviour.neighbours import Neighbours, no_neighbours, speak_for
from retrieval.behaviour.purchases import DAY, NO_HISTORY, History, Purchases, decay
from retrieval.behaviour.season import weeks

__all__ = [
    "DAY",
    "HALF_LIVES_DAYS",
    "NO_HISTORY",
    "Behaviour",
    "BehaviourSettings",
    "History",
    "ProductStatistics",
    "Purchases",
    "decay",
    "ease_scores",
    "next_scores",
    "selling_now",
    "together_scores",
]

HALF_LIVES_DAYS = (7.0, 30.0, 365.0)
TABLES = ("together", "next", "ease", "season")


class BehaviourSettings(NamedTuple):
    """Which tables are learned beside the statistics, and how much each may take."""

    neighbours: int = 100  # kept a product, item to item
    ease: EaseSettings = EaseSettings()
    max_memory_mb: int = 4_000
    tables: tuple[str, ...] = TABLES


DEFAULTS = BehaviourSettings()


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
    next_after: Neighbours  # what is bought in the baskets after one with the product
    ease: Neighbours
    season: Float32[np.ndarray, "w n"]  # baskets by week of last year; no weeks: not known
    bridge: Bridge
    ease_half_life_days: float
    until_seconds: int

    @classmethod
    def build(
        cls,
        user_ids: np.ndarray,
        purchases: Purchases,
        num_products: int,
        until_seconds: int,
        settings: BehaviourSettings = DEFAULTS,
        content: Content = NO_CONTENT,
    ) -> "Behaviour":
        """Learn from the purchases strictly before `until_seconds`; the rest is not looked at.

        `content` says what products look like that may turn out never to have been bought.
        """
        log = _before(purchases, until_seconds)
        offsets = np.searchsorted(log.users, np.arange(len(user_ids) + 1)).astype(np.int64)
        statistics = product_statistics(log, num_products, until_seconds)
        near, after, weights = _relations(log, len(user_ids), num_products, until_seconds, settings)
        has_season = "season" in settings.tables
        return cls(
            user_ids=user_ids,
            offsets=offsets,
            log=History(log.rows, log.seconds, log.baskets),
            statistics=statistics,
            neighbours=near.rows,
            similarities=near.weights,
            next_after=after,
            ease=weights,
            season=weeks(log, num_products, until_seconds)
            if has_season
            else np.zeros((0, num_products), np.float32),
            bridge=bridge(content, statistics.baskets > 0),
            ease_half_life_days=settings.ease.half_life_days,
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
        self.save_tables(folder)
        save_bridge(self.bridge, folder)

    def save_tables(self, folder: Path) -> None:
        """Write all but the bridge, which alone depends on what products look like."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._tables().items():
            save_array(folder / f"{name}.npy", array)
        about = _About(
            until_seconds=self.until_seconds, ease_half_life_days=self.ease_half_life_days
        )
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
            next_after=Neighbours(*(load[f"next_{name}"] for name in Neighbours._fields)),
            ease=Neighbours(*(load[f"ease_{name}"] for name in Neighbours._fields)),
            season=load["season"],
            bridge=Bridge(*(load[f"bridge_{name}"] for name in Bridge._fields)),
            ease_half_life_days=about.ease_half_life_days,
            until_seconds=about.until_seconds,
        )

    def _tables(self) -> dict[str, np.ndarray]:
        return {
            "user_ids": self.user_ids,
            "offsets": self.offsets,
            "neighbours": self.neighbours,
            "similarities": self.similarities,
            "season": self.season,
            **{f"next_{name}": array for name, array in self.next_after._asdict().items()},
            **{f"ease_{name}": array for name, array in self.ease._asdict().items()},
            **{f"log_{name}": array for name, array in self.log._asdict().items()},
            **{f"product_{name}": array for name, array in self.statistics._asdict().items()},
        }


def save_bridge(over: Bridge, folder: Path) -> None:
    """Write who inherits from whom, beside the tables of `Behaviour.save_tables`."""
    for name, array in over._asdict().items():
        save_array(folder / f"bridge_{name}.npy", array)


def until_of(folder: Path) -> int:
    """Return the second that nothing in a folder of `Behaviour.save_tables` has seen."""
    return msgspec.json.decode((folder / "behaviour.json").read_bytes(), type=_About).until_seconds


class _About(msgspec.Struct, frozen=True):
    until_seconds: int
    ease_half_life_days: float


def _relations(
    log: Purchases,
    num_users: int,
    num_products: int,
    until_seconds: int,
    settings: BehaviourSettings,
) -> tuple[Neighbours, Neighbours, Neighbours]:
    """Return what is bought together, what next, and the weights of EASE; empty where off."""
    k, memory = settings.neighbours, settings.max_memory_mb
    none = no_neighbours(num_products)
    on = settings.tables
    near = together(log, num_products, k, memory) if "together" in on else none
    after = next_after(log, num_products, k, memory) if "next" in on else none
    if "ease" not in on:
        return near, after, none
    half_life = settings.ease.half_life_days
    wanted = user_matrix(log, num_users, num_products, until_seconds, half_life)
    return near, after, ease(wanted, settings.ease)


def together_scores(
    behaviour: Behaviour, history: History, recent: int = 200
) -> Float32[np.ndarray, "n"]:
    """Return every product's item-to-item similarity, summed over recent purchases.

    A purchase 60 days older than the newest one counts half.
    """
    rows, seconds = history.rows[-recent:], history.seconds[-recent:]
    ages = seconds.max(initial=0) - seconds
    table = Neighbours(behaviour.neighbours, behaviour.similarities)
    return speak_for(table, rows, decay(ages, 60.0), behaviour.num_products)


def next_scores(
    behaviour: Behaviour, history: History, recent: int = 3
) -> Float32[np.ndarray, "n"]:
    """Return how strongly the last baskets lead to each product, each basket older half as much."""
    new = np.diff(history.baskets, prepend=-1) != 0
    age = np.cumsum(new[::-1])[::-1] - new  # baskets after the purchase's own
    kept = age < recent
    weights = np.exp2(-age[kept].astype(np.float64))
    return speak_for(behaviour.next_after, history.rows[kept], weights, behaviour.num_products)


def ease_scores(
    behaviour: Behaviour, history: History, at_seconds: int
) -> Float32[np.ndarray, "n"]:
    """Return what the whole history says about every product, by EASE.

    A product never bought gets part of the score of those that it looks like, their own purchases
    included.
    """
    rows, weights = wants(history, at_seconds, behaviour.ease_half_life_days)
    scores = speak_for(behaviour.ease, rows, weights, behaviour.num_products)
    if not len(behaviour.bridge.rows):
        return scores
    known = scores.copy()
    most = max(float(scores.max(initial=0)), 1e-6)
    known[rows] = np.minimum(known[rows] + weights.astype(np.float32) * most, most)
    filled = cross(behaviour.bridge, known)
    scores[behaviour.bridge.rows] = filled[behaviour.bridge.rows]
    return scores


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


def selling_now(statistics: ProductStatistics) -> Float32[np.ndarray, "n"]:
    """Return baskets a day of each product these weeks: what a week and a month say, added up.

    The week knows what is new or on offer; the month, what a week sees too little of.
    """
    week, month = statistics.popularity[:2]
    rates: np.ndarray = week / HALF_LIVES_DAYS[0] + month / HALF_LIVES_DAYS[1]
    return rates.astype(np.float32)


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
