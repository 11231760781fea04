import numpy as np
import pytest
from scipy.stats import nbinom

from ranking.calibration.click_rates import (
    AppealPrior,
    any_click,
    at_true_prior,
    fit_appeal,
    one_click,
    pooled_rates,
    true_share,
)
from ranking.calibration.reliability import CalibrationError

SHARES = np.array([0.0, 1e-12, 0.02, 0.5, 1.0])
IMPRESSIONS = np.array([7, 10, 3, 2, 5])


def test_any_click_is_one_less_the_probability_of_none() -> None:
    assert any_click(SHARES, IMPRESSIONS).tolist() == pytest.approx([0, 1e-11, 0.058808, 0.75, 1])


def test_one_click_undoes_any_click() -> None:
    assert one_click(any_click(SHARES, IMPRESSIONS), IMPRESSIONS).tolist() == pytest.approx(
        SHARES.tolist(), rel=1e-12
    )


def test_one_impression_changes_nothing() -> None:
    ones = np.ones(5, np.int64)

    assert any_click(SHARES, ones).tolist() == pytest.approx(SHARES.tolist(), rel=1e-12)
    assert one_click(SHARES, ones).tolist() == pytest.approx(SHARES.tolist(), rel=1e-12)


def test_an_enriched_log_is_corrected_to_the_true_prior() -> None:
    random = np.random.default_rng(0)
    rates = random.beta(1, 30, 400_000)
    clicked = random.random(400_000) < rates
    kept = clicked | (random.random(400_000) < 0.1)
    odds = rates[kept] / (1 - rates[kept]) / 0.1
    enriched = odds / (1 + odds)  # what a calibrated model of the rest says

    share = clicked[kept].mean()
    true = true_share(float(share), 0.1)
    corrected = at_true_prior(enriched, float(share), true)

    assert true == pytest.approx(clicked.mean(), rel=0.02)
    assert corrected.mean() * kept.mean() == pytest.approx((rates * kept).mean(), rel=0.02)
    assert np.abs(corrected / rates[kept] - 1).max() < 0.02


def test_the_same_prior_changes_nothing_and_certainty_stays() -> None:
    assert at_true_prior(SHARES, 0.2, 0.2).tolist() == pytest.approx(SHARES.tolist(), rel=1e-12)
    assert at_true_prior(SHARES, 0.2, 0.01)[[0, -1]].tolist() == [0, 1]


def test_a_new_ad_has_the_rate_of_its_place_and_an_unknown_place_that_of_its_placement() -> None:
    clicks = np.array([[30_000, 10_000, 0], [0, 0, 0]])
    impressions = np.array([[1_000_000, 1_000_000, 0], [0, 0, 0]])

    rates = pooled_rates(clicks, impressions, 100.0)

    assert rates[0].tolist() == pytest.approx([0.03, 0.01, 0.02], rel=1e-3)
    assert rates[1].tolist() == pytest.approx([0.02] * 3)


def test_more_impressions_draw_less_towards_the_placement() -> None:
    few = pooled_rates(np.array([[5, 0]]), np.array([[10, 90]]), 100.0)
    many = pooled_rates(np.array([[500, 0]]), np.array([[1_000, 9_000]]), 100.0)

    assert few.tolist() == [pytest.approx([10 / 110, 5 / 190])]
    assert many[0, 0] > 0.4


def test_an_ad_is_judged_against_what_its_places_let_expect() -> None:
    prior = AppealPrior(4.0)

    appeal = prior.appeal(np.array([0, 10, 20, 0]), np.array([0.0, 10.0, 10.0, 100.0]))

    assert appeal.tolist() == pytest.approx([1, 1, 24 / 14, 4 / 104])


def test_the_strength_of_the_prior_is_found_again() -> None:
    random = np.random.default_rng(1)
    expected = random.uniform(1, 50, 20_000)
    clicks = random.poisson(random.gamma(3.0, 1 / 3.0, 20_000) * expected)

    assert fit_appeal(clicks, expected).strength == pytest.approx(3.0, rel=0.05)


def test_the_strength_is_the_likeliest_by_scipy() -> None:
    random = np.random.default_rng(2)
    expected = random.uniform(1, 20, 300)
    clicks = random.poisson(random.gamma(2.0, 0.5, 300) * expected)

    found = fit_appeal(clicks, expected).strength

    def likelihood(strength: float) -> float:
        return float(nbinom.logpmf(clicks, strength, strength / (strength + expected)).sum())

    assert likelihood(found) >= max(likelihood(found * 0.99), likelihood(found * 1.01))


def test_ads_that_do_not_differ_have_a_prior_that_leaves_nothing_to_learn() -> None:
    expected = np.full(5_000, 20.0)
    clicks = np.random.default_rng(3).poisson(expected)

    assert fit_appeal(clicks, expected).strength > 200


def test_ads_of_which_few_have_all_the_clicks_have_a_weak_prior() -> None:
    clicks = np.array([0] * 99 + [2_000])

    strength = fit_appeal(clicks, np.full(100, 20.0)).strength

    assert strength < 0.01
    assert AppealPrior(strength).appeal(clicks, np.full(100, 20.0))[0] < 0.001


def test_a_log_of_which_everything_was_kept_has_its_own_share() -> None:
    assert true_share(0.3, 1.0) == pytest.approx(0.3)
    assert true_share(0.5, 0.1) == pytest.approx(1 / 11)


def test_little_strength_draws_a_little() -> None:
    rates = pooled_rates(np.array([[1, 0]]), np.array([[1, 1]]), 0.5)

    assert rates.tolist() == [[pytest.approx(1.25 / 1.5), pytest.approx(0.25 / 1.5)]]


@pytest.mark.parametrize(
    ("act", "field"),
    [
        (lambda: any_click(np.array([np.nan]), np.array([1])), "probabilities"),
        (lambda: any_click(np.array([1.1]), np.array([1])), "probabilities"),
        (lambda: any_click(np.array([0.5]), np.array([0])), "impressions"),
        (lambda: one_click(np.array([0.5]), np.array([0])), "impressions"),
        (lambda: one_click(np.array([np.nan]), np.array([1])), "probabilities"),
        (lambda: at_true_prior(np.array([-0.1]), 0.5, 0.5), "probabilities"),
        (lambda: at_true_prior(np.array([0.5]), 1.0, 0.5), "enriched"),
        (lambda: at_true_prior(np.array([0.5]), 0.0, 0.5), "enriched"),
        (lambda: at_true_prior(np.array([0.5]), 0.5, float("nan")), "true"),
        (lambda: true_share(0.5, 0.0), "kept"),
        (lambda: true_share(0.5, 1.1), "kept"),
        (lambda: true_share(0.0, 0.5), "enriched"),
        (lambda: true_share(1.0, 0.5), "enriched"),
        (lambda: pooled_rates(np.array([[2]]), np.array([[1]]), 1.0), "clicks"),
        (lambda: pooled_rates(np.array([[0]]), np.array([[0]]), 1.0), "impressions"),
        (lambda: pooled_rates(np.array([[1]]), np.array([[1]]), float("nan")), "strength"),
        (lambda: pooled_rates(np.array([[1]]), np.array([[1]]), 0.0), "strength"),
        (lambda: AppealPrior(1.0).appeal(np.array([-1]), np.array([1.0])), "clicks"),
        (lambda: fit_appeal(np.array([1]), np.array([0.0])), "expected"),
        (lambda: fit_appeal(np.array([-1]), np.array([1.0])), "clicks"),
    ],
)
def test_what_cannot_be_is_refused_by_name(act, field: str) -> None:
    with pytest.raises(CalibrationError, match=field):
        act()
