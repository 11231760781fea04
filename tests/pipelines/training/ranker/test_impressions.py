from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from index import Columns
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import PRODUCT_SCHEMA
from pipelines.shop.writer import ShopWriter
from pipelines.training.ranker.impressions import HEAVIEST, read_shown
from ranking.network.shape import OUTCOMES

NOON = datetime(2024, 3, 4, 12)
CLICK, CART, PURCHASE = (OUTCOMES.index(name) for name in ("click", "cart", "purchase"))


def shown(product: str, **more: Any) -> dict[str, Any]:
    given = {"type": "impression", "user": "ann", "session": "s", "time": NOON, "product": product}
    return {**given, **more}


def did(kind: str, product: str, **more: Any) -> dict[str, Any]:
    return shown(product, **{"type": kind, "time": NOON + timedelta(minutes=1), **more})


@pytest.fixture
def products(tmp_path: Path) -> Columns:
    table = pa.table({"id": ["a", "b", "c"], "title": ["A", "B", "C"]})
    with ShopWriter(tmp_path / "other", name="x", source="table") as shop:
        written = shop.add_products(table)
    Columns.write(tmp_path / "products.arrow", written.to_batches(), PRODUCT_SCHEMA)
    return Columns.open(tmp_path / "products.arrow")


def shop_of(folder: Path, *events: dict[str, Any]) -> Shop:
    with ShopWriter(folder / "shop", name="x", source="table") as shop:
        shop.add_products(pa.table({"id": ["a", "b", "c"], "title": ["A", "B", "C"]}))
        names = sorted({name for event in events for name in event})
        rows = [{name: event.get(name) for name in names} for event in events]
        shop.add_events(pa.Table.from_pylist(rows))
    return Shop(folder / "shop")


def test_what_came_of_each_product_shown_is_its_label(tmp_path: Path, products: Columns) -> None:
    shop = shop_of(
        tmp_path,
        shown("a"),
        shown("b"),
        shown("c"),
        did("click", "b"),
        did("click", "c"),
        did("purchase", "c"),
    )

    [one] = read_shown(shop, products, None)

    assert one.rows.tolist() == [0, 1, 2]
    assert one.labels[:, CLICK].tolist() == [0, 1, 1]
    assert one.labels[:, CART].tolist() == [0, 0, 0]
    assert one.labels[:, PURCHASE].tolist() == [0, 0, 1]
    assert np.isnan(one.labels[:, OUTCOMES.index("relevance")]).all()
    assert one.weights.tolist() == [1, 1, 1]


def test_an_act_of_another_shopper_or_before_it_or_days_later_is_none_of_it(
    tmp_path: Path, products: Columns
) -> None:
    shop = shop_of(
        tmp_path,
        shown("a"),
        shown("b"),
        did("click", "a", user="bob"),
        did("click", "c"),
        did("click", "b", time=NOON - timedelta(minutes=1)),
        did("click", "b", time=NOON + timedelta(hours=25)),
    )

    [one] = read_shown(shop, products, None)

    assert not one.came()


def test_an_act_counts_for_the_latest_time_that_its_product_was_shown(
    tmp_path: Path, products: Columns
) -> None:
    hours = [NOON + timedelta(hours=hour) for hour in range(3)]
    shop = shop_of(
        tmp_path,
        *(shown(p, time=hour) for hour in hours for p in "ab"),
        did("click", "a", time=hours[1] + timedelta(minutes=59)),
        did("purchase", "a", time=hours[2], session="basket 7"),
    )

    lists = read_shown(shop, products, None)

    assert [one.labels[0, CLICK] for one in lists] == [0, 1, 0]
    assert [one.labels[0, PURCHASE] for one in lists] == [0, 0, 1]
    assert not any(one.labels[1, [CLICK, CART, PURCHASE]].any() for one in lists)


def test_each_act_counts_once_where_two_windows_show_its_product_at_once(
    tmp_path: Path, products: Columns
) -> None:
    windows = ("home", "cart")
    shop = shop_of(
        tmp_path, *(shown(p, placement=w) for w in windows for p in "ab"), did("click", "a")
    )

    lists = read_shown(shop, products, None)

    assert {one.placement: one.labels[0, CLICK] for one in lists} == {"home": 1, "cart": 0}


def test_a_product_that_stands_twice_in_a_list_keeps_its_click(
    tmp_path: Path, products: Columns
) -> None:
    shop = shop_of(tmp_path, shown("a"), shown("b"), shown("a"), did("click", "a"))

    [one] = read_shown(shop, products, None)

    assert one.labels[:, CLICK].tolist() == [1, 0]


def test_a_list_is_one_moment_of_one_window(tmp_path: Path, products: Columns) -> None:
    later = NOON + timedelta(minutes=5)
    shop = shop_of(
        tmp_path,
        *(shown(p, placement="home") for p in "ab"),
        *(shown(p, placement="cart") for p in "bc"),
        *(shown(p, placement="home", time=later) for p in "ac"),
        shown("a", session="alone"),  # one product teaches nothing
    )

    found = read_shown(shop, products, None)

    assert [(one.placement, one.rows.tolist()) for one in found] == [
        ("cart", [1, 2]),
        ("home", [0, 1]),
        ("home", [0, 2]),
    ]


def test_nothing_at_or_after_the_end_and_nothing_without_consent_is_read(
    tmp_path: Path, products: Columns
) -> None:
    no = {"consent": {"search": True, "recommend": True, "ads": True, "train": False}}
    yes = {"consent": {"search": True, "recommend": True, "ads": True, "train": True}}
    shop = shop_of(
        tmp_path,
        *(shown(p, **yes) for p in "ab"),
        *(shown(p, user="bob", **no) for p in "ab"),
        did("click", "a", **yes),
    )

    [whole] = read_shown(shop, products, None)
    [cut] = read_shown(shop, products, NOON + timedelta(seconds=30))

    assert whole.user_id == cut.user_id == "ann"
    assert whole.came()
    assert not cut.came()


def test_a_logged_propensity_weighs_and_has_a_bound(tmp_path: Path, products: Columns) -> None:
    shop = shop_of(tmp_path, shown("a", propensity=0.5), shown("b", propensity=0.001), shown("c"))

    [one] = read_shown(shop, products, None)

    assert one.weights.tolist() == [2, HEAVIEST, 1]


def test_what_is_no_probability_weighs_as_if_it_had_not_been_logged(
    tmp_path: Path, products: Columns
) -> None:
    odd = {"a": 7.0, "b": -0.5, "c": float("nan")}
    shop = shop_of(tmp_path, *(shown(name, propensity=chance) for name, chance in odd.items()))

    [one] = read_shown(shop, products, None)

    assert one.weights.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("bound", "kept"), [("MOST_LISTS", [2]), ("MOST_BYTES", [2]), ("MOST_SHOWN", [2])]
)
def test_of_a_log_that_is_too_long_the_newest_is_kept(
    tmp_path: Path, products: Columns, monkeypatch: pytest.MonkeyPatch, bound: str, kept: list[int]
) -> None:
    monkeypatch.setattr(f"pipelines.training.ranker.impressions.{bound}", 1)
    days = [NOON + timedelta(days=day) for day in range(3)]
    shop = shop_of(tmp_path, *(shown(p, time=day) for day in days for p in "ab"))

    found = read_shown(shop, products, None)

    noon = int((NOON - datetime(1970, 1, 1)).total_seconds())
    assert [(one.at_seconds - noon) // 86_400 for one in found] == kept


def test_places_weigh_by_how_seldom_they_are_looked_at(tmp_path: Path, products: Columns) -> None:
    random = np.random.default_rng(0)
    events = []
    for number in range(400):
        order = random.permutation(["a", "b", "c"])
        for place, product in enumerate(order, 1):
            events.append(shown(product, user=f"u{number}", position=place))
            if random.random() < 0.8 / place:
                events.append(did("click", product, user=f"u{number}"))

    lists = read_shown(shop_of(tmp_path, *events), products, None)
    weights = np.sort(np.stack([one.weights for one in lists]), axis=1)

    np.testing.assert_allclose(weights.mean(axis=0), [1, 2, 3], rtol=0.2)
