"""Eligibility: whether a campaign may show a product now, in one pure function of all reasons."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from pipelines.ads.campaigns.campaign import AdCampaign, Targeting, milliseconds
from pipelines.ads.campaigns.target_words import words_of_term
from retrieval.types import Availability, Placement, Product

PATH = " > "


class Ineligible(StrEnum):
    """Why a campaign may not show a product; what can be mended stands in the reference."""

    NOT_STARTED = "not_started"
    ENDED = "ended"
    BUDGET_SPENT = "budget_spent"  # with what is held for showings that may still be charged
    DAILY_BUDGET_SPENT = "daily_budget_spent"
    UNKNOWN_PRODUCT = "unknown_product"
    HIDDEN_PRODUCT = "hidden_product"
    SOLD_OUT = "sold_out"
    NO_CONSENT = "no_consent"
    CAPPED = "capped"  # this visitor was shown it often enough today
    OTHER_WORDS = "other_words"
    OTHER_CATEGORY = "other_category"
    OTHER_PRODUCT = "other_product"
    OTHER_PLACEMENT = "other_placement"
    OTHER_DEVICE = "other_device"
    OTHER_CHANNEL = "other_channel"
    OTHER_COUNTRY = "other_country"


class Occasion(NamedTuple):
    """What of a request decides which campaigns are for it."""

    now_ms: int  # since 1970, UTC
    words: frozenset[str]  # of the search, as `target_words` has them
    categories: tuple[str, ...]  # paths of what the request is about
    products: frozenset[str]  # that it likes
    placement: Placement
    device: str
    channel: str
    country: str
    consents: bool  # the shopper allows ads


class Standing(NamedTuple):
    """What a campaign may still spend, in micros; what is held is taken off both."""

    left: int  # of the whole budget
    left_today: int
    seen: int = 0  # how often the visitor was shown it today


class Shelf(NamedTuple):
    """A product as it is in the shop now; None: the shop has none of this id."""

    product: Product | None
    visible: bool = True  # passes the filter of every answer


def reasons_against(
    campaign: AdCampaign, standing: Standing, shelf: Shelf, occasion: Occasion
) -> tuple[Ineligible, ...]:
    """Return every reason why a campaign may not show a product now; none: it may."""
    found = {
        Ineligible.NOT_STARTED: occasion.now_ms < milliseconds(campaign.start),
        Ineligible.ENDED: occasion.now_ms >= milliseconds(campaign.end),
        Ineligible.BUDGET_SPENT: standing.left <= 0,
        Ineligible.DAILY_BUDGET_SPENT: standing.left_today <= 0,
        Ineligible.UNKNOWN_PRODUCT: shelf.product is None,
        Ineligible.HIDDEN_PRODUCT: not shelf.visible,
        Ineligible.SOLD_OUT: shelf.product is not None
        and shelf.product.availability is Availability.OUT_OF_STOCK,
        Ineligible.NO_CONSENT: not occasion.consents,
        Ineligible.CAPPED: 0 < campaign.daily_cap <= standing.seen,
        **_off_target(campaign.targeting, occasion),
    }
    return tuple(reason for reason, holds in found.items() if holds)


def is_for(campaign: AdCampaign, occasion: Occasion) -> bool:
    """Tell whether a campaign runs now, and is for such a request at all."""
    runs = milliseconds(campaign.start) <= occasion.now_ms < milliseconds(campaign.end)
    return runs and not any(_off_target(campaign.targeting, occasion).values())


def _off_target(targeting: Targeting, occasion: Occasion) -> dict[Ineligible, bool]:
    return {
        Ineligible.OTHER_WORDS: bool(targeting.terms)
        and not any(words_of_term(term) <= occasion.words for term in targeting.terms),
        Ineligible.OTHER_CATEGORY: bool(targeting.categories)
        and not _within(occasion.categories, targeting.categories),
        Ineligible.OTHER_PRODUCT: bool(targeting.products)
        and occasion.products.isdisjoint(targeting.products),
        Ineligible.OTHER_PLACEMENT: _is_other(occasion.placement, targeting.placements),
        Ineligible.OTHER_DEVICE: _is_other(occasion.device, targeting.devices),
        Ineligible.OTHER_CHANNEL: _is_other(occasion.channel, targeting.channels),
        Ineligible.OTHER_COUNTRY: _is_other(occasion.country, targeting.countries),
    }


def _is_other(value: str, wanted: tuple[str, ...]) -> bool:
    return bool(wanted) and value not in wanted


def _within(paths: Iterable[str], wanted: tuple[str, ...]) -> bool:
    return any(path == top or path.startswith(top + PATH) for path in paths for top in wanted)
