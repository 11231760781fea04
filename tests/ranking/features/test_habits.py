"""Features of habits worked out by hand, for shoppers with more baskets than are looked at."""

import math

import numpy as np
import pytest

from ranking.features.definitions import (
    NAMES,
    Catalogue,
    Matches,
    compute,
    last_baskets,
    share_of_best,
    shopper,
)
from retrieval.behaviour.purchases import DAY, Purchases
from retrieval.behaviour.tables import Behaviour

NOW = 100 * DAY
LOG = [  # user, product, day, basket
    *((0, row, day, basket) for basket, (day, row) in enumerate([(10, 0), (20, 0), (20, 1)], 1)),
    *((0, 1, 30, 4), (0, 0, 40, 5), (0, 2, 50, 6), (0, 2, 60, 7), (0, 1, 70, 8)),
    *((1, 3, day, day) for day in (95, 96, 97, 98)),
    *((2, 0, day, 200 + day) for day in (10, 60, 99)),
    *((2, 3, day, 300 + day) for day in (20, 21)),
    (3, 4, 10, 900),
]
USERS = ["ann", "bob", "cem", "dia"]


@pytest.fixture
def behaviour() -> Behaviour:
    users, rows, days, baskets = (np.array(column) for column in zip(*LOG, strict=True))
    order = np.argsort(days, kind="stable")
    columns = (users.astype(np.int32), rows.astype(np.int32), days * DAY, baskets.astype(np.int64))
    return Behaviour.build(np.array(USERS), Purchases(*(one[order] for one in columns)), 5, NOW)


def features(
    behaviour: Behaviour, user: str, row: int, prices: tuple[float, ...] = (2, 4, 0, 8, 1)
) -> dict[str, float]:
    catalogue = Catalogue(np.array([0, 0, 1, 1, 2], np.int32), np.array(prices, np.float32))
    person = shopper(catalogue, behaviour.history(user, NOW), NOW)
    [values] = compute(behaviour, catalogue, person, np.array([row]), Matches(1, {}))
    return dict(zip(NAMES, map(float, values), strict=True))


@pytest.mark.parametrize(("row", "baskets"), [(0, 1), (1, 2), (2, 2), (3, 0)])
def test_only_the_last_five_baskets_are_recent(
    behaviour: Behaviour, row: int, baskets: int
) -> None:
    assert features(behaviour, "ann", row)["recent_share"] == pytest.approx(baskets / 5)


def test_baskets_are_told_apart_also_where_their_ids_follow_each_other(
    behaviour: Behaviour,
) -> None:
    history = behaviour.history("bob", NOW)

    assert last_baskets(history, 5).tolist() == [95, 96, 97, 98]
    assert last_baskets(history, 2).tolist() == [97, 98]


@pytest.mark.parametrize(
    ("user", "row", "count", "span", "since"),
    [
        ("ann", 0, 3, 30, 60),
        ("ann", 2, 2, 10, 40),
        ("bob", 3, 4, 3, 2),
        ("cem", 0, 3, 89, 1),
        ("cem", 3, 2, 1, 79),
        ("dia", 4, 1, 0, 90),
    ],
)
def test_a_rhythm_is_the_time_since_against_the_time_between(
    behaviour: Behaviour, user: str, row: int, count: int, span: int, since: int
) -> None:
    own = features(behaviour, user, row)

    interval = (span + float(behaviour.statistics.rhythm_days[row])) / count
    assert own["own_interval"] == pytest.approx(math.log1p(interval), rel=1e-5)
    assert own["rhythm"] == pytest.approx(min(since / max(interval, 1), 5), rel=1e-5)
    assert own["days_since"] == pytest.approx(math.log1p(since), rel=1e-5)


def test_what_is_bought_each_day_is_due_each_day() -> None:
    days = np.arange(40, 100)
    zeros = np.zeros(60, np.int32)
    log = Purchases(zeros, zeros, days * DAY, days.astype(np.int64))

    own = features(Behaviour.build(np.array(["eva"]), log, 5, NOW), "eva", 0)

    product_rhythm = (59 + 60) / (59 + 1)
    assert own["rhythm"] == pytest.approx(1 / ((59 + product_rhythm) / 60), rel=1e-5)


def test_what_a_shopper_never_bought_counts_as_nothing_beside_what_was(
    behaviour: Behaviour,
) -> None:
    own = features(behaviour, "ann", 4)

    assert own["frequency_60"] == own["frequency_14"] == pytest.approx(math.log(0.01))
    assert own["days_since"] == own["category_days_since"] == pytest.approx(math.log1p(400))
    assert (own["basket_share"], own["recent_share"], own["rhythm"]) == (0, 0, 5)


def test_a_category_is_dated_by_its_last_purchase_and_shared_by_its_products(
    behaviour: Behaviour,
) -> None:
    assert features(behaviour, "ann", 0)["category_days_since"] == pytest.approx(math.log1p(30))
    assert features(behaviour, "ann", 3)["category_days_since"] == pytest.approx(math.log1p(40))
    assert features(behaviour, "dia", 4)["category_share"] == pytest.approx(1.0)


def test_a_shopper_is_described_by_baskets_their_size_and_the_absence(
    behaviour: Behaviour,
) -> None:
    ann, dia = features(behaviour, "ann", 4), features(behaviour, "dia", 0)

    assert ann["history_baskets"] == pytest.approx(math.log1p(8))
    assert ann["basket_size"] == pytest.approx(math.log1p(8 / 8))
    assert ann["absence"] == pytest.approx(math.log1p(30))
    assert dia["absence"] == pytest.approx(math.log1p(90))
    assert features(behaviour, "nobody", 0)["basket_size"] == 0


@pytest.mark.parametrize(
    ("user", "price", "habit"),
    [
        ("nobody", 0.5, math.log(0.5)),
        ("dia", 0.5, math.log(0.5 / 0.25)),
        ("dia", 0.0, 0.0),
        ("dia", 1e5, 3.0),
        ("dia", 1e-5, -3.0),
    ],
)
def test_a_price_is_against_the_mean_of_what_was_paid_within_bounds(
    behaviour: Behaviour, user: str, price: float, habit: float
) -> None:
    own = features(behaviour, user, 0, (price, 0, 0, 0, 0.25))

    assert own["price"] == pytest.approx(math.log(price) if price else 0.0, rel=1e-5)
    assert own["price_habit"] == pytest.approx(habit, rel=1e-5)


def test_a_single_basket_is_all_of_a_history(behaviour: Behaviour) -> None:
    own = features(behaviour, "dia", 4)

    assert (own["basket_share"], own["recent_share"]) == (1, 1)
    assert own["basket_size"] == pytest.approx(math.log1p(1))


def test_scores_are_shares_of_the_best_also_where_all_are_small() -> None:
    shares = share_of_best(np.array([0.5, 0.25, 0], np.float32))

    assert shares.tolist() == [1.0, 0.5, 0.0]
    assert share_of_best(np.zeros(2, np.float32)).tolist() == [0.0, 0.0]
