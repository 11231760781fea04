"""An auction by brute force: every page that is allowed, and prices by their definitions.

Written from the reference (docs/reference/ads.md), in fractions of micros for an impression; of
the auction's own code it uses the values, and the hash that breaks ties.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, permutations
from math import ceil
from typing import NamedTuple

from ranking.auction.contest import tie_break
from ranking.auction.values import Auction, PriceRule, Pricing, Sponsored


class Candidate(NamedTuple):
    """One candidate: its worth at the first position in micros, and what it conflicts by."""

    worth: Fraction
    tie: int
    product: str
    one: Sponsored | None  # None: organic


class Lines(NamedTuple):
    """What each allowed page is worth: to one bidder by its exposure, and to all others."""

    exposures: list[Fraction]
    others: list[Fraction]


Page = tuple[Candidate, ...]


def quality(one: Sponsored) -> Fraction:
    """Return the billed units that one impression at the first position brings."""
    probability = Fraction(round(one.probability * 10**9), 10**9)
    return probability if one.pricing is Pricing.CPC else probability / 1_000


def reserve(auction: Auction, one: Sponsored) -> int:
    """Return the reserve in the unit of the bid."""
    rules = auction.rules
    return rules.reserve_cpc_micros if one.pricing is Pricing.CPC else rules.reserve_cpm_micros


def candidates(auction: Auction) -> list[Candidate]:
    """Return who may be on the page."""
    number = auction.random_number
    organic = [
        Candidate(
            Fraction(o.value_micros, 1_000), tie_break(number, "", o.product), o.product, None
        )
        for o in auction.organic
    ]
    sponsored = [
        Candidate(o.bid_micros * quality(o), tie_break(number, o.campaign, o.product), o.product, o)
        for o in auction.sponsored
        if o.relevance >= auction.rules.relevance_floor
        and o.bid_micros >= reserve(auction, o)
        and quality(o) > 0
    ]
    return [c for c in (*organic, *sponsored) if c.product not in auction.shown]


def allowed(auction: Auction, page: Page) -> bool:
    """Return whether the rules allow these candidates on one page."""
    ads = [c.one for c in page if c.one is not None]
    groups = [group for one in ads for group in one.groups]
    return (
        len(ads) <= auction.rules.ad_load
        and len({c.product for c in page}) == len(page)
        and len({one.advertiser for one in ads}) == len(ads)
        and len(set(groups)) == len(groups)
    )


def pages(auction: Auction) -> Iterator[Page]:
    """Yield every allowed page, in every order of its candidates."""
    pool = candidates(auction)
    for length in range(min(len(pool), len(auction.exposure_ppm)) + 1):
        for chosen in combinations(pool, length):
            if allowed(auction, chosen):
                yield from permutations(chosen)


def merit(auction: Auction, page: Page) -> tuple[Fraction, int, list[tuple[Fraction, int]]]:
    """Return what the best page has most of: worth, ties, and heavy candidates at its top."""
    return (*value(auction, page), [(c.worth, c.tie) for c in page])


def value(auction: Auction, page: Page) -> tuple[Fraction, int]:
    """Return the worth of a page in micros an impression, and its ties' part."""
    exposure = auction.exposure_ppm
    return (
        sum((c.worth * e for c, e in zip(page, exposure, strict=False)), Fraction(0)) / 10**6,
        sum(c.tie * e for c, e in zip(page, exposure, strict=False)),
    )


def outcome(auction: Auction) -> list[tuple[str, str | None, int | None]]:
    """Return product, campaign and price of each position."""
    every = list(pages(auction))
    best = max(every, key=lambda page: merit(auction, page))
    return [
        (
            c.product,
            None if c.one is None else c.one.campaign,
            None if c.one is None else price(auction, every, best, index),
        )
        for index, c in enumerate(best)
    ]


def price(auction: Auction, every: list[Page], best: Page, index: int) -> int:
    """Return what the sponsored candidate at an index of the best page pays."""
    one = best[index].one
    assert one is not None
    if auction.rules.price_rule is PriceRule.FIRST_PRICE:
        return one.bid_micros
    exposure = Fraction(auction.exposure_ppm[index], 10**6)
    others = value(auction, best)[0] - exposure * best[index].worth
    lines = lines_of(auction, every, one)
    least = reserve(auction, one)
    if auction.rules.price_rule is PriceRule.VCG:
        at_reserve = max(e * quality(one) * least + rest for e, rest in zip(*lines, strict=True))
        return ceil((at_reserve - others) / (exposure * quality(one)))
    crossings = [
        (rest - others) / (exposure - e) / quality(one)
        for e, rest in zip(*lines, strict=True)
        if e < exposure
    ]
    return ceil(max(least, *crossings, 0))


def lines_of(auction: Auction, every: list[Page], one: Sponsored) -> Lines:
    """Return the pages on which nobody else of the advertiser stands."""
    lines = Lines([], [])
    for page in every:
        ads = [c.one for c in page if c.one is not None]
        if any(ad.advertiser == one.advertiser and ad is not one for ad in ads):
            continue
        index = next((i for i, c in enumerate(page) if c.one is one), None)
        exposure = Fraction(0) if index is None else Fraction(auction.exposure_ppm[index], 10**6)
        own = Fraction(0) if index is None else exposure * page[index].worth
        lines.exposures.append(exposure)
        lines.others.append(value(auction, page)[0] - own)
    return lines
