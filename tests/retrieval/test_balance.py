import numpy as np
import pytest

from index import Hits
from retrieval.balance import Outcome, fit_weights, worth
from retrieval.fusion import fuse, reciprocal_rank_fusion


def hits(rows: np.ndarray) -> Hits:
    return Hits(rows.astype(np.int64), np.linspace(2, 1, len(rows), dtype="float32"))


def past(count: int) -> list[Outcome]:
    """Requests of which one channel knows the outcome, and one only makes noise."""
    random = np.random.default_rng(0)
    return [
        Outcome(
            {"noise": hits(random.permutation(200)[:60]), "habit": hits(np.arange(20) + i)},
            np.arange(8) + i,
        )
        for i in range(count)
    ]


def test_the_weights_that_are_fitted_are_better_than_those_they_begin_with() -> None:
    outcomes = past(30)
    start = {"noise": 1.0, "habit": 1.0, "lexical": 0.7}

    weights = fit_weights(outcomes, start, 60.0, 20)

    before, after = (worth(outcomes, given, 60.0, 20).total for given in (start, weights))
    assert after > before + 0.1
    assert weights["habit"] > weights["noise"]
    assert weights["lexical"] == 0.7


def test_the_same_requests_give_the_same_weights() -> None:
    one, two = (fit_weights(past(20), {"noise": 1.0, "habit": 0.1}, 60.0, 20) for _ in range(2))

    assert one == two


def test_the_worth_is_that_of_the_order_which_is_served() -> None:
    [outcome] = past(1)
    weights = {"noise": 0.5, "habit": 2.0}

    found = worth([outcome], weights, 60.0, 20)

    served = fuse(dict(outcome.hits), 60.0, 20, weights).rows
    assert found.recall == pytest.approx(np.isin(served, outcome.bought).sum() / 8)


def test_without_past_requests_the_weights_stay() -> None:
    assert fit_weights([], {"repeat": 2.0}, 60.0, 20) == {"repeat": 2.0}


def test_weights_multiply_the_votes_of_a_channel() -> None:
    positions = {"a": np.array([1, 0], np.int32), "b": np.array([3, 1], np.int32)}

    fused = reciprocal_rank_fusion(positions, 60.0, {"a": 3.0, "b": 0.5})

    np.testing.assert_allclose(fused, [3 / 61 + 0.5 / 63, 0.5 / 61], rtol=1e-6)
