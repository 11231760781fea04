"""Drawn auctions against every allowed page, and against scipy's milp."""

from random import Random

import pytest

from benchmarks.auction import brute_force
from benchmarks.auction.drawing import small
from benchmarks.auction.milp import most_worth
from ranking.auction.allocation import Effort, worth
from ranking.auction.auction import run
from ranking.auction.contest import TIE_BITS, Contest
from ranking.auction.values import PriceRule
from tests.assertions import each

ATTOS_PPM_IN_MICRO = 10**12 * 10**6


@pytest.mark.parametrize("price_rule", PriceRule)
def test_page_and_prices_are_those_of_brute_force(price_rule: PriceRule) -> None:
    random = Random(f"brute force {price_rule}")
    sponsored = 0

    for given in each(small(random, price_rule) for _ in range(150)):
        outcome = run(given)

        found = [(one.product, one.campaign, one.price_micros) for one in outcome.page]
        assert found == brute_force.outcome(given)
        assert outcome.ad_load == given.rules.ad_load
        sponsored += sum(campaign is not None for _, campaign, _ in found)

    assert sponsored > 50


def test_a_page_is_worth_what_milp_finds() -> None:
    random = Random("milp")

    for given in each(small(random, PriceRule.VCG) for _ in range(60)):
        contest = Contest(given, given.rules.ad_load, Effort(1_000))
        page = worth(contest.page, given.exposure_ppm) >> TIE_BITS

        assert page / ATTOS_PPM_IN_MICRO == pytest.approx(most_worth(given), rel=1e-9, abs=1e-12)
