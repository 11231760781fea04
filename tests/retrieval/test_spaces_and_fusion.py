import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import Hits
from retrieval.fusion import fuse, fuse_given, reciprocal_rank_fusion
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
