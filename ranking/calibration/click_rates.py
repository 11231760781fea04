"""Click-through rates: rows of several impressions, enriched logs, and ads without a past."""

from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import minimize_scalar
from scipy.special import expit, gammaln, logit

from ranking.calibration.reliability import CalibrationError

STRENGTHS = (1e-3, 1e7)  # in expected clicks

Shares: TypeAlias = Float64[np.ndarray, "n"]
Counts: TypeAlias = Int64[np.ndarray, "n"]


def any_click(probabilities: Shares, impressions: Counts) -> Shares:
    """Return the probability of at least one click in so many impressions: 1 - (1 - p)^n.

    `probabilities` are of one impression. Logs that only say whether a row of several impressions
    had a click have this as their label; the number of impressions is no feature of the ad.
    """
    _refuse_outside("probabilities", probabilities)
    _refuse_fewer("impressions", impressions, 1)
    with np.errstate(divide="ignore"):  # a probability of 1 has the logarithm -inf
        return np.asarray(-np.expm1(impressions * np.log1p(-probabilities)))


def one_click(probabilities: Shares, impressions: Counts) -> Shares:
    """Return the probability of a click in one impression, where that of any in n is given."""
    _refuse_outside("probabilities", probabilities)
    _refuse_fewer("impressions", impressions, 1)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(np.log1p(-probabilities) / impressions))


def at_true_prior(probabilities: Shares, enriched: float, true: float) -> Shares:
    """Return probabilities of a log that was enriched with clicks, at the true share of clicks.

    logit p' = logit p + logit true - logit enriched (Elkan 2001, theorem 2): exact where rows were
    left out by their label alone. Of rows with several impressions both shares are of rows, and
    `one_click` comes after.
    """
    _refuse_outside("probabilities", probabilities)
    for name, share in (("enriched", enriched), ("true", true)):
        if not 0 < share < 1:
            raise CalibrationError(f"{name}: a share of clicks of {share} is not within (0, 1)")
    return np.asarray(expit(logit(probabilities) + logit(true) - logit(enriched)))


def true_share(enriched: float, kept: float) -> float:
    """Return the true share of clicks, if all clicks and this share of the other rows were kept."""
    if not (0 < enriched < 1 and 0 < kept <= 1):
        raise CalibrationError(
            f"enriched: {enriched} should be within (0, 1), and kept: {kept} within (0, 1]"
        )
    return enriched / (enriched + (1 - enriched) / kept)


def pooled_rates(
    clicks: Int64[np.ndarray, "l p"], impressions: Int64[np.ndarray, "l p"], strength: float
) -> Float64[np.ndarray, "l p"]:
    """Return the click-through of each placement and position, for an ad of which nothing is known.

    A cell is drawn towards its placement, and a placement towards all, each by `strength`
    impressions: a cell without any has the rate of its placement, and a placement without any that
    of all. Without a single impression there is no rate: CalibrationError.
    """
    _refuse_counts(clicks, impressions)
    if not strength > 0 or not impressions.sum():
        raise CalibrationError(
            f"{impressions.sum():,} impressions and a strength of {strength}; "
            "both should be above 0"
        )
    overall = clicks.sum() / impressions.sum()
    placement = (clicks.sum(axis=1) + strength * overall) / (impressions.sum(axis=1) + strength)
    pooled = (clicks + strength * placement[:, None]) / (impressions + strength)
    return np.asarray(pooled)


class AppealPrior(NamedTuple):
    """How much ads differ: a Gamma distribution of mean 1 of what multiplies the pooled rate."""

    strength: float  # in expected clicks, above 0; the variance is 1 / strength

    def appeal(
        self, clicks: Counts, expected: Float64[np.ndarray, "n"]
    ) -> Float64[np.ndarray, "n"]:
        """Return by how much each ad's click-through differs from the pooled one; a new ad's is 1.

        `expected` are the clicks that an ad would have by the pooled rates of where it stood, so a
        good position is no merit. The posterior mean (strength + clicks) / (strength + expected).
        """
        _refuse_fewer("clicks", clicks, 0)
        return np.asarray((self.strength + clicks) / (self.strength + expected))


def fit_appeal(clicks: Counts, expected: Float64[np.ndarray, "n"]) -> AppealPrior:
    """Return the strength under which the clicks of these ads are likeliest (negative binomial)."""
    _refuse_fewer("clicks", clicks, 0)
    if not len(clicks) or not (np.isfinite(expected) & (expected > 0)).all():
        raise CalibrationError("expected: give at least one ad, each with expected clicks above 0")
    low, high = np.log(STRENGTHS)
    found = minimize_scalar(_loss, bounds=(low, high), args=(clicks, expected), method="bounded")
    return AppealPrior(float(np.exp(found.x)))


def _loss(log_strength: float, clicks: Counts, expected: Float64[np.ndarray, "n"]) -> float:
    """Return minus the log likelihood of the clicks, less what does not depend on the strength."""
    strength = np.exp(log_strength)
    likelihood = (
        gammaln(strength + clicks)
        - gammaln(strength)
        - strength * np.log1p(expected / strength)
        - clicks * np.log(strength + expected)
    )
    return -float(likelihood.sum())


def _refuse_outside(name: str, shares: np.ndarray) -> None:
    outside = int((~((shares >= 0) & (shares <= 1))).sum())
    if outside:
        raise CalibrationError(f"{name}: {outside} of {len(shares)} are not in [0, 1]")


def _refuse_fewer(name: str, counts: np.ndarray, least: int) -> None:
    fewer = int((counts < least).sum())
    if fewer:
        raise CalibrationError(f"{name}: {fewer} of {len(counts)} are below {least}")


def _refuse_counts(clicks: np.ndarray, impressions: np.ndarray) -> None:
    wrong = int(((clicks < 0) | (clicks > impressions)).sum())
    if wrong:
        raise CalibrationError(f"clicks: {wrong} are below 0 or above their impressions")
