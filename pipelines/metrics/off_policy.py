"""Off-policy evaluation: estimates the value of another policy from logged impressions.

x is an impression, a the product that it showed, r what came of it, p(a | x) the chance that the
log's policy showed it, and π(a | x) the chance that the policy in question would have.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from pipelines.errors import UserError
from pipelines.metrics.intervals import Interval, interval_of, resampled_means

PerImpression = Float64[np.ndarray, "n"]


class Values(NamedTuple):
    """A policy's value for an impression by three estimators, and the effective sample size."""

    ips: Interval
    snips: Interval
    doubly_robust: Interval
    effective: float  # impressions


def importance(chances: PerImpression, propensities: PerImpression) -> PerImpression:
    """Return w = π(a | x) / p(a | x), how often each impression stands for itself.

    The mean of w is 1, apart from chance, where the log may show all that the policy would.
    """
    _refuse("propensity", propensities, ~((propensities > 0) & (propensities <= 1)), "in (0, 1]")
    _refuse("chance", chances, ~((chances >= 0) & (chances <= 1)), "from 0 to 1")
    return np.asarray(chances / propensities)


def ips_terms(rewards: PerImpression, weights: PerImpression) -> PerImpression:
    """Return w r, whose mean is the value by inverse propensity (Horvitz and Thompson, 1952).

    Without bias; with small propensities a few impressions decide.
    """
    return np.asarray(weights * rewards)


def snips(rewards: PerImpression, weights: PerImpression) -> float:
    """Return sum(w r) / sum(w): self-normalised (Swaminathan and Joachims, NIPS 2015).

    With little bias and less variance; it lies among the rewards, and moves with them where a
    number is added to all.
    """
    return float((weights @ rewards) / weights.sum())


def doubly_robust_terms(
    rewards: PerImpression,
    weights: PerImpression,
    expected: PerImpression,
    policy_expected: PerImpression,
) -> PerImpression:
    """Return sum_b π(b | x) q(x, b) + w (r - q(x, a)), whose mean is the doubly robust value.

    Dudík et al. (Statistical Science 2014). q is a model of the reward, `expected` what it says of
    the product shown, `policy_expected` of what the policy would show. Without bias where the
    propensities are right or the model is; the model must not have seen these rewards.
    """
    return np.asarray(policy_expected + weights * (rewards - expected))


def effective_impressions(weights: PerImpression) -> float:
    """Return sum(w)^2 / sum(w^2): as many equal impressions would tell as much (Kish, 1965)."""
    return float(weights.sum() ** 2 / (weights @ weights))


def values(
    rewards: PerImpression,
    weights: PerImpression,
    expected: PerImpression,
    policy_expected: PerImpression,
) -> Values:
    """Return all estimates with percentile bootstrap intervals over impressions."""
    if not weights.any():
        raise UserError(
            f"the policy would have shown nothing of what {len(weights):,} logged impressions "
            "showed; its value cannot be told from this log, use one that shows all products"
        )
    terms = np.stack(
        [
            ips_terms(rewards, weights),
            weights,
            doubly_robust_terms(rewards, weights, expected, policy_expected),
        ],
        axis=1,
    )
    drawn = resampled_means(terms)
    ips, _, doubly_robust = terms.mean(axis=0)
    normalised = drawn[:, 0] / np.maximum(drawn[:, 1], np.finfo(np.float64).tiny)
    return Values(
        interval_of(float(ips), drawn[:, 0]),
        interval_of(snips(rewards, weights), normalised),
        interval_of(float(doubly_robust), drawn[:, 2]),
        effective_impressions(weights),
    )


def _refuse(name: str, given: PerImpression, wrong: Bool[np.ndarray, "n"], expected: str) -> None:
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"impression {first} has the {name} {given[first]:g}, expected is one {expected}; "
            f"{int(wrong.sum()):,} of {len(given):,} are so, leave them out or log them again"
        )
