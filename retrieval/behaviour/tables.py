"""The behaviour tables of a release: purchases, statistics, season and relations, in one folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from jaxtyping import Bool, Float32

from index import map_array, save_array
from retrieval.behaviour.cold_start import NO_CONTENT, Bridge, Content, bridge
from retrieval.behaviour.neighbours import Neighbours
from retrieval.behaviour.purchase_log import PurchaseLog, purchases_before
from retrieval.behaviour.purchases import History, Purchases
from retrieval.behaviour.relations import BehaviourSettings, Relations
from retrieval.behaviour.season import no_weeks, weeks
from retrieval.behaviour.statistics import ProductStatistics, product_statistics

DEFAULTS = BehaviourSettings()
SETTINGS = "behaviour.json"

Table = TypeVar("Table")


class Behaviour(msgspec.Struct, frozen=True):
    """Every purchase before `until_seconds`, and what was counted and learned from them."""

    purchases: PurchaseLog
    statistics: ProductStatistics
    relations: Relations
    season: Float32[np.ndarray, "w n"]  # baskets by week of last year; no weeks: not known
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
        log = purchases_before(purchases, until_seconds)
        statistics = product_statistics(log, num_products, until_seconds)
        over = bridge(content, statistics.baskets > 0)
        has_season = "season" in settings.tables
        return cls(
            purchases=PurchaseLog.of(user_ids, log),
            statistics=statistics,
            relations=Relations.learn(
                log, len(user_ids), until_seconds, settings, over, num_products
            ),
            season=weeks(log, num_products, until_seconds)
            if has_season
            else no_weeks(num_products),
            until_seconds=until_seconds,
        )

    @property
    def num_products(self) -> int:
        """How many products the statistics cover."""
        return len(self.statistics.buyers)

    def history(self, user_id: str | None, at_seconds: int) -> History:
        """Return what this shopper bought before a moment; empty for a stranger."""
        return self.purchases.history(user_id, at_seconds)

    def save(self, folder: Path) -> None:
        """Write the tables as `.npy` files and one JSON file."""
        self.save_tables(folder)
        save_bridge(self.relations.bridge, folder)

    def save_tables(self, folder: Path) -> None:
        """Write all but the bridge, which alone depends on what products look like."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays().items():
            save_array(folder / f"{name}.npy", array)
        settings = _Settings(
            until_seconds=self.until_seconds,
            ease_half_life_days=self.relations.ease_half_life_days,
        )
        (folder / SETTINGS).write_bytes(msgspec.json.encode(settings))

    @classmethod
    def open(cls, folder: Path) -> "Behaviour":
        """Map the tables of `save` into memory."""
        settings = _settings(folder)
        arrays = {path.stem: map_array(path) for path in folder.glob("*.npy")}
        return cls(
            purchases=PurchaseLog(
                arrays["user_ids"], arrays["offsets"], _opened(History, arrays, "log")
            ),
            statistics=_opened(ProductStatistics, arrays, "product"),
            relations=Relations(
                together=Neighbours(arrays["neighbours"], arrays["similarities"]),
                next_after=_opened(Neighbours, arrays, "next"),
                ease=_opened(Neighbours, arrays, "ease"),
                bridge=_opened(Bridge, arrays, "bridge"),
                ease_half_life_days=settings.ease_half_life_days,
            ),
            season=arrays["season"],
            until_seconds=settings.until_seconds,
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays but the bridge's, by the name of their file."""
        return {
            "user_ids": self.purchases.user_ids,
            "offsets": self.purchases.offsets,
            "neighbours": self.relations.together.rows,
            "similarities": self.relations.together.weights,
            "season": self.season,
            **_named("next", self.relations.next_after),
            **_named("ease", self.relations.ease),
            **_named("log", self.purchases.entries),
            **_named("product", self.statistics),
        }


def save_bridge(over: Bridge, folder: Path) -> None:
    """Write who inherits from whom, beside the tables of `Behaviour.save_tables`."""
    for name, array in _named("bridge", over).items():
        save_array(folder / f"{name}.npy", array)


def until_of(folder: Path) -> int:
    """Return the second that nothing in a folder of `Behaviour.save_tables` has seen."""
    return _settings(folder).until_seconds


def log_of(folder: Path) -> History:
    """Return the purchases in a folder of `Behaviour.save_tables`, by user and time."""
    return History(*(map_array(folder / f"log_{name}.npy") for name in History._fields))


def bought_products(folder: Path) -> Bool[np.ndarray, "n"]:
    """Tell which products were bought, by a folder of `Behaviour.save_tables`."""
    return np.asarray(map_array(folder / "product_baskets.npy")) > 0


class _Settings(msgspec.Struct, frozen=True):
    until_seconds: int
    ease_half_life_days: float


def _settings(folder: Path) -> _Settings:
    return msgspec.json.decode((folder / SETTINGS).read_bytes(), type=_Settings)


def _named(prefix: str, table: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a named tuple by the names of their files."""
    return {f"{prefix}_{name}": array for name, array in table._asdict().items()}


def _opened(kind: type[Table], arrays: Mapping[str, np.ndarray], prefix: str) -> Table:
    """Return the named tuple whose arrays `_named` had named so."""
    fields: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    return kind(*(arrays[f"{prefix}_{name}"] for name in fields))
