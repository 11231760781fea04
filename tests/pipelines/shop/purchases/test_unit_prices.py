from datetime import datetime
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from index import Columns
from pipelines.shop.purchases.log import read_purchases
from pipelines.shop.purchases.prices import prices_paid
from pipelines.shop.purchases.unit_prices import medians
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import PRODUCT_SCHEMA
from pipelines.shop.writer import ShopWriter
from retrieval.types import local_seconds
from tests.assertions import each

DAY = datetime(2024, 3, 1)
LINES = (  # type, product, day, quantity, value, consent to train
    ("purchase", "p1", 1, 2.0, 6.0, True),
    ("purchase", "p1", 2, 1.0, 5.0, True),
    ("purchase", "p1", 9, 1.0, 99.0, True),
    ("purchase", "p2", 1, 1.0, 7.0, False),
    ("view", "p3", 1, 1.0, 7.0, True),
    ("add_to_cart", "p4", 1, 1.0, 7.0, True),
    ("purchase", "p5", 1, 0.0, 7.0, True),
    ("purchase", "p6", 1, 1.0, None, True),
)


def shop_of(folder: Path) -> Shop:
    kinds, bought, days, quantities, values, consents = zip(*LINES, strict=True)
    consent = [dict.fromkeys(("search", "recommend", "ads"), True) | {"train": c} for c in consents]
    with ShopWriter(folder, name="x", source="table") as writer:
        names = [f"p{i}" for i in range(8)]
        writer.add_products(pa.table({"id": names, "title": names, "price": [50.0] * 8}))
        writer.add_events(
            pa.table(
                {
                    "type": kinds,
                    "user": ["u"] * len(LINES),
                    "session": [str(day) for day in days],
                    "time": pa.array([datetime(2024, 3, d) for d in days], pa.timestamp("s")),
                    "product": bought,
                    "quantity": quantities,
                    "value": pa.array(values, pa.float64()),
                    "consent": consent,
                }
            )
        )
    return Shop(folder)


def test_only_what_was_paid_with_consent_before_the_moment_is_a_price(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "shop")

    assert prices_paid(shop, datetime(2024, 3, 5)) == {"p1": 4.0}
    assert prices_paid(shop, None) == {"p1": 5.0}
    assert prices_paid(shop, datetime(2024, 2, 1)) == {}


def test_a_log_tells_the_usual_prices_of_each_moment_and_none_of_the_catalogue(
    tmp_path: Path,
) -> None:
    shop = shop_of(tmp_path / "shop")
    Columns.write(tmp_path / "products", shop.product_batches(), PRODUCT_SCHEMA)
    log = read_purchases(shop, Columns.open(tmp_path / "products"), None)

    usual = [
        log.before(local_seconds(datetime(2024, 3, day))).usual_prices(8) for day in (1, 5, 10)
    ]

    for found, price in each(zip(usual, (0, 4, 5), strict=True)):
        assert found.tolist() == [0, price, 0, 0, 0, 0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 900)), max_size=30))
def test_the_usual_price_is_the_median(lines: list[tuple[int, int]]) -> None:
    numbers = np.array([number for number, _ in lines], np.int64)
    prices = np.array([price for _, price in lines], np.float32)

    found = medians(numbers, prices, 4)

    for number in range(4):
        own = [price for other, price in lines if other == number]
        assert found[number] == (median(own) if own else 0)
