"""Ad campaigns: what an advertiser buys, with its budget, its schedule, its bid and its targets."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from pipelines.ads.campaigns.target_words import words_of_term
from pipelines.importers.values.currencies import CODES
from pipelines.live.product_rules import RuleError, checked_id
from ranking.auction.values import MOST_MICROS, Pricing
from retrieval.types import Noun, Placement, ProductId

MOST_PRODUCTS = 1_000
FIRST_YEAR, LAST_YEAR = 2000, 2200  # of a schedule
ADDRESS = re.compile(r"(https?://|/(?!/))[^\s\"'<>\\]*")
DOTS = frozenset({".", ".."})  # browsers and curl take these for the folder and the one above
CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Money = Annotated[
    int, Meta(ge=1, le=MOST_MICROS, description="whole millionths of the currency's unit")
]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Term = Annotated[str, Meta(min_length=1, max_length=200)]
Terms = Annotated[tuple[Term, ...], Meta(max_length=1_000)]
Words = Annotated[tuple[Name, ...], Meta(max_length=100)]
Products = Annotated[tuple[ProductId, ...], Meta(max_length=MOST_PRODUCTS)]


class Bid(Noun, frozen=True, kw_only=True):
    """The most that an advertiser pays for a click, or for a thousand views."""

    kind: Pricing = Pricing.CPC
    micros: Money


class Budget(Noun, frozen=True, kw_only=True):
    """What may be spent in all, and on one day of the shop; both are hard bounds."""

    total_micros: Money
    daily_micros: Money | None = None


class Targeting(Noun, frozen=True, kw_only=True):
    """Which requests a campaign is for; what is empty holds for every request.

    `terms`: a search that has all words of one of them. `categories`: a request whose context lies
    in or below one of these paths. `products`: a request that likes one of these, such as the page
    of a product. The others are compared with the scene.
    """

    terms: Terms = ()
    categories: Terms = ()
    products: Products = ()
    placements: tuple[Placement, ...] = ()
    devices: Words = ()
    channels: Words = ()
    countries: Words = ()


class Creative(Noun, frozen=True, kw_only=True):
    """A text, and the address of a picture, that may stand in a card; an address is not fetched."""

    id: Name
    text: Annotated[str, Meta(max_length=2_000)] = ""
    image: Annotated[str, Meta(max_length=2_000)] = ""


class AdCampaign(Noun, frozen=True, kw_only=True):
    """What an advertiser buys: these products, from `start` until before `end`, within a budget.

    A moment without an offset is the shop's local time; inside, both are in UTC. Two campaigns that
    share an exclusion group are never on one page. `daily_cap` is how often a visitor is shown the
    campaign on a day of the shop; 0: as often as it wins.
    """

    id: Name
    advertiser: Name
    name: Annotated[str, Meta(max_length=500)] = ""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    budget: Budget
    start: datetime
    end: datetime
    bid: Bid
    products: Annotated[tuple[ProductId, ...], Meta(min_length=1, max_length=MOST_PRODUCTS)]
    targeting: Targeting = Targeting()
    exclusion_groups: Annotated[tuple[Name, ...], Meta(max_length=8)] = ()
    creatives: Annotated[tuple[Creative, ...], Meta(max_length=20)] = ()
    daily_cap: Annotated[int, Meta(ge=0, le=1_000)] = 0


class CampaignFault(NamedTuple):
    """Why a campaign cannot be taken: the field, what is wrong, and what to do."""

    field: str
    message: str


def placed_in_time(campaign: AdCampaign, zone: tzinfo) -> AdCampaign:
    """Return a campaign whose schedule is in UTC; a moment without an offset is local in `zone`.

    A moment that UTC cannot hold stays as it is: `fault_of` refuses it.
    """
    start, end = (_utc(moment, zone) for moment in (campaign.start, campaign.end))
    return msgspec.structs.replace(campaign, start=start, end=end)


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds since 1970 of a moment with a zone."""
    return round(moment.timestamp() * 1_000)


def fault_of(campaign: AdCampaign) -> CampaignFault | None:
    """Return what contradicts itself in a campaign whose schedule is in UTC, or None."""
    return next(_faults(campaign), None)


def _faults(campaign: AdCampaign) -> Iterator[CampaignFault]:
    yield from _unfit_names(campaign)
    yield from _unfit_schedule(campaign)
    if campaign.currency not in CODES:
        yield CampaignFault("currency", f"{campaign.currency!r} is no code of ISO 4217; send EUR")
    budget = campaign.budget
    if budget.daily_micros is not None and budget.daily_micros > budget.total_micros:
        yield CampaignFault(
            "budget.daily_micros",
            f"{budget.daily_micros:,} is above the total of {budget.total_micros:,}; lower it, or "
            "leave it out",
        )
    yield from _repeated("products", campaign.products)
    yield from _repeated("creatives", tuple(creative.id for creative in campaign.creatives))
    for place, term in enumerate(campaign.targeting.terms):
        if not words_of_term(term):
            yield CampaignFault(f"targeting.terms[{place}]", f"{term!r} has no word")
    for place, creative in enumerate(campaign.creatives):
        if creative.image and not ADDRESS.fullmatch(creative.image):
            yield CampaignFault(
                f"creatives[{place}].image",
                "is no address; send one with https:// in front",
            )


def _unfit_names(campaign: AdCampaign) -> Iterator[CampaignFault]:
    ids = [("id", campaign.id)]
    ids += [(f"products[{i}]", one) for i, one in enumerate(campaign.products)]
    for field, name in ids:
        try:
            checked_id(name)
        except RuleError as e:
            yield CampaignFault(field, str(e))
    if "/" in campaign.id:
        yield CampaignFault("id", f"{campaign.id!r} has a slash, which would part its address")
    if campaign.id in DOTS:
        yield CampaignFault("id", f"is {campaign.id!r}, which addresses leave out; send another")
    if not (advertiser := campaign.advertiser.strip()):
        yield CampaignFault("advertiser", "is empty; say who pays")
    elif advertiser != campaign.advertiser:  # it would be another one than without
        yield CampaignFault("advertiser", f"begins or ends with a space; send {advertiser!r}")
    for field, text in _texts(campaign):
        if control := CONTROL.search(text):
            yield CampaignFault(
                field, f"holds the control character U+{ord(control[0]):04X}; send it without"
            )


def _texts(campaign: AdCampaign) -> Iterator[tuple[str, str]]:
    yield "id", campaign.id
    yield "advertiser", campaign.advertiser
    yield "name", campaign.name
    for field in ("terms", "categories", "products", "devices", "channels", "countries"):
        for place, text in enumerate(getattr(campaign.targeting, field)):
            yield f"targeting.{field}[{place}]", text
    for place, text in enumerate(campaign.exclusion_groups):
        yield f"exclusion_groups[{place}]", text
    for place, creative in enumerate(campaign.creatives):
        for field in ("id", "text", "image"):
            yield f"creatives[{place}].{field}", getattr(creative, field)


def _unfit_schedule(campaign: AdCampaign) -> Iterator[CampaignFault]:
    moments = {"start": campaign.start, "end": campaign.end}
    for field, moment in moments.items():
        if moment.tzinfo is None or not FIRST_YEAR <= moment.year < LAST_YEAR:
            yield CampaignFault(field, f"is {moment}, not between {FIRST_YEAR} and {LAST_YEAR}")
            return
    if campaign.end <= campaign.start:
        yield CampaignFault(
            "end", f"is {campaign.end}, which is not after the start, {campaign.start}"
        )


def _repeated(field: str, names: tuple[str, ...]) -> Iterator[CampaignFault]:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        yield CampaignFault(field, f"holds {twice!r} twice; name it once")


def _utc(moment: datetime, zone: tzinfo) -> datetime:
    local = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    try:
        return local.astimezone(UTC)
    except OverflowError:
        return moment
