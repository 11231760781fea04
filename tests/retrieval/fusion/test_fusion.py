import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import Hits
from retrieval.encoders.joined_space import has_vector, join
from retrieval.fusion.fusion import (
    convex_fusion,
    fuse,
    fuse_given,
    fuse_normalised,
    fuse_relevant,
    fuse_scored,
    normalised,
    positions_by_score,
    reciprocal_rank_fusion,
    score_fusion,
)


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


def hits(*rows: int) -> Hits:
    return Hits(np.array(rows, np.int64), np.linspace(2, 1, len(rows), dtype="float32"))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_joined_product_is_the_weighted_mean_of_two_cosines(weight: float) -> None:
    texts, pictures = unit(6, 5, 0), unit(6, 3, 1)

    joined = join(texts, pictures, weight)

    expected = (1 - weight) * texts @ texts.T + weight * pictures @ pictures.T
    np.testing.assert_allclose(joined @ joined.T, expected, atol=1e-6)


def test_a_product_without_a_picture_is_all_text() -> None:
    texts, pictures = unit(2, 5, 0), unit(2, 3, 1)
    pictures[1] = 0

    joined = join(texts, pictures, 0.3)

    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(joined[1, :5], texts[1])
    assert has_vector(pictures).tolist() == [True, False]


def test_reciprocal_rank_fusion_is_the_formula() -> None:
    positions = {"a": np.array([1, 0, 2], np.int32), "b": np.array([3, 1, 0], np.int32)}

    fused = reciprocal_rank_fusion(positions, 60.0)

    np.testing.assert_allclose(fused, [1 / 61 + 1 / 63, 1 / 61, 1 / 62], rtol=1e-6)


def test_what_two_channels_propose_comes_before_what_one_does() -> None:
    candidates = fuse({"a": hits(7, 3, 5), "b": hits(9, 3)}, 60.0, 10)

    assert candidates.rows.tolist() == [3, 7, 9, 5]
    assert candidates.positions["a"].tolist() == [2, 1, 0, 3]
    assert candidates.scores["b"][1] == 0


def test_ties_are_broken_by_the_lower_row() -> None:
    candidates = fuse({"a": hits(8), "b": hits(2)}, 60.0, 10)

    assert candidates.rows.tolist() == [2, 8]


def test_no_channel_at_all_gives_no_candidates() -> None:
    assert len(fuse({}, 60.0, 10).rows) == 0


def test_given_rows_all_stay_whoever_scores_them() -> None:
    rows = np.array([4, 9, 2])

    candidates = fuse_given(rows, {"a": np.array([0, 3, 0], np.float32)}, 60.0)

    assert candidates.rows.tolist() == [9, 4, 2]
    assert candidates.fused.tolist()[1:] == [0, 0]


@given(
    lists=st.dictionaries(
        st.sampled_from("abcd"),
        st.lists(st.integers(0, 30), unique=True, max_size=20),
        min_size=1,
    ),
    limit=st.integers(1, 40),
)
@settings(max_examples=80, deadline=None)
def test_fusion_keeps_each_proposed_row_once_best_first(
    lists: dict[str, list[int]], limit: int
) -> None:
    candidates = fuse({name: hits(*rows) for name, rows in lists.items()}, 60.0, limit)

    proposed = {row for rows in lists.values() for row in rows}
    assert len(candidates.rows) == min(limit, len(proposed))
    assert len(set(candidates.rows.tolist())) == len(candidates.rows)
    assert (np.diff(candidates.fused) <= 0).all()


def test_score_fusion_is_the_formula() -> None:
    scores = {"a": np.array([3, 0, -2], np.float32), "b": np.array([0, 10, 0], np.float32)}

    fused = score_fusion(scores, {"a": 1.5, "b": 10.0}, {"a": 2.0})

    np.testing.assert_allclose(fused, [2 * np.log(3), np.log(2), 0], rtol=1e-6)


def test_a_channel_without_a_scale_has_no_vote() -> None:
    scores = {"a": np.array([1, 2], np.float32), "b": np.array([9, 0], np.float32)}

    fused = score_fusion(scores, {"a": 1.0})

    assert fused.argmax() == 1


def test_by_score_a_channel_votes_for_what_it_did_not_propose() -> None:
    said = {"a": hits(7), "b": hits(3)}
    scores = {"a": np.array([5, 9], np.float32), "b": np.array([1, 0], np.float32)}

    candidates = fuse_scored(said, scores, {"a": 1.0, "b": 1.0}, 10)

    assert candidates.rows.tolist() == [3, 7]
    assert candidates.positions["a"].tolist() == [0, 1]


def test_by_score_ties_are_broken_by_the_lower_row_and_the_limit_is_kept() -> None:
    said = {"a": hits(8, 2, 5)}
    scores = {"a": np.array([1, 1, 4], np.float32)}

    candidates = fuse_scored(said, scores, {"a": 1.0}, 2)

    assert candidates.rows.tolist() == [8, 2]


def test_by_score_no_channel_at_all_gives_no_candidates() -> None:
    assert len(fuse_scored({}, {}, {"a": 1.0}, 10).rows) == 0


def test_who_is_only_known_to_channels_that_weigh_nothing_gets_their_order() -> None:
    said = {"a": hits(8, 2)}
    scores = {"a": np.array([1, 4], np.float32)}

    by_position = fuse(said, 60.0, 10, {"a": 0.0, "b": 1.0})
    by_score = fuse_scored(said, scores, {"a": 1.0}, 10, {"a": 0.0, "b": 1.0})

    assert by_position.rows.tolist() == by_score.rows.tolist() == [8, 2]


@given(order=st.permutations("abc"), seed=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_the_order_in_which_channels_spoke_changes_nothing(order: list[str], seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = {name: random.random(50).astype(np.float32) for name in "abc"}
    scales = {"a": 0.1, "b": 1.0, "c": 7.0}

    fused = score_fusion({name: scores[name] for name in order}, scales)

    np.testing.assert_array_equal(fused, score_fusion(scores, scales))


def test_scores_are_normalised_between_the_lowest_there_can_be_and_the_highest() -> None:
    cosines = np.array([0.5, 0.0, -0.5, 0.75], np.float32)

    np.testing.assert_allclose(normalised(cosines, -1.0), [1.5 / 1.75, 0, 0.5 / 1.75, 1], rtol=1e-6)
    np.testing.assert_allclose(normalised(cosines), [0.8, 0, 0, 1], rtol=1e-6)
    assert normalised(np.array([2, 0, 2], np.float32)).tolist() == [1, 0, 1]
    assert normalised(np.zeros(2, np.float32)).tolist() == [0, 0]


def test_convex_fusion_is_the_weighted_mean_of_normalised_scores() -> None:
    scores = {
        "lexical": np.array([10, 5, 0], np.float32),
        "semantic": np.array([0.1, 0.4, 0.6], np.float32),
    }

    fused = convex_fusion(scores, {"lexical": 1.0, "semantic": 3.0}, theoretical=True)

    expected = 0.25 * np.array([1, 0.5, 0]) + 0.75 * np.array([1.1, 1.4, 1.6]) / 1.6
    np.testing.assert_allclose(fused, expected, rtol=1e-6)


@pytest.mark.parametrize("theoretical", [True, False])
def test_a_channel_of_weight_0_is_as_if_it_had_not_spoken(theoretical: bool) -> None:  # noqa: FBT001
    random = np.random.default_rng(0)
    scores = {name: random.random(9).astype(np.float32) for name in ("lexical", "semantic")}
    alone = {"lexical": scores["lexical"]}

    fused = convex_fusion(scores, {"semantic": 0.0}, theoretical=theoretical)

    np.testing.assert_array_equal(fused, convex_fusion(alone, theoretical=theoretical))


def test_a_channel_of_weight_0_changes_no_order_by_position_either() -> None:
    both = fuse({"a": hits(7, 3, 5), "b": hits(5, 3, 9)}, 60.0, 10, {"b": 0.0})

    assert both.rows.tolist() == [7, 3, 5, 9]


def test_where_all_that_spoke_weigh_0_they_weigh_1() -> None:
    scores = {"lexical": np.array([1, 2], np.float32)}

    assert convex_fusion(scores, {"lexical": 0.0}, theoretical=True).tolist() == [0.5, 1]


def test_given_rows_are_fused_by_normalised_score_as_proposed_ones_are() -> None:
    said = {"lexical": hits(4, 8), "semantic": hits(8, 6)}
    scores = {
        "lexical": np.array([3, 0, 1], np.float32),
        "semantic": np.array([0.2, 0.9, 0.8], np.float32),
    }
    rows = np.array([4, 6, 8])

    proposed = fuse_normalised(said, scores, 10, {}, theoretical=True)
    given = fuse_given(rows, scores, 60.0, {}, theoretical=True)

    assert proposed.rows.tolist() == given.rows.tolist()
    np.testing.assert_array_equal(proposed.fused, given.fused)


def test_by_position_the_scores_are_those_of_the_proposals() -> None:
    candidates = fuse({"a": hits(7, 3, 5), "b": hits(3)}, 60.0, 10)

    assert candidates.rows.tolist() == [3, 7, 5]
    assert candidates.scores["a"].tolist() == [1.5, 2.0, 1.0]
    assert candidates.scores["b"].tolist() == [2.0, 0.0, 0.0]
    assert candidates.positions["a"].tolist() == [2, 1, 3]


def test_positions_count_from_the_best_score_and_leave_out_what_has_none() -> None:
    scores = np.array([0.5, 0, 2, -1, 2], np.float32)

    assert positions_by_score(scores).tolist() == [3, 0, 1, 4, 2]


def test_by_relevance_only_what_is_relevant_enough_is_a_candidate() -> None:
    relevances = np.array([0.2, 0.9, 0.5, 0.7], np.float32)  # of rows 3, 5, 7 and 9
    enough = np.array([True, True, False, True])
    scores = {"a": np.arange(4, dtype=np.float32)}

    found = fuse_relevant({"a": hits(9, 3), "b": hits(5, 7)}, scores, relevances, 2, enough)

    assert found.rows.tolist() == [5, 9]
    assert found.fused.tolist() == found.relevance.tolist() == pytest.approx([0.9, 0.7])
    assert found.scores["a"].tolist() == [1, 3]
    assert found.positions["a"].tolist() == [0, 1]
