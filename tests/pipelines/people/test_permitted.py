"""Consent that nobody asked for means what the configuration says, wherever acts are read."""

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from pipelines.building.build import build
from pipelines.building.steps.completions import _searches
from pipelines.config.sections import Config, ConsentConfig
from pipelines.engine.engine import Engine
from pipelines.progress import silent
from pipelines.release.parts import open_parts
from pipelines.release.store import open_release
from pipelines.shop.purchases.log import read_purchases
from pipelines.shop.purchases.unit_prices import unit_prices
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter
from pipelines.training.ranker.impressions import read_shown
from pipelines.training.ranker.setup import past_shop
from retrieval import Query
from tests.conftest import UNTIL

SECOND = pa.timestamp("s")
DENIED = ConsentConfig(train="denied")


@pytest.fixture
def silent_shop(tmp_path: Path) -> Path:
    """Somebody who was asked for nothing searched for, was shown, viewed and bought a product."""
    kinds = ["search", "impression", "impression", "click", "purchase"]
    table = pa.table(
        {
            "type": kinds,
            "user": ["u1"] * 5,
            "session": ["s"] * 5,
            "time": pa.array([datetime(2024, 1, 1, 12, i) for i in (1, 2, 2, 3, 4)], SECOND),
            "product": [None, "p1", "p2", "p1", "p1"],
            "text": ["oat milk", "", "", "", ""],
            "value": pa.array([None, None, None, None, 2.5], pa.float64()),
            "position": pa.array([None, 1, 2, 1, None], pa.int32()),
        }
    )
    products = pa.table({"id": ["p1"], "title": ["Oat milk"]})
    traits = pa.array([[("age", "old")]], pa.map_(pa.string(), pa.string()))
    with ShopWriter(tmp_path / "shop", name="Shop", source="table", pictures="none") as writer:
        writer.add_products(products)
        writer.add_events(table)
        writer.set_users(pa.table({"id": ["u1"], "traits": traits}))
    return tmp_path / "shop"


def purchases(shop: Shop, parts: Any) -> int:
    return len(read_purchases(shop, parts.products, None).purchases.rows)


def impressions(shop: Shop, parts: Any) -> int:
    return len(read_shown(shop, parts.products, None))


def searches(shop: Shop, _: Any) -> int:
    return len(list(_searches(SimpleNamespace(shop=shop, until=None))))  # type: ignore[arg-type]


def prices(shop: Shop, _: Any) -> int:
    told = [unit_prices(batch) for batch in shop.event_batches()]
    return sum(len(one) - one.null_count for one in told)


def traits(shop: Shop, parts: Any) -> int:
    return len(past_shop(parts, shop, Config(), None).traits)  # type: ignore[arg-type]


@pytest.mark.parametrize("reader", [purchases, impressions, searches, prices, traits])
def test_each_reader_that_learns_obeys_what_silence_means(
    reader: Any, silent_shop: Path, quick_releases: Path
) -> None:
    parts = open_parts(open_release(quick_releases).path)

    granted, denied = (
        reader(Shop(silent_shop, unset=unset), parts) for unset in (ConsentConfig(), DENIED)
    )

    assert (granted, denied) == (1, 0)


def test_what_silence_means_is_part_of_what_a_build_was_made_from(silent_shop: Path) -> None:
    granted, denied = Shop(silent_shop), Shop(silent_shop, unset=DENIED)

    assert granted.fingerprint("events") != denied.fingerprint("events")
    assert granted.fingerprint("users") != denied.fingerprint("users")
    assert granted.fingerprint("products") == denied.fingerprint("products")


def test_an_answer_reads_history_and_traits_only_for_purposes_that_silence_grants(
    shop: Path, quick: Config, tmp_path: Path
) -> None:
    unset = ConsentConfig(recommend="denied")
    build(shop, tmp_path, msgspec.structs.replace(quick, consent=unset), UNTIL, silent)
    known = Engine.open(tmp_path)._stages.encoder._history

    for query, is_read in ((Query(user="u1"), False), (Query(user="u1", text="milk"), True)):
        history, _ = known.of(query, 2**31)
        assert (len(history.rows) > 0, len(known.traits(query)) > 0) == (is_read, is_read)
