import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import Hits
from retrieval.fusion import (
    fuse,
    fuse_given,
    fuse_scored,
    reciprocal_rank_fusion,
    score_fusion,
)
from retrieval.spaces import has_vector, join


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
