import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.slate.exposure import (
    RankedLists,
    coverage,
    discounts,
    gini,
    moved,
    of_groups,
    of_products,
    ratio_interval,
    ratios,
    shares,
)

NUM_PRODUCTS, NUM_GROUPS, NUM_REQUESTS = 12, 3, 30
GROUP_OF = np.arange(NUM_PRODUCTS) % NUM_GROUPS


def lists(seed: int, length: int = 6) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.permutation(NUM_PRODUCTS)[:length].tolist() for _ in range(NUM_REQUESTS)]


def shown(ranked: list[list[int]]) -> RankedLists:
    entries = [
        (request, product, position)
        for request, products in enumerate(ranked)
        for position, product in enumerate(products, start=1)
    ]
    return RankedLists(*(np.array(column) for column in zip(*entries, strict=True)))


def by_group(ranked: list[list[int]]) -> np.ndarray:
    return of_groups(shown(ranked), GROUP_OF, len(ranked), NUM_GROUPS)


def test_a_position_gives_the_exposure_of_the_formula() -> None:
    assert discounts(np.array([1, 3, 7])).tolist() == pytest.approx([1, 1 / 2, 1 / 3])


def test_two_lists_are_added_up_as_by_hand() -> None:
    ranked = [[0, 1, 2], [4, 3]]

    found = by_group(ranked)

    second, third = 1 / np.log2(3), 1 / 2
    assert found.tolist() == [pytest.approx([1, second, third]), pytest.approx([second, 1, 0])]
    assert of_products(shown(ranked), 6).tolist() == pytest.approx([1, second, third, second, 1, 0])


@given(st.integers(0, 10_000), st.integers(1, NUM_PRODUCTS))
def test_shares_are_one_together_and_no_exposure_is_lost(seed: int, length: int) -> None:
    ranked = lists(seed, length)

    groups = by_group(ranked)

    assert shares(groups.sum(axis=0)).sum() == pytest.approx(1)
    assert shares(groups).sum(axis=1).tolist() == pytest.approx([1] * NUM_REQUESTS)
    assert groups.sum() == pytest.approx(of_products(shown(ranked), NUM_PRODUCTS).sum())


def test_nothing_shown_has_no_shares() -> None:
    assert shares(np.zeros(3)).tolist() == [0, 0, 0]


def test_a_group_that_goes_to_the_top_gains_and_the_others_lose() -> None:
    before = lists(1, NUM_PRODUCTS)
    after = [sorted(products, key=lambda p: GROUP_OF[p] != 2) for products in before]

    ratio = ratios(*(shares(by_group(ranked).sum(axis=0)) for ranked in (before, after)))
    ends = ratio_interval(by_group(before), by_group(after))

    assert ratio[2] > 1 > ratio[:2].max()
    assert ends.low[2] > 1 > ends.high[:2].max()
    assert (ends.low <= ratio).all()
    assert (ratio <= ends.high).all()


def test_swapping_before_and_after_inverts_the_ratio_and_its_interval() -> None:
    before, after = by_group(lists(1)), by_group(lists(2))

    forth, back = ratio_interval(before, after), ratio_interval(after, before)

    totals = before.sum(axis=0), after.sum(axis=0)
    assert ratios(*totals).tolist() == pytest.approx((1 / ratios(*totals[::-1])).tolist())
    assert forth.low.tolist() == pytest.approx((1 / back.high).tolist())
    assert forth.high.tolist() == pytest.approx((1 / back.low).tolist())


def test_the_same_lists_have_a_ratio_of_one_and_move_nothing() -> None:
    same = by_group(lists(4))

    ends = ratio_interval(same, same)

    assert ends.low.tolist() == ends.high.tolist() == [1, 1, 1]
    assert moved(same.sum(axis=0), same.sum(axis=0)) == 0


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    everything = by_group([ranked for seed in range(150) for ranked in lists(seed)])
    halves = everything[::2], everything[1::2]
    samples = [(halves[0][i : i + 45], halves[1][i : i + 45]) for i in range(0, 2250, 45)]

    held = [ratio_interval(*sample) for sample in samples]

    share = np.mean([(ends.low <= 1) & (ends.high >= 1) for ends in held])
    assert 0.85 < share < 1


def test_a_group_without_exposure_before_has_no_ratio() -> None:
    before, after = np.array([[1.0, 0.0]] * 5), np.array([[1.0, 1.0]] * 5)

    ends = ratio_interval(before, after)

    assert np.isnan(ratios(before.sum(axis=0), after.sum(axis=0))[1])
    assert np.isinf(ends.low[1])
    assert ends.high[0] == pytest.approx(0.5)


def test_one_request_has_no_interval() -> None:
    one = np.ones((1, 2))

    assert np.isnan(ratio_interval(one, one).low).all()


def test_what_changes_its_group_is_counted_once() -> None:
    assert moved(np.array([6.0, 4.0, 0.0]), np.array([3.0, 4.0, 3.0])) == pytest.approx(0.3)


def test_coverage_and_gini_say_how_few_are_shown() -> None:
    even, one = np.ones(4), np.array([0.0, 0.0, 0.0, 5.0])

    assert (coverage(even), coverage(one), coverage(np.zeros(0))) == (1, 0.25, 0)
    assert (gini(even), gini(one), gini(np.zeros(3))) == (pytest.approx(0), 0.75, 0)
    assert gini(np.array([1.0, 3.0])) == pytest.approx(0.25)  # |1 - 3| / 2 / 2 / mean 2, by hand


def test_gini_is_half_the_mean_difference_over_the_mean() -> None:
    exposure = np.random.default_rng(5).pareto(1.5, 40)

    differences = np.abs(exposure[:, None] - exposure[None, :]).mean()

    assert gini(exposure) == pytest.approx(differences / 2 / exposure.mean())
