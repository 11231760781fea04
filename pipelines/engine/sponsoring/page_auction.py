"""The auction of one page: organic products as bidders of the house, beside what is offered.

An organic product is worth, for a thousand impressions at the first position, a thousand times the
click rate of the placement, times what a click on the most relevant product is worth to the shop
(`serve.ads.click_value_micros`), times its own relevance beside the best. So a sponsored product
that is clicked as often as others takes the place of the most relevant one only if its bid is above
that worth, and it pays at least what it pushes out.
"""

from collections.abc import Sequence
from math import log2
from secrets import randbits
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from pipelines.ads.ledger.act_rates import ActRates
from pipelines.config.sections import AdsConfig
from pipelines.engine.sponsoring.offers import Offer
from pipelines.engine.stages.ranked_candidates import RankedCandidates
from ranking.auction.values import (
    FULL_EXPOSURE,
    MOST_MICROS,
    MOST_POSITIONS,
    Auction,
    Organic,
    PriceRule,
    Pricing,
    Rules,
    Sponsored,
)

IMPRESSIONS = 1_000  # that the value of an organic product is of


def exposure_of(position: int) -> int:
    """Return how often a position is looked at beside the first, in millionths.

    It is the discount of DCG (Jarvelin and Kekalainen 2002), 1 / log2(1 + position).
    """
    return round(FULL_EXPOSURE / log2(1 + position))


EXPOSURE = tuple(exposure_of(position) for position in range(1, MOST_POSITIONS + 1))
Relevance = Float64[np.ndarray, "c"]


def relevance_of(ranked: RankedCandidates) -> Relevance | None:
    """Return how relevant each candidate is, from 0 to 1, beside the best; None: it is not known.

    For a search in words it is what fuses its lists, divided by the best; for a recommendation the
    discount of the candidate's place.
    """
    candidates = ranked.ordered.candidates
    if not ranked.is_search:
        return np.asarray(1 / np.log2(2 + np.arange(len(candidates.rows))), np.float64)
    if candidates.relevance is None or not len(candidates.rows):
        return None
    best = float(candidates.relevance.max())
    if best <= 0:
        return None
    return np.clip(candidates.relevance.astype(np.float64) / best, 0.0, 1.0)


class OrganicPage(NamedTuple):
    """The page without ads: the first of the candidates, whose relevance is given."""

    placement: str
    products: Sequence[str]
    relevance: Relevance
    length: int  # that the page may have


def page_auction(
    page: OrganicPage, offers: Sequence[Offer], rates: ActRates, config: AdsConfig
) -> Auction:
    """Return the auction for a page; offers that something speaks against are left out."""
    placement, relevance = page.placement, page.relevance
    first = IMPRESSIONS * rates.of(Pricing.CPC, placement) * config.click_value_micros
    return Auction(
        placement=placement,
        exposure_ppm=EXPOSURE[: page.length],
        organic=_house_bids(page.products, relevance, first),
        sponsored=tuple(
            _bid(one, placement, relevance, rates) for one in offers if not one.against
        ),
        rules=Rules(
            price_rule=PriceRule(config.price_rule),
            reserve_cpc_micros=config.reserve_cpc_micros,
            reserve_cpm_micros=config.reserve_cpm_micros,
            relevance_floor=config.floor,
            ad_load=config.slots,
        ),
        random_number=randbits(64),
    )


def _house_bids(organic: Sequence[str], relevance: Relevance, first: float) -> tuple[Organic, ...]:
    """Return a bid for each organic product; each is below the one before, so the order stays."""
    most = MOST_MICROS
    bids = []
    for place, product in enumerate(organic):
        left = len(organic) - place  # so that those behind still have a value below
        most = max(min(round(first * relevance[place]), most - 1), left)
        bids.append(Organic(product=product, value_micros=most))
    return tuple(bids)


def _bid(offer: Offer, placement: str, relevance: Relevance, rates: ActRates) -> Sponsored:
    campaign = offer.campaign
    return Sponsored(
        campaign=campaign.id,
        product=offer.product,
        advertiser=campaign.advertiser,
        groups=campaign.exclusion_groups,
        pricing=campaign.bid.kind,
        bid_micros=campaign.bid.micros,
        probability=rates.of(campaign.bid.kind, placement, campaign.id),
        relevance=float(relevance[offer.place]),
    )
