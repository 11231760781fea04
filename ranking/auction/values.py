"""The values of an auction: who bids for a page, by which rules, and the page that comes of it.

Money is whole micros, millionths of the unit of the shop's one currency.
"""

from enum import StrEnum
from itertools import pairwise
from typing import Any

import msgspec

from ranking.auction.errors import (
    AuctionError,
    check_distinct,
    check_id,
    check_share,
    check_tuple,
    check_whole,
)

MOST_MICROS = 10**15  # as in an act: a thousand million in the currency's unit
MOST_POSITIONS = 200
MOST_CANDIDATES = 100_000
MOST_GROUPS = 8
HIGHEST_LOAD = 16
FULL_EXPOSURE = 1_000_000  # parts per million
LARGEST_RANDOM_NUMBER = 2**64 - 1


class Pricing(StrEnum):
    """What is billed."""

    CPC = "cpc"  # a click
    CPM = "cpm"  # a thousand views


class PriceRule(StrEnum):
    """What a sponsored product on the page pays."""

    GSP = "gsp"  # the least bid that keeps its position
    VCG = "vcg"  # what the others lose by it
    FIRST_PRICE = "first_price"  # its bid


class _Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record, the same in memory and in JSON, checked whenever one is made."""


class Organic(_Value, frozen=True, kw_only=True):
    """A product for which the house bids.

    `value_micros` is what a thousand impressions at the first position are worth to the house.
    """

    product: str
    value_micros: int

    def __post_init__(self) -> None:
        """Refuse a field out of its range."""
        check_id("product", self.product)
        check_whole("value_micros", self.value_micros, 0, MOST_MICROS)


class Sponsored(_Value, frozen=True, kw_only=True):
    """A product for which a campaign bids; one campaign bids once for one product.

    `bid_micros` is for a click, or with CPM for a thousand views. `probability` is that of the
    event that is billed, a click or a view, of one impression at the first position.
    """

    campaign: str
    product: str
    advertiser: str
    groups: tuple[str, ...] = ()  # exclusion groups: a page shows at most one of each
    pricing: Pricing
    bid_micros: int
    probability: float
    relevance: float

    def __post_init__(self) -> None:
        """Refuse a field out of its range."""
        check_id("campaign", self.campaign)
        check_id("product", self.product)
        check_id("advertiser", self.advertiser)
        check_whole("bid_micros", self.bid_micros, 1, MOST_MICROS)
        check_share("probability", self.probability)
        check_share("relevance", self.relevance)
        if type(self.pricing) is not Pricing:
            raise AuctionError("pricing", f"{self.pricing!r} is none; choose cpc or cpm")
        if self.groups != ():
            check_tuple("groups", self.groups, str, MOST_GROUPS)
            for group in self.groups:
                check_id("groups", group)
            check_distinct("groups", list(self.groups))


class Rules(_Value, frozen=True, kw_only=True):
    """The rules of one placement.

    No price is below the reserve of its pricing, which is in the unit of the bid. `ad_load` is the
    most sponsored products of a page. A candidate whose relevance is below the floor takes no part.
    """

    price_rule: PriceRule
    reserve_cpc_micros: int = 0
    reserve_cpm_micros: int = 0
    relevance_floor: float = 0.0
    ad_load: int

    def __post_init__(self) -> None:
        """Refuse a field out of its range."""
        if type(self.price_rule) is not PriceRule:
            names = ", ".join(PriceRule)
            raise AuctionError("price_rule", f"{self.price_rule!r} is none; choose one of {names}")
        check_whole("reserve_cpc_micros", self.reserve_cpc_micros, 0, MOST_MICROS)
        check_whole("reserve_cpm_micros", self.reserve_cpm_micros, 0, MOST_MICROS)
        check_share("relevance_floor", self.relevance_floor)
        check_whole("ad_load", self.ad_load, 0, HIGHEST_LOAD)

    def reserve_micros(self, pricing: Pricing) -> int:
        """Return the reserve of a click, or of a thousand views."""
        return self.reserve_cpc_micros if pricing is Pricing.CPC else self.reserve_cpm_micros


class Auction(_Value, frozen=True, kw_only=True):
    """All that decides one page.

    `exposure_ppm` is the click-through of each position relative to the first, in parts per
    million; it never rises. `shown` are the products on earlier pages of a cursor. `random_number`
    breaks ties; whoever asks draws it anew for each auction.
    """

    placement: str
    exposure_ppm: tuple[int, ...]
    organic: tuple[Organic, ...]
    sponsored: tuple[Sponsored, ...]
    rules: Rules
    shown: tuple[str, ...] = ()
    random_number: int

    def __post_init__(self) -> None:
        """Refuse a field out of its range, and candidates that stand twice."""
        check_id("placement", self.placement)
        _check_exposure(self.exposure_ppm)
        check_tuple("organic", self.organic, Organic, MOST_CANDIDATES)
        check_tuple("sponsored", self.sponsored, Sponsored, MOST_CANDIDATES)
        check_distinct("organic", [one.product for one in self.organic])
        check_distinct("sponsored", [(one.campaign, one.product) for one in self.sponsored])
        if type(self.rules) is not Rules:
            raise AuctionError("rules", f"{self.rules!r} is no Rules")
        check_tuple("shown", self.shown, str, MOST_CANDIDATES)
        for product in self.shown:
            check_id("shown", product)
        check_whole("random_number", self.random_number, 0, LARGEST_RANDOM_NUMBER)


class Position(_Value, frozen=True, kw_only=True):
    """One position of the page, counted from 1; without a campaign the product is organic.

    `price_micros` is for a click, or with CPM for a thousand views, on this page.
    """

    position: int
    product: str
    campaign: str | None = None
    price_micros: int | None = None


class Outcome(_Value, frozen=True, kw_only=True):
    """The page, from its first position; shorter than it could be where candidates ran out.

    `ad_load` is that of the rules, or less where the best page with so many was too hard to find.
    """

    page: tuple[Position, ...]
    ad_load: int


def _check_exposure(exposure_ppm: Any) -> None:
    check_tuple("exposure_ppm", exposure_ppm, int, MOST_POSITIONS)
    if not exposure_ppm or exposure_ppm[0] != FULL_EXPOSURE:
        raise AuctionError(
            "exposure_ppm", f"{exposure_ppm[:1]} does not begin with {FULL_EXPOSURE:,}"
        )
    for position, (above, here) in enumerate(pairwise(exposure_ppm), start=2):
        if not 1 <= here <= above:
            raise AuctionError(
                "exposure_ppm",
                f"{here:,} at position {position} is not from 1 to the {above:,} above it",
            )
