from pathlib import Path

import numpy as np
import pytest

from pipelines.engine.engine import Engine
from pipelines.evaluation.baseline_table import holdout_table, measure
from pipelines.evaluation.baselines import BASELINES, rank_by_baselines
from pipelines.evaluation.next_basket import Holdout, hold_out, rank_by_release
from pipelines.progress import silent
from pipelines.release.parts import open_parts
from pipelines.release.store import open_release
from pipelines.shop.reader import Shop
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
