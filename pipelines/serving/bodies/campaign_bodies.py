"""Campaigns over HTTP: read from a body, and what is told of them."""

from pipelines.ads.campaigns.campaign import (
    AdCampaign,
    Bid,
    Budget,
    CampaignFault,
    Creative,
    Targeting,
)
from pipelines.ads.campaigns.eligibility import Ineligible
from pipelines.engine.decoding import read_noun
from pipelines.errors import RequestError
from pipelines.serving.bodies.bodies import refuse_repeated_keys
from retrieval.types import Noun

NOUNS: dict[str, type[Noun]] = {
    "": AdCampaign,
    "budget": Budget,
    "bid": Bid,
    "targeting": Targeting,
    "creatives": Creative,
}
EXAMPLE = (
    'send one JSON object in UTF-8, such as {"id": "c1", "advertiser": "Oats", "currency": "EUR", '
    '"budget": {"total_micros": 50000000}, "start": "2024-06-01T00:00:00", '
    '"end": "2024-07-01T00:00:00", "bid": {"micros": 300000}, "products": ["p1"]}'
)


class CampaignList(Noun, frozen=True, kw_only=True):
    """All campaigns, by id."""

    campaigns: tuple[AdCampaign, ...]


class ProductReasons(Noun, frozen=True, kw_only=True):
    """Why a campaign may not show one of its products for a request; none: it may."""

    product: str
    reasons: tuple[Ineligible, ...]


class WhyNot(Noun, frozen=True, kw_only=True):
    """What speaks against a campaign for a request, product by product, before any auction."""

    campaign: str
    products: tuple[ProductReasons, ...]


class CountedAnswer(Noun, frozen=True, kw_only=True):
    """What became of an act on an ad; `counted` is false where it was told before."""

    counted: bool


def read_campaign(body: bytes) -> AdCampaign:
    """Return the campaign of one JSON object, or RequestError with the field's name."""
    campaign = read_noun(body, AdCampaign, NOUNS, EXAMPLE)
    refuse_repeated_keys(body)
    return campaign


def refused(fault: CampaignFault) -> RequestError:
    """Return the error of a campaign that contradicts itself."""
    return RequestError(fault.field, fault.message)
