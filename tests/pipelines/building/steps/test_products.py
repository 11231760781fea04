from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from index import Columns
from pipelines.building.steps.products import promotions_of
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import PRODUCT_SCHEMA
from pipelines.shop.writer import ShopWriter
from retrieval.behaviour.promotions import shares_at
from retrieval.types import PromotionKind, local_seconds

CUT = datetime(2024, 3, 10)
OFFER = {"product": "p0", "kind": "offer", "share": 1.0}


def shop_with(folder: Path, **promotion: Any) -> tuple[Shop, Columns]:
    with ShopWriter(folder / "shop", name="x", source="table") as writer:
        writer.add_products(pa.table({"id": ["p0", "p1"], "title": ["a", "b"]}))
        writer.add_promotions(pa.Table.from_pylist([OFFER | promotion]))
    shop = Shop(folder / "shop")
    Columns.write(folder / "products", shop.product_batches(), PRODUCT_SCHEMA)
    return shop, Columns.open(folder / "products")


@pytest.mark.parametrize(
    ("start", "known_from", "seen"),
    [
        (9, None, True),  # it had begun
        (10, None, False),
        (12, 8, True),  # it was planned
        (12, 10, False),
        (8, 12, False),  # it was told of later
    ],
)
def test_a_release_holds_only_promotions_that_were_known_before_its_moment(
    start: int, known_from: int | None, seen: Any, tmp_path: Path
) -> None:
    shop, products = shop_with(
        tmp_path,
        start=datetime(2024, 3, start),
        end=datetime(2024, 3, 20),
        **({} if known_from is None else {"known_from": datetime(2024, 3, known_from)}),
    )

    cut, whole = (promotions_of(shop, products, until) for until in (CUT, None))

    assert (len(cut[PromotionKind.OFFER].starts) > 0) is seen
    assert len(whole[PromotionKind.OFFER].starts) == 1


def test_a_request_sees_a_promotion_once_it_has_begun_and_is_known(tmp_path: Path) -> None:
    shop, products = shop_with(
        tmp_path,
        start=datetime(2024, 3, 2),
        end=datetime(2024, 3, 8),
        known_from=datetime(2024, 3, 5),
    )

    runs = promotions_of(shop, products, CUT)[PromotionKind.OFFER]

    at = {day: local_seconds(datetime(2024, 3, day)) for day in (1, 3, 5, 7, 8)}
    seen = {day: float(shares_at(runs, np.array([0]), moment)[0]) for day, moment in at.items()}
    assert seen == {1: 0, 3: 0, 5: 1, 7: 1, 8: 0}
