"""Reads the Open Bandit Dataset (Saito et al. 2020): what a banner showed, what was clicked."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ranking.network.examples import RankedProducts

CAMPAIGNS = ("men", "women")
PLACES = 3
POLICIES = ("bts", "random")  # that filled the places: Bernoulli Thompson sampling, and chance
MOST_LINES = 2_000_000


class Log(NamedTuple):
    """Impressions in the order of time: one product at one place each."""

    products: np.ndarray  # rows of the shop
    campaigns: np.ndarray
    places: np.ndarray  # from 1
    clicks: np.ndarray
    propensities: np.ndarray  # of this product at this place
    seconds: np.ndarray
    days: np.ndarray  # from 0
    traits: np.ndarray  # [n 4], a number a value
    clicked_before: np.ndarray  # [n p], times that this shopper had

    def of(self, kept: np.ndarray) -> "Log":
        return Log(*(column[kept] for column in self))


class Shop(NamedTuple):
    """The products of both campaigns, and which campaign each belongs to."""

    products: RankedProducts
    campaigns: np.ndarray

    def offered(self, log: Log) -> np.ndarray:
        """Tell which products each impression could have shown, [n p]."""
        return self.campaigns == log.campaigns[:, None]


def read(folder: Path) -> tuple[Shop, dict[str, Log]]:
    """Return the products, and the log of each policy."""
    for name in ("item_context.parquet", "log.parquet"):
        if not (folder / name).is_file():
            raise SystemExit(
                f"{folder / name} is missing; --data is a folder with it, from its publisher"
            )
    if pq.read_metadata(folder / "log.parquet").num_rows > MOST_LINES:
        raise SystemExit(f"{folder / 'log.parquet'} has more than {MOST_LINES:,} lines; cut it")
    items = pq.read_table(folder / "item_context.parquet").sort_by(
        [("campaign", "ascending"), ("item_id", "ascending")]
    )
    lines = pq.read_table(folder / "log.parquet").sort_by("timestamp")
    log, policies = log_of(lines, items), np.asarray(lines["policy"])
    return shop_of(items), {name: log.of(policies == name) for name in POLICIES}


def shop_of(items: pa.Table) -> Shop:
    """Return products whose vector is their number, their three kinds, and which they are."""
    kinds = [one_hot(items[f"item_feature_{i}"]) for i in (1, 2, 3)]
    number = np.asarray(items["item_feature_0"])[:, None]
    vectors = np.concatenate([number, *kinds, np.eye(items.num_rows)], axis=1)
    categories = kinds[0].argmax(axis=1)
    products = RankedProducts(vectors.astype(np.float32), categories.astype(np.int32))
    return Shop(products, campaigns_of(items))


def log_of(lines: pa.Table, items: pa.Table) -> Log:
    campaigns, of_products = campaigns_of(lines), campaigns_of(items)
    first = np.searchsorted(of_products, np.arange(len(CAMPAIGNS)))
    texts = pc.utf8_slice_codeunits(lines["timestamp"], 0, len("2019-11-24 00:00:00"))
    seconds = np.array(texts.to_pylist(), "datetime64[s]").astype(np.int64)
    traits = [codes(lines[f"user_feature_{i}"]) for i in range(4)]
    return Log(
        products=first[campaigns] + np.asarray(lines["item_id"]),
        campaigns=campaigns,
        places=np.asarray(lines["position"]),
        clicks=np.asarray(lines["click"]).astype(np.float64),
        propensities=np.asarray(lines["propensity_score"]),
        seconds=seconds,
        days=seconds // 86_400 - seconds.min() // 86_400,
        traits=np.stack(traits, axis=1),
        clicked_before=clicked_before(lines, campaigns, of_products),
    )


def clicked_before(lines: pa.Table, campaigns: np.ndarray, of_products: np.ndarray) -> np.ndarray:
    """Return how often each shopper had clicked each product of the campaign."""
    found = np.zeros((lines.num_rows, len(of_products)))
    for campaign in range(len(CAMPAIGNS)):
        own, columns = campaigns == campaign, np.flatnonzero(of_products == campaign)
        names = [f"user-item_affinity_{i}" for i in range(len(columns))]
        counts = np.stack([lines[name].fill_null(0).to_numpy() for name in names], axis=1)
        found[np.ix_(own, columns)] = counts[own]
    return found


def campaigns_of(lines: pa.Table) -> np.ndarray:
    found = pc.index_in(lines["campaign"], value_set=pa.array(CAMPAIGNS))
    return np.asarray(found).astype(np.int64)


def one_hot(column: pa.ChunkedArray) -> np.ndarray:
    numbers = codes(column)
    return np.eye(numbers.max() + 1)[numbers]


def codes(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.combine_chunks().dictionary_encode().indices)
