"""Scores: what a candidate is worth on the first position, as whole numbers.

A score counts attos, 10^-18 of the currency's unit or 10^-12 of a micro, for one impression at the
first position. On another position a candidate is worth its score times that position's exposure,
so worths are whole numbers of attos times parts per million, and no sum of them is ever rounded.
"""

from ranking.auction.values import Auction, Organic, Pricing, Sponsored

PROBABILITY_UNITS = 10**9  # a probability is rounded to whole units of 10^-9, half to even
ATTOS_OF_UNIT = {Pricing.CPC: 1_000, Pricing.CPM: 1}  # of a micro per event, and a unit
ATTOS_OF_MICRO_PER_MILLE = 10**9

ROUNDED_UP = 0.51 / PROBABILITY_UNITS  # more than rounding adds to a probability
ABOVE = 1 + 1e-12  # more than the rounding of four operations on floats takes away


def attos_per_micro(candidate: Sponsored) -> int:
    """Return the score that each micro of the bid makes: the quality of the candidate."""
    return round(candidate.probability * PROBABILITY_UNITS) * ATTOS_OF_UNIT[candidate.pricing]


def organic_score(candidate: Organic) -> int:
    """Return the score of a product for which the house bids."""
    return candidate.value_micros * ATTOS_OF_MICRO_PER_MILLE


def score_bounds(auction: Auction) -> list[float]:
    """Return a number above the score of each sponsored candidate; 0 where it takes no part.

    Close to the score, and much cheaper where there are thousands of them.
    """
    rules, shown, cpc = auction.rules, frozenset(auction.shown), Pricing.CPC
    floor, reserve_cpc, reserve_cpm = (
        rules.relevance_floor,
        rules.reserve_cpc_micros,
        rules.reserve_cpm_micros,
    )
    of_click, of_views = (ABOVE * PROBABILITY_UNITS * ATTOS_OF_UNIT[one] for one in Pricing)
    return [
        one.bid_micros
        * (one.probability + ROUNDED_UP)
        * (of_click if one.pricing is cpc else of_views)
        if one.bid_micros >= (reserve_cpc if one.pricing is cpc else reserve_cpm)
        and one.relevance >= floor
        and one.product not in shown
        else 0.0
        for one in auction.sponsored
    ]
