"""Under VCG nobody gains by bidding other than its value, in one auction."""

from random import Random

from benchmarks.auction.deviations import gains
from benchmarks.auction.drawing import small
from ranking.auction.values import PriceRule
from tests.assertions import every

AUCTIONS, TRIES = 500, 6


def test_no_deviation_is_profitable_under_vcg() -> None:
    random = Random("deviations")
    drawn = (small(random, PriceRule.VCG) for _ in range(AUCTIONS))

    tried = [gain for given in drawn if given.sponsored for gain in gains(random, given, TRIES)]

    assert len(tried) > 1_500
    assert max(gain.exact for gain in tried) == 0
    assert min(gain.exact for gain in tried) < 0  # deviations do change pages


def test_rounding_a_price_up_leaves_less_than_a_micro_to_gain() -> None:
    random = Random("rounding")
    drawn = (small(random, PriceRule.VCG) for _ in range(AUCTIONS))

    tried = [gain for given in drawn if given.sponsored for gain in gains(random, given, TRIES)]

    assert len(tried) > 1_500
    assert every(gain.rounded < gain.micro or gain.rounded <= 0 for gain in tried)
