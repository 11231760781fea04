"""Off-policy estimates against a shop that is made up, so that the truth is known."""

from typing import NamedTuple

import numpy as np
import pytest

from pipelines.errors import UserError
from pipelines.metrics.off_policy import (
    doubly_robust_terms,
    effective_impressions,
    importance,
    ips_terms,
    snips,
    values,
)

RATES = np.array([[0.05, 0.3, 0.6], [0.5, 0.2, 0.1]])  # by kind of shopper and product
LOGS = np.array([[0.7, 0.2, 0.1], [0.2, 0.2, 0.6]])  # shows the worse more often
POLICY = np.array([[0.1, 0.3, 0.6], [0.8, 0.1, 0.1]])
TRUTH = float((RATES * POLICY).sum(axis=1).mean())


class Logged(NamedTuple):
    shoppers: np.ndarray
    products: np.ndarray
    rewards: np.ndarray
    weights: np.ndarray


def logged(seed: int, count: int = 500) -> Logged:
    random = np.random.default_rng(seed)
    shoppers = random.integers(0, 2, count)
    ends = LOGS[shoppers].cumsum(axis=1)
    products = (random.random(count)[:, None] > ends[:, :2]).sum(axis=1)
    rewards = (random.random(count) < RATES[shoppers, products]).astype(float)
    weights = importance(POLICY[shoppers, products], LOGS[shoppers, products])
    return Logged(shoppers, products, rewards, weights)


def robust(log: Logged, model: np.ndarray) -> np.ndarray:
    of_policy = (POLICY * model).sum(axis=1)[log.shoppers]
    return doubly_robust_terms(
        log.rewards, log.weights, model[log.shoppers, log.products], of_policy
    )


def test_all_three_find_the_value_of_a_policy_that_never_ran() -> None:
    logs = [logged(seed) for seed in range(800)]
    wrong_model = np.full_like(RATES, 0.9)

    found = {
        "plain mean": np.mean([log.rewards.mean() for log in logs]),
        "ips": np.mean([ips_terms(log.rewards, log.weights).mean() for log in logs]),
        "snips": np.mean([snips(log.rewards, log.weights) for log in logs]),
        "doubly robust": np.mean([robust(log, wrong_model).mean() for log in logs]),
    }

    assert abs(found.pop("plain mean") - TRUTH) > 0.2
    assert found == pytest.approx(dict.fromkeys(found, TRUTH), abs=0.006)


def test_a_right_model_is_enough_where_the_propensities_are_wrong() -> None:
    log = logged(0, 40_000)
    halved = log._replace(weights=log.weights / 2)

    found = {
        "ips": ips_terms(halved.rewards, halved.weights).mean(),
        "doubly robust": robust(halved, RATES).mean(),
    }

    assert found["ips"] == pytest.approx(TRUTH / 2, abs=0.02)
    assert found["doubly robust"] == pytest.approx(TRUTH, abs=0.01)


def test_a_good_model_makes_the_doubly_robust_value_vary_less() -> None:
    logs = [logged(seed) for seed in range(200)]

    spread = np.std([robust(log, RATES).mean() for log in logs])

    assert spread < np.std([ips_terms(log.rewards, log.weights).mean() for log in logs])


def test_a_number_added_to_all_rewards_is_added_to_snips_and_not_to_ips() -> None:
    log = logged(1)
    before, after = log.rewards, log.rewards + 3

    moved = snips(after, log.weights) - snips(before, log.weights)
    moved_ips = (ips_terms(after, log.weights) - ips_terms(before, log.weights)).mean()

    assert moved == pytest.approx(3)
    assert moved_ips == pytest.approx(3 * log.weights.mean())
    assert moved_ips != pytest.approx(3)


def test_the_value_of_the_policy_that_logged_is_the_plain_mean() -> None:
    log = logged(2)
    chances = LOGS[log.shoppers, log.products]

    found = values(log.rewards, importance(chances, chances), *np.full((2, 500), 0.3))

    mean = pytest.approx(log.rewards.mean())
    assert (found.ips.mean, found.snips.mean, found.doubly_robust.mean) == (mean, mean, mean)
    assert found.effective == pytest.approx(500)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    model = np.full_like(RATES, 0.3)
    held = []
    for seed in range(20):
        log = logged(seed, 200)
        expected = model[log.shoppers, log.products]
        found = values(log.rewards, log.weights, expected, expected)
        held.append([each.low <= TRUTH <= each.high for each in found[:3]])

    assert (np.mean(held, axis=0) >= 0.8).all()


def test_each_value_lies_within_its_own_interval() -> None:
    log = logged(3, 4_000)

    found = values(log.rewards, 3 * log.weights, 0 * log.rewards, 0 * log.rewards)

    for one in (found.ips, found.snips, found.doubly_robust):
        assert one.low < one.mean < one.high
        assert one.high - one.low < one.mean
    assert found.ips.mean == pytest.approx(3 * TRUTH, rel=0.2)
    assert found.snips.mean == pytest.approx(TRUTH, rel=0.2)


def test_unequal_weights_count_as_fewer_impressions() -> None:
    assert effective_impressions(np.ones(8)) == 8
    assert effective_impressions(np.array([4.0, 0, 0, 0])) == 1


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_propensity_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(UserError, match=r"impression 1 has the propensity .* in \(0, 1\]; 1 of 3"):
        importance(np.full(3, 0.5), np.array([0.5, wrong, 1.0]))


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan")])
def test_a_chance_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(UserError, match=r"impression 2 has the chance .* from 0 to 1"):
        importance(np.array([0.0, 1.0, wrong]), np.full(3, 0.5))


def test_a_policy_that_shares_nothing_with_the_log_is_refused() -> None:
    with pytest.raises(UserError, match="nothing of what 3 logged impressions showed"):
        values(*np.zeros((4, 3)))
