import numpy as np
import pytest

from index import WordMatches
from retrieval.fusion.relevance import (
    NARROW,
    bands,
    order_within_bands,
    relevance,
    relevant_enough,
    word_shares,
)


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_product_that_holds_the_words_is_more_relevant_than_one_as_near_in_meaning() -> None:
    relevances = relevance(column(0.5, 0.5), column(1.0, 0.0), 0.3)

    assert relevances.tolist() == pytest.approx([0.8, 0.5])


def test_a_word_that_names_a_product_counts_more_than_one_in_its_description() -> None:
    nothing = np.zeros(3, np.float32)
    shares = word_shares(WordMatches(column(1, 0, 0), column(1, 1, 0), nothing, code=nothing))

    assert shares.tolist() == pytest.approx([1.0, 0.7, 0.0])


def test_a_product_that_the_query_names_comes_before_what_goes_with_it() -> None:
    nothing, both = column(0, 0), column(1, 1)
    laptop, stand = word_shares(WordMatches(both, both, head=column(1, 0), code=nothing))

    assert laptop > stand


def test_the_product_with_the_code_comes_before_what_is_near_in_meaning() -> None:
    nothing, code = column(0, 0), column(1, 0)
    shares = word_shares(WordMatches(code, code, nothing, code))

    coded, near = relevance(column(0.1, 0.6), shares, 0.4)

    assert coded > near


def test_a_code_does_not_decide_where_other_words_are_missing() -> None:
    nothing, half, whole = column(0, 0), column(0.5, 1.0), column(1, 0)

    vacuum, its_filter = word_shares(WordMatches(half, half, nothing, code=whole))

    assert its_filter > vacuum


def test_what_is_far_behind_does_not_answer_unless_it_holds_all_words() -> None:
    relevances, shares = column(1.2, 0.4, 0.4), column(1, 0.7, 0.2)

    assert relevant_enough(relevances, shares, 0.4).tolist() == [True, True, False]


def test_bands_are_shares_of_the_best_relevance() -> None:
    assert bands(column(1.0, 0.95, 0.85, 0.1), 0.1).tolist() == [0, 0, 1, 9]
    assert bands(column(0.5, 0.44), 0.1).tolist() == [0, 1]
    assert bands(column(), 0.1).tolist() == []


def test_where_nothing_is_like_the_query_the_order_is_still_by_relevance() -> None:
    assert np.argsort(bands(column(-0.2, -0.1, -0.3), 0.1)).tolist() == [1, 0, 2]


def test_what_sells_best_does_not_leave_its_band() -> None:
    band, in_stock = np.array([1, 0, 0]), np.ones(3, bool)

    assert order_within_bands(band, in_stock, column(100, 1, 2)).tolist() == [2, 1, 0]


def test_what_is_sold_out_stands_last_in_its_band() -> None:
    band, in_stock = np.array([0, 0, 1]), np.array([False, True, True])

    assert order_within_bands(band, in_stock, column(9, 1, 5)).tolist() == [1, 0, 2]


def test_shares_of_words_are_the_sum_that_they_say() -> None:
    named, anywhere = column(1, 1, 0.5, 0.5), column(1, 1, 1, 0.9)
    head, code = column(0, 1, 0, 1), column(1, 0, 1, 1)

    shares = word_shares(WordMatches(named, anywhere, head, code))

    assert shares.tolist() == pytest.approx([2.0, 1.125, 0.85 + 1.0, 0.78 + 0.125])


def test_what_is_just_relevant_enough_answers() -> None:
    nothing = column(0, 0, 0)

    assert relevant_enough(column(0.4, 0.2, 0.19), nothing, 0.5).tolist() == [True, True, False]
    assert relevant_enough(column(-0.1, 0.0, 0.0), nothing, 0.5).tolist() == [False, True, True]


def test_a_narrow_band_is_a_part_of_a_band() -> None:
    assert 0 < NARROW < 1
