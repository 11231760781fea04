"""Measures against hand-made lists, an independent implementation, and exact enumeration."""

import math
from itertools import product

import ir_measures
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ir_measures import Qrel, ScoredDoc, nDCG

from pipelines.metrics.intervals import mean_interval, randomisation_test
from pipelines.metrics.ranked_lists import (
    NAMES,
    measure,
    ndcg_of_list,
    overlap,
    rank_biased_overlap,
)
from ranking.network.validation import ndcg_of_logits

IDS = [f"p{i}" for i in range(30)]
LISTS = st.lists(st.sampled_from(IDS), min_size=1, max_size=30, unique=True)
JUDGED = st.dictionaries(st.sampled_from(IDS), st.integers(0, 3), min_size=1)


def column(values: np.ndarray, name: str) -> list[float]:
    return [float(v) for v in values[:, NAMES.index(name)]]


def test_ndcg_of_a_list_worked_out_by_hand_has_linear_gains() -> None:
    gains = {"a": 3.0, "b": 2.0, "c": 0.5, "d": 0.0}

    found = ndcg_of_list(["b", "x", "a", "d"], gains, 10)

    reached = 2 / math.log2(2) + 3 / math.log2(4)
    best = 3 / math.log2(2) + 2 / math.log2(3) + 0.5 / math.log2(4)
    assert found == pytest.approx(reached / best)


def test_ndcg_takes_fractions_of_a_gain() -> None:
    gains = {"exact": 1.0, "substitute": 0.1, "complement": 0.01}

    first = ndcg_of_list(["exact", "substitute", "complement"], gains, 10)
    swapped = ndcg_of_list(["exact", "complement", "substitute"], gains, 10)

    assert first == pytest.approx(1)
    assert 0.97 < swapped < 1


def test_ndcg_does_not_look_behind_its_cut() -> None:
    assert ndcg_of_list(["x", "a"], {"a": 1.0}, 1) == 0


def test_ndcg_takes_a_negative_gain_for_none() -> None:
    assert ndcg_of_list(["junk", "a"], {"a": 1.0, "junk": -2.0}, 10) == pytest.approx(
        1 / math.log2(3)
    )


@given(st.dictionaries(st.sampled_from("uvw"), LISTS, min_size=1), JUDGED)
@settings(max_examples=50, deadline=None)
def test_whole_gains_give_what_the_field_s_implementation_gives(
    rankings: dict[str, list[str]], judged: dict[str, int]
) -> None:
    gains = {query: dict.fromkeys(judged, 0.0) | judged for query in rankings}
    qrels = [Qrel(q, p, g) for q, wanted in gains.items() for p, g in wanted.items()]
    run = [ScoredDoc(q, p, -i) for q, ids in rankings.items() for i, p in enumerate(ids)]

    values = measure(rankings, gains)

    for cut in (10, 20):
        theirs = {m.query_id: m.value for m in ir_measures.iter_calc([nDCG @ cut], qrels, run)}
        ours = dict(zip(gains, column(values, f"nDCG@{cut}"), strict=True))
        assert ours == pytest.approx(theirs)


def test_the_other_measures_of_a_list_worked_out_by_hand() -> None:
    gains = {"q": {"a": 1.0, "b": 0.1, "c": 0.01, "d": 0.0}}

    values = measure({"q": ["d", "a", "x", "b"]}, gains)

    assert column(values, "recall@20") == pytest.approx([2 / 3])
    assert column(values, "recall@100") == pytest.approx([2 / 3])
    assert column(values, "MRR") == pytest.approx([1 / 2])
    assert column(values, "MAP") == pytest.approx([(1 / 2 + 2 / 4) / 3])
    assert column(values, "P@10") == pytest.approx([2 / 10])


def test_a_query_without_an_answer_or_a_relevant_product_counts_as_zero() -> None:
    gains = {"answered": {"a": 1.0}, "unanswered": {"a": 1.0}, "hopeless": {"a": 0.0}}

    values = measure({"answered": ["a"], "hopeless": ["a"]}, gains)

    assert values[0, NAMES.index("nDCG@10")] == 1
    assert not values[1:].any()


def test_the_interval_is_that_of_the_normal_law_for_many_queries(rng: np.random.Generator) -> None:
    values = rng.normal(0.4, 0.2, size=(2_000, 1))

    [interval] = mean_interval(values)

    width = 1.96 * float(values.std()) / math.sqrt(len(values))
    assert interval.mean == pytest.approx(float(values.mean()))
    assert interval.low == pytest.approx(interval.mean - width, abs=0.1 * width)
    assert interval.high == pytest.approx(interval.mean + width, abs=0.1 * width)


def test_an_interval_covers_the_truth_about_as_often_as_it_says(rng: np.random.Generator) -> None:
    intervals = mean_interval(rng.random((60, 200)))

    assert 0.9 <= np.mean([low <= 0.5 <= high for _, low, high in intervals]) <= 0.99


def test_a_difference_of_pure_chance_is_rarely_called_one(rng: np.random.Generator) -> None:
    p_values = randomisation_test(rng.random((40, 200)) - rng.random((40, 200)))

    assert np.mean(p_values < 0.05) <= 0.1


def test_the_same_values_have_the_same_interval(rng: np.random.Generator) -> None:
    values = rng.random((50, 3))

    assert mean_interval(values) == mean_interval(values)


def test_one_query_has_no_interval() -> None:
    [interval] = mean_interval(np.array([[0.5]]))

    assert interval.mean == 0.5
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_the_p_value_is_the_share_of_all_exchanges_that_are_as_extreme(
    rng: np.random.Generator,
) -> None:
    differences = rng.normal(0.5, 1, size=(10, 1))
    sums = [abs(float(np.array(s) @ differences[:, 0])) for s in product((-1, 1), repeat=10)]

    [p] = randomisation_test(differences)

    assert p == pytest.approx(np.mean(np.array(sums) >= max(sums[0], 1e-9) - 1e-12), abs=0.015)


def test_a_run_does_not_differ_from_itself() -> None:
    assert randomisation_test(np.zeros((20, 2))).tolist() == [1, 1]


def test_a_run_that_is_better_every_time_differs() -> None:
    [p] = randomisation_test(np.full((30, 1), 0.01))

    assert p < 0.001


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_equal_rankings_overlap_wholly_and_different_ones_not_at_all() -> None:
    one, other = list("abcde"), list("vwxyz")

    assert rank_biased_overlap(one, one) == pytest.approx(1.0)
    assert overlap(one, one, 10) == 1.0
    assert rank_biased_overlap(one, other) == 0.0
    assert overlap(one, other, 10) == 0.0


def test_rank_biased_overlap_is_that_of_the_paper() -> None:
    """By hand from equation 32: depths agree in 0, 2/2, 2/3 of three, with p = 0.5."""
    p = 0.5

    found = rank_biased_overlap(["a", "b", "c"], ["b", "a", "d"], p)

    assert found == pytest.approx((1 - p) / p * (0 * p + 1 * p**2 + 2 / 3 * p**3) + 2 / 3 * p**3)


def test_a_change_at_the_top_moves_rank_biased_overlap_more_than_one_below() -> None:
    page = list("abcdefghij")

    top, bottom = ["x", *page[1:]], [*page[:-1], "x"]

    assert rank_biased_overlap(page, top) < rank_biased_overlap(page, bottom) < 1


def test_a_shorter_ranking_that_begins_alike_agrees_wholly() -> None:
    page = list("abcdefghij")

    assert rank_biased_overlap(page[:4], page) == pytest.approx(1.0)
    assert rank_biased_overlap([], page) == 0.0
    assert rank_biased_overlap([], []) == 1.0


@given(st.permutations(list("abcdef")), st.permutations(list("abcxyz")))
def test_rank_biased_overlap_does_not_mind_who_is_first(one: list[str], other: list[str]) -> None:
    found = rank_biased_overlap(one, other[:4])

    assert found == pytest.approx(rank_biased_overlap(other[:4], one))
    assert 0 <= found <= 1


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 4)), min_size=1, max_size=40),
    st.integers(1, 50),
)
def test_both_ndcg_say_the_same_of_a_list(candidates: list[tuple[int, int]], k: int) -> None:
    assume(any(gain for _, gain in candidates))
    logits, gains = (np.array(column, np.float32) for column in zip(*candidates, strict=True))
    names = [f"p{i}" for i in range(len(candidates))]
    ranking = [names[i] for i in np.argsort(-logits, kind="stable")]

    of_list = ndcg_of_list(ranking, dict(zip(names, gains.tolist(), strict=True)), k)

    assert ndcg_of_logits(logits, gains, k) == pytest.approx(of_list, abs=1e-6)


def test_rank_biased_overlap_of_a_shorter_list_worked_out_by_hand() -> None:
    found = rank_biased_overlap(["a", "b"], ["b", "x", "a", "y"], p=0.5)

    agreed = 1 / 2 * 0.25 + 2 / 3 * 0.125 + 2 / 4 * 0.0625  # in common at each depth, of the depth
    padded = 1 * 1 / (2 * 3) * 0.125 + 1 * 2 / (2 * 4) * 0.0625  # as if the short one went on
    assert found == pytest.approx(agreed + padded + ((2 - 1) / 4 + 1 / 2) * 0.0625)


def test_two_empty_lists_overlap_wholly() -> None:
    assert overlap([], [], 10) == rank_biased_overlap([], []) == 1.0
    assert overlap(["a"], [], 10) == rank_biased_overlap(["a"], []) == 0.0


@pytest.mark.parametrize(
    ("name", "cut"),
    [("nDCG@10", 10), ("nDCG@20", 20), ("recall@20", 20), ("recall@100", 100), ("P@10", 10)],
)
def test_a_measure_looks_as_far_as_its_name_says(name: str, cut: int) -> None:
    ranking = [f"p{place}" for place in range(1, 130)]

    values = [measure({"q": ranking}, {"q": {f"p{place}": 1.0}}) for place in (cut, cut + 1)]

    last, behind = (row[0, NAMES.index(name)] for row in values)
    assert last > 0 == behind
