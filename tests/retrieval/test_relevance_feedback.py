import numpy as np
import pytest

from retrieval.relevance_feedback import DISLIKED_WEIGHT, LIKED_WEIGHT, rocchio

X, Y, Z = np.eye(3, dtype=np.float32)


def marks(*weights: float) -> np.ndarray:
    return np.array(weights, np.float32)


def test_words_alone_are_left_as_they_are() -> None:
    assert rocchio(X, np.zeros((0, 3), np.float32), marks()) == pytest.approx(X)


def test_a_query_moves_to_what_is_liked_and_away_from_what_is_not() -> None:
    found = rocchio(X, np.stack([Y, Z]), marks(1, -1))

    expected = X + LIKED_WEIGHT * Y - DISLIKED_WEIGHT * Z
    assert found == pytest.approx(expected / np.linalg.norm(expected))


def test_liked_products_are_averaged_by_their_weights() -> None:
    found = rocchio(None, np.stack([X, Y]), marks(1.0, 0.5))

    assert found is not None
    assert found[0] / found[1] == pytest.approx(2)


def test_dislikes_alone_ask_for_nothing() -> None:
    assert rocchio(None, X[None], marks(-1)) is None


def test_what_cancels_out_asks_for_nothing() -> None:
    assert rocchio(None, np.stack([X, -X]), marks(1, 1)) is None
