import numpy as np
import pytest

from index import Hits
from retrieval.fusion.fusion import fuse, fuse_scored, reciprocal_rank_fusion
from retrieval.fusion.weight_fitting import (
    STEPS,
    ChannelOutcome,
    cross_fitted_worth,
    fit_fusion_weights,
    fit_scales,
    fit_weights,
    gains,
    without,
    worth,
)


def hits(rows: np.ndarray) -> Hits:
    return Hits(rows.astype(np.int64), np.linspace(2, 1, len(rows), dtype="float32"))


def past(count: int) -> list[ChannelOutcome]:
    """Requests of which one channel knows the outcome, and one only makes noise."""
    random = np.random.default_rng(0)
    return [
        ChannelOutcome(
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


def test_a_channel_gains_what_it_knows_and_noise_gains_nothing() -> None:
    start = {"noise": 1.0, "habit": 1.0}

    habit, noise = (gains(past(40), name, start, 60.0, 20) for name in ("habit", "noise"))

    assert len(habit) == len(noise) == 40
    assert habit.mean() > 0.5
    assert abs(noise.mean()) < 0.05


def test_weights_are_judged_on_requests_that_did_not_fit_them() -> None:
    """Every second request is known to one channel, those between to the other."""
    outcomes = [
        ChannelOutcome(
            {"one": hits(right if i % 2 else wrong), "two": hits(wrong if i % 2 else right)},
            np.arange(8) + i,
        )
        for i in range(40)
        for right, wrong in [(np.arange(20) + i, np.arange(100, 160))]
    ]
    start = {"one": 1.0, "two": 1.0}

    judged = cross_fitted_worth(outcomes, start, 60.0, 20)

    fitted = fit_fusion_weights(outcomes, start, 60.0, 20)
    own = worth(outcomes, fitted.weights, 60.0, 20, fitted.scales or None)
    halves = [fit_fusion_weights(outcomes[half::2], start, 60.0, 20) for half in (1, 0)]
    expected = [
        worth([one], halves[i % 2].weights, 60.0, 20, halves[i % 2].scales or None).total
        for i, one in enumerate(outcomes)
    ]
    assert judged.total == pytest.approx(np.mean(expected))
    assert judged.total < own.total - 0.2


def test_an_outcome_without_a_channel_keeps_the_scores_of_the_others() -> None:
    one, two = hits(np.array([3, 5])), hits(np.array([5, 9]))
    scores = {"one": np.float32([3, 5, 0]), "two": np.float32([0, 50, 90])}  # of rows 3, 5, 9

    found = without(ChannelOutcome({"one": one, "two": two}, np.array([5]), scores), "one")

    assert set(found.hits) == {"two"}
    assert found.scores is not None
    assert {name: column.tolist() for name, column in found.scores.items()} == {"two": [50, 90]}


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


def sure(count: int) -> list[ChannelOutcome]:
    """Requests in which only how high a channel scores tells what is bought, not the position."""
    random = np.random.default_rng(1)
    found = []
    for _ in range(count):
        rows = np.sort(random.choice(100, 40, replace=False))
        doubt, proof = rows[:20], rows[20:]
        said = {
            "doubt": Hits(doubt, np.linspace(1.2, 1, 20).astype("float32")),
            "proof": Hits(proof, np.linspace(40, 1, 20).astype("float32")),
        }
        scores = {
            "doubt": np.concatenate([said["doubt"].scores, np.zeros(20, np.float32)]),
            "proof": np.concatenate([np.zeros(20, np.float32), said["proof"].scores]),
        }
        found.append(ChannelOutcome(said, np.concatenate([proof[:10], doubt[:2]]), scores))
    return found


def test_channels_are_fused_by_score_where_that_finds_more() -> None:
    outcomes = sure(30)

    balance = fit_fusion_weights(outcomes, {"doubt": 1.0, "proof": 1.0}, 60.0, 12)

    by_position = fit_weights(outcomes, {"doubt": 1.0, "proof": 1.0}, 60.0, 12)
    assert balance.scales
    assert (
        worth(outcomes, balance.weights, 60.0, 12, balance.scales).total
        > worth(outcomes, by_position, 60.0, 12).total
    )


def test_the_worth_by_score_is_that_of_the_order_which_is_served() -> None:
    [outcome] = sure(1)
    scales = {"doubt": 1.0, "proof": 3.0}
    assert outcome.scores is not None

    found = worth([outcome], {"doubt": 0.7}, 60.0, 12, scales)

    served = fuse_scored(outcome.hits, dict(outcome.scores), scales, 12, {"doubt": 0.7}).rows
    assert found.recall == pytest.approx(np.isin(served, outcome.bought).sum() / 12)


def test_outcomes_without_scores_are_fused_by_position() -> None:
    outcomes = past(20)

    balance = fit_fusion_weights(outcomes, {"noise": 1.0, "habit": 1.0}, 60.0, 20)

    assert balance.scales == {}
    assert balance.weights == fit_weights(outcomes, {"noise": 1.0, "habit": 1.0}, 60.0, 20)


def test_no_past_request_at_all_keeps_the_weights_and_fuses_by_position() -> None:
    assert fit_fusion_weights([], {"repeat": 2.0}, 60.0, 20) == ({"repeat": 2.0}, {})


def test_a_scale_is_the_median_of_what_the_last_candidate_of_a_channel_scores() -> None:
    scales = fit_scales(sure(5), 10)

    assert scales["proof"] == pytest.approx(np.linspace(40, 1, 20)[9], rel=1e-5)


def test_the_same_requests_give_the_same_balance() -> None:
    one, two = (fit_fusion_weights(sure(20), {"proof": 0.1}, 60.0, 12) for _ in range(2))

    assert one == two


def test_weights_are_tried_from_none_upwards_and_around_one() -> None:
    assert STEPS[0] == 0
    assert list(STEPS) == sorted(set(STEPS))
    assert STEPS.index(1.0) == len(STEPS) // 2 + 1
