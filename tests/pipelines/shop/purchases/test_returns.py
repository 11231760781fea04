from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from index import Columns
from pipelines.shop.purchases.log import read_purchases
from pipelines.shop.quality import Quality
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter

START = datetime(2024, 3, 1)
IDS = ("p1", "p2")


def bought(product: str | None = "p1", day: int = 0, quantity: float = 1, **more: Any) -> dict:
    act = {"type": "purchase", "user": "u1", "session": "", "product": product}
    return act | {"time": START + timedelta(days=day), "quantity": quantity, **more}


def returned(product: str | None = "p1", day: int = 0, quantity: float = 1, **more: Any) -> dict:
    return bought(product, day, quantity, type="refund", **more)


def left(folder: Path, *acts: dict, until: datetime | None = None) -> list[tuple[str, int]]:
    with ShopWriter(folder / "shop", name="corner", source="table") as shop:
        shop.add_products(pa.table({"id": list(IDS), "title": list(IDS)}))
        shop.add_events(pa.Table.from_pylist(list(acts)))
        shop.write_report(Quality("corner", "table").report())
    columns = Columns(pa.table({"id": list(IDS)}))
    users, rows, seconds, _ = read_purchases(Shop(folder / "shop"), columns, until).purchases
    del users
    first = int((START - datetime(1970, 1, 1)).total_seconds())
    return [(IDS[row], (at - first) // 86_400) for row, at in zip(rows, seconds, strict=True)]


def test_what_was_returned_was_not_bought(tmp_path: Path) -> None:
    acts = (bought("p1"), bought("p2"), returned("p1", 2))

    assert left(tmp_path, *acts) == [("p2", 0)]


def test_the_latest_purchase_is_the_one_that_was_returned(tmp_path: Path) -> None:
    assert left(tmp_path, bought(day=0), bought(day=5), returned(day=6)) == [("p1", 0)]


def test_a_return_in_its_order_is_of_that_order(tmp_path: Path) -> None:
    acts = (bought(day=0, session="a"), bought(day=5, session="b"), returned(day=6, session="a"))

    assert left(tmp_path, *acts) == [("p1", 5)]


def test_a_part_and_then_the_whole_of_an_order_take_back_no_other(tmp_path: Path) -> None:
    acts = (
        bought(day=0, session="a"),
        bought(day=1, session="b", quantity=2),
        returned(day=2, session="b"),
        returned(day=3, session="b", quantity=2),
    )

    assert left(tmp_path, *acts) == [("p1", 0)]


@pytest.mark.parametrize(("pieces", "days"), [(2, [0, 1]), (3, [0]), (4, [0]), (5, [])])
def test_a_purchase_of_which_some_pieces_are_left_stays(
    tmp_path: Path, pieces: int, days: list[int]
) -> None:
    acts = (bought(day=0, quantity=2), bought(day=1, quantity=3), returned(day=2, quantity=pieces))

    assert [day for _, day in left(tmp_path, *acts)] == days


def test_a_return_concerns_neither_later_purchases_nor_other_shoppers(tmp_path: Path) -> None:
    acts = (returned(day=1), bought(day=2), bought(day=0, user="u2"))

    assert left(tmp_path, *acts) == [("p1", 0), ("p1", 2)]


def test_a_return_of_a_whole_order_takes_all_of_it_back(tmp_path: Path) -> None:
    acts = (bought("p1", session="a"), bought("p2", session="a"), bought("p2", session="b"))

    assert left(tmp_path, *acts, returned(None, 3, session="a")) == [("p2", 0)]


def test_a_return_that_is_yet_to_come_leaves_no_trace(tmp_path: Path) -> None:
    acts = (bought(day=0), returned(day=2))

    assert left(tmp_path, *acts, until=START + timedelta(days=1)) == [("p1", 0)]
