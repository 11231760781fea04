"""Policies learnt from a banner's log, on one that is made up."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.ranking.banner_policies import best, by_chance, examples, policies
from benchmarks.ranking.open_bandit import Log, Shop, read
from ranking.network.model import RankerSettings
from ranking.network.shape import OUTCOMES
from tests.assertions import each

LINES, FAVOURITE = 3_000, 2  # of the products for men, which are the first four of nine
HOW = RankerSettings(dim=8, heads=2, layers=1, epochs=3, learning_rate=1e-2)


@pytest.fixture(scope="module")
def banner(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, dict[str, Log]]:
    """Four products for men, of which one is clicked often, and five for women."""
    folder, random = tmp_path_factory.mktemp("banner"), np.random.default_rng(0)
    numbers = [*range(4), *range(5)]
    campaigns = ["men"] * 4 + ["women"] * 5
    kinds = {f"item_feature_{i}": [f"{n % (i + 1)}" for n in numbers] for i in (1, 2, 3)}
    items = {"item_id": numbers, "campaign": campaigns, "item_feature_0": np.arange(9.0), **kinds}
    pq.write_table(pa.table(items), folder / "item_context.parquet")
    shown = random.integers(0, 9, LINES)
    chance = np.where(shown == FAVOURITE, 0.3, 0.02)
    moments = np.datetime64("2019-11-24T00:00:01") + np.arange(LINES) * np.timedelta64(200, "s")
    lines = {
        "policy": np.where(np.arange(LINES) % 2, "bts", "random"),
        "campaign": np.array(campaigns)[shown],
        "timestamp": [f"{at}.5+00:00".replace("T", " ") for at in moments],
        "item_id": np.array(numbers)[shown],
        "position": random.integers(1, 4, LINES),
        "click": (random.random(LINES) < chance).astype(np.int64),
        "propensity_score": np.where(shown < 4, 1 / 4, 1 / 5),
        **{f"user_feature_{i}": random.choice(["x", "y"], LINES) for i in range(4)},
        **{f"user-item_affinity_{i}": np.full(LINES, float(i)) for i in range(5)},
    }
    pq.write_table(pa.table(lines), folder / "log.parquet")
    return read(folder)


def test_a_log_is_read_by_policy_with_products_of_both_campaigns_apart(
    banner: tuple[Shop, dict[str, Log]],
) -> None:
    shop, logs = banner

    assert {name: len(log.clicks) for name, log in logs.items()} == {"bts": 1_500, "random": 1_500}
    for log in logs.values():
        assert (shop.campaigns[log.products] == log.campaigns).all()
        assert log.days.tolist() == sorted(log.days)
    assert (log.clicked_before[log.campaigns == 1][0] == [0, 0, 0, 0, 0, 1, 2, 3, 4]).all()


def test_a_policy_shows_its_three_best_of_what_is_offered_and_nothing_else(
    banner: tuple[Shop, dict[str, Log]],
) -> None:
    shop, logs = banner
    worst_first = best(shop, lambda asked: np.tile(-np.arange(9.0), (len(asked.clicks), 1)))

    chances = worst_first(logs["bts"])

    men = chances[logs["bts"].campaigns == 0]
    women = chances[logs["bts"].campaigns == 1]
    assert (men[:, :3] == 1 / 3).all()
    assert (women[:, 4:7] == 1 / 3).all()
    assert np.allclose(chances.sum(axis=1), 1)


def test_chance_shows_every_product_of_the_campaign_alike(
    banner: tuple[Shop, dict[str, Log]],
) -> None:
    shop, logs = banner

    chances = by_chance(shop.offered(logs["random"]))

    shown = chances[np.arange(1_500), logs["random"].products]
    assert np.allclose(shown, logs["random"].propensities)


def test_every_policy_that_learns_finds_what_is_clicked_often(
    banner: tuple[Shop, dict[str, Log]],
) -> None:
    shop, logs = banner
    asked = logs["random"].of(logs["random"].campaigns == 0).of(np.arange(20))

    found = {
        name: float(learn(shop, logs["bts"])(asked)[:, FAVOURITE].mean())
        for name, learn in policies(HOW).items()
    }

    assert found.pop("random") == pytest.approx(1 / 4)
    assert found == pytest.approx(dict.fromkeys(found, 1 / 3))


def test_a_click_weighs_and_what_was_not_shown_came_to_nothing(
    banner: tuple[Shop, dict[str, Log]],
) -> None:
    shop, logs = banner
    clicked = logs["bts"].of(logs["bts"].clicks > 0)

    lists = examples(shop, clicked, np.full(len(clicked.clicks), 7.0))

    for one, product in each(zip(lists, clicked.products, strict=True)):
        was_shown = one.rows == product
        assert (one.labels[:, OUTCOMES.index("click")] == was_shown).all()
        assert one.weights is not None
        assert (one.weights == np.where(was_shown, 7, 1)).all()


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"item_context\.parquet is missing; --data"):
        read(tmp_path)
