"""Bids other than an advertiser's values under VCG, and what they gain in one auction."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import msgspec

from ranking.auction.allocation import Effort
from ranking.auction.contest import Contest
from ranking.auction.prices import vcg_payment, vcg_price
from ranking.auction.scores import attos_per_micro
from ranking.auction.values import Auction, Pricing, Sponsored


class Utility(NamedTuple):
    """Value less payment of one impression, in attos times parts per million."""

    exact: int  # by the payment
    rounded: int  # by the price in whole micros
    micro: int  # what one micro of the price is


class Gain(NamedTuple):
    """What a deviation gains over bidding the values, in attos times parts per million."""

    exact: int
    rounded: int
    micro: int  # of the price that is paid without the deviation


def gains(random: Random, auction: Auction, tries: int) -> Iterator[Gain]:
    """Yield what drawn deviations of one advertiser gain, if its bids are its values.

    An advertiser with several candidates deviates with all of them. It takes part only where there
    is no reserve, as VCG promises it nothing else.
    """
    advertiser = random.choice([one.advertiser for one in auction.sponsored])
    own = [one for one in auction.sponsored if one.advertiser == advertiser]
    rules = auction.rules
    if len(own) > 1 and rules.reserve_cpc_micros + rules.reserve_cpm_micros > 0:
        return
    truth = utility(auction, own)
    for _ in range(tries):
        deviant = msgspec.structs.replace(
            auction,
            sponsored=tuple(
                deviation(random, one) if one.advertiser == advertiser else one
                for one in auction.sponsored
            ),
        )
        reached = utility(deviant, own)
        yield Gain(reached.exact - truth.exact, reached.rounded - truth.rounded, truth.micro)


def deviation(random: Random, one: Sponsored) -> Sponsored:
    """Draw another bid: any, or one close to the value."""
    highest = 15 if one.pricing is Pricing.CPC else 8_000
    close = one.bid_micros + random.choice((-2, -1, 1, 2))
    bid = random.choice((random.randint(1, highest), max(close, 1)))
    return msgspec.structs.replace(one, bid_micros=bid)


def utility(auction: Auction, own: list[Sponsored]) -> Utility:
    """Return what an advertiser has of an auction if the bids of `own` are its values."""
    contest = Contest(auction, auction.rules.ad_load, Effort(10_000))
    exact = rounded = micro = 0
    for index, bid in enumerate(contest.page):
        if not bid.sponsored:
            continue
        one = contest.candidate(bid)
        worth = {(o.campaign, o.product): o.bid_micros for o in own}.get(
            (one.campaign, one.product)
        )
        if worth is None:
            continue
        unit = contest.exposure[index] * attos_per_micro(one)
        exact += worth * unit - vcg_payment(contest, index)
        rounded += (worth - vcg_price(contest, index)) * unit
        micro = unit
    return Utility(exact, rounded, micro)
