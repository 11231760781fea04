from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from index import Columns
from pipelines.engine.engine import Engine
from pipelines.evaluation.baseline_table import holdout_table, measure
from pipelines.evaluation.baselines import BASELINES, rank_by_baselines
from pipelines.evaluation.next_basket import Holdout, hold_out, rank_by_release
from pipelines.progress import silent
from pipelines.release.parts import open_parts
from pipelines.release.store import open_release
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import PRODUCT_SCHEMA
from pipelines.shop.writer import ShopWriter
from tests.assertions import every
from tests.conftest import UNTIL


@pytest.fixture
def held(shop: Path, releases: Path) -> Holdout:
    products = open_parts(open_release(releases).path).products
    return hold_out(Shop(shop), products, np.ones(products.size, bool), UNTIL)


def test_only_baskets_from_the_moment_on_are_asked_for(held: Holdout) -> None:
    assert held.tests
    assert every(test.at >= UNTIL for test in held.tests)
    assert every(len(test.bought) >= 4 for test in held.tests)
    assert every(set(test.bought) <= set(held.product_ids) for test in held.tests)


def test_each_shopper_is_asked_for_once(held: Holdout) -> None:
    users = [test.user_id for test in held.tests]

    assert len(set(users)) == len(users)


def bought(user: str, day: int, names: Sequence[str]) -> list[dict[str, Any]]:
    at = UNTIL + timedelta(days=day)
    line = {"type": "purchase", "user": user, "session": f"{user} {day}", "time": at}
    return [{**line, "product": name} for name in names]


NAMES = [f"p{i}" for i in range(6)]
USUAL = NAMES[:5]  # bought ten times before the moment; p5 nine times, and often after it
LOG = [
    *(line for day in range(-20, -11) for line in bought("regular", day, NAMES)),
    *bought("regular", -11, USUAL),
    *(line for day in range(1, 9) for line in bought("regular", day, NAMES)),
    *bought("seldom", -30, ["p5"]),
    *bought("seldom", 2, NAMES),
    *bought("stranger", 3, NAMES),
]


@pytest.fixture
def small(tmp_path: Path) -> Holdout:
    lines = LOG[:]
    lines.remove(next(one for one in LOG if one["user"] == "regular" and one["product"] == "p5"))
    with ShopWriter(tmp_path / "shop", name="x", source="table") as writer:
        writer.add_products(pa.table({"id": NAMES, "title": NAMES}))
        writer.add_events(pa.Table.from_pylist(lines))
    shop = Shop(tmp_path / "shop")
    Columns.write(tmp_path / "products", shop.product_batches(), PRODUCT_SCHEMA)
    columns = Columns.open(tmp_path / "products")
    return hold_out(shop, columns, np.ones(columns.size, bool), UNTIL)


def test_only_products_that_were_bought_often_before_the_moment_are_ranked(small: Holdout) -> None:
    assert sorted(small.product_ids) == USUAL


def test_only_shoppers_who_bought_a_ranked_product_before_the_moment_are_asked_for(
    small: Holdout,
) -> None:
    assert [test.user_id for test in small.tests] == ["regular"]
    assert sorted(small.tests[0].bought) == USUAL
    assert small.tests[0].at == UNTIL + timedelta(days=1)


def test_the_release_is_measured_beside_its_baselines(
    held: Holdout, releases: Path, real_engine: Engine
) -> None:
    parts = open_parts(open_release(releases).path)

    rankings = rank_by_baselines(held, parts.behaviour, parts.products)
    rankings["vetrina"] = rank_by_release(held, real_engine, silent)
    measured = {m.method: m for m in measure(rankings, held)}

    assert list(measured) == [*BASELINES, "vetrina"]
    habit, popular = measured[BASELINES[-1]], measured["popularity"]
    assert habit.ndcg.mean > popular.ndcg.mean  # the shop of the tests is made of habits
    assert habit.ahead.mean == 0
    assert "ahead of the habit" in holdout_table(list(measured.values()), held)
