"""What the journal of ads holds: campaigns, auctions, and acts on what was shown with charges."""

from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from pipelines.ads.campaigns.campaign import AdCampaign, Name
from ranking.auction.values import Pricing
from retrieval.types import Noun, ProductId

Micros = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Milliseconds = Annotated[int, Meta(ge=0, lt=2**53, description="since 1970, UTC")]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$", description="of the shop")]


class AdAct(StrEnum):
    """What became of a showing; each is told once of each."""

    IMPRESSION = "impression"  # it was drawn on a page
    VIEW = "view"  # half of it was seen for a second
    CLICK = "click"


class Showing(Noun, frozen=True, kw_only=True):
    """One sponsored product of one answer, and what it costs: a click, or a thousand views.

    `exposure_ppm` says how often a product at its position is looked at, beside the first, in
    millionths. `hold_micros` is what the showing will probably cost: it is kept from other auctions
    until it is charged, or until `expires_ms`, when it can be charged no more.
    """

    auction: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    position: Annotated[int, Meta(ge=1, le=10_000)]
    campaign: Name
    product: ProductId
    placement: Annotated[str, Meta(max_length=128)]
    exposure_ppm: Annotated[int, Meta(ge=1, le=1_000_000)]
    kind: Pricing
    price_micros: Micros
    hold_micros: Micros
    at_ms: Milliseconds
    expires_ms: Milliseconds

    @property
    def charged_for(self) -> AdAct:
        """The act that costs something."""
        return AdAct.CLICK if self.kind is Pricing.CPC else AdAct.VIEW

    def due(self, carried: int) -> tuple[int, int]:
        """Return what such an act costs in whole micros, and the thousandths that it leaves.

        `carried` are the thousandths of a micro that earlier acts of the campaign left: the prices
        of views are added up first, and the sum is cut.
        """
        if self.kind is Pricing.CPC:
            return self.price_micros, carried
        return divmod(carried + self.price_micros, 1_000)


class PutCampaign(Noun, frozen=True, kw_only=True, tag_field="type", tag="put"):
    """A campaign, new or in place of the one with its id."""

    campaign: AdCampaign


class DeleteCampaign(Noun, frozen=True, kw_only=True, tag_field="type", tag="delete"):
    """The end of a campaign; what it has spent stays in the ledger under its id."""

    id: Name


class HeldAuction(Noun, frozen=True, kw_only=True, tag_field="type", tag="auction"):
    """An auction that was held: what it shows, and why each other candidate is not shown.

    `origin` is the process that held it, `visitor` a digest of whoever was answered, "" where
    nobody was named. `record` is all that the auction was computed from, as JSON; "" where
    something speaks against every campaign, so that there was none.
    """

    id: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    at_ms: Milliseconds
    day: Day
    origin: str
    visitor: str
    showings: tuple[Showing, ...]
    lost: dict[str, tuple[str, ...]]  # by campaign
    record: str


class ToldAct(Noun, frozen=True, kw_only=True, tag_field="type", tag="told"):
    """An act on a showing, as a page tells of it."""

    act: AdAct
    showing: Showing


class CountedAct(Noun, frozen=True, kw_only=True, tag_field="type", tag="counted"):
    """An act that counts, with what it was charged; the rest of the price was given away."""

    act: AdAct
    showing: Showing
    at_ms: Milliseconds
    day: Day
    charged_micros: Micros = 0
    given_away_micros: Micros = 0


AdItem = PutCampaign | DeleteCampaign | HeldAuction | ToldAct
AdRecord = PutCampaign | DeleteCampaign | HeldAuction | CountedAct


class AdEntry(NamedTuple):
    """A record as it lies in the journal."""

    sequence: int
    record: AdRecord


class UnwrittenAd(NamedTuple):
    """Why an item was not written: a status of HTTP, the field, and what to do."""

    status: int  # 200: the act was told before
    field: str
    message: str


AdOutcome = int | UnwrittenAd

READER: msgspec.json.Decoder[AdRecord] = msgspec.json.Decoder(AdRecord)
