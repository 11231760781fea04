"""Acts: what a shopper did at one instant, with a line for each product concerned."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from retrieval.types.event import EventType
from retrieval.types.fields import Noun, ProductId, Text, UserId, Word

MOST_LINES = 200
MOST_MICROS = 10**15  # a thousand million in a currency's unit
Micros = Annotated[int, Meta(ge=0, le=MOST_MICROS, description="millionths of the currency's unit")]
Name = Annotated[str, Meta(min_length=1, max_length=128)]


class ConsentState(StrEnum):
    """What a shopper said about one purpose; `unset` means that nobody asked."""

    GRANTED = "granted"
    DENIED = "denied"
    UNSET = "unset"


class StatedConsent(Noun, frozen=True, kw_only=True):
    """What a shopper said, purpose by purpose."""

    search: ConsentState = ConsentState.UNSET
    recommend: ConsentState = ConsentState.UNSET
    ads: ConsentState = ConsentState.UNSET
    train: ConsentState = ConsentState.UNSET


class ActLine(Noun, frozen=True, kw_only=True):
    """One product of an act; `price_micros` is of one piece, `position` counts from 1."""

    product: ProductId
    quantity: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    price_micros: Micros | None = None
    discount_micros: Micros | None = None
    position: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    propensity: Annotated[float, Meta(gt=0, le=1)] | None = None


class Act(Noun, frozen=True, kw_only=True):
    """One act with its envelope and its lines.

    `visitor` is a browser or device, `user` somebody who logged in; an act that has both says that
    the visitor is this user. `at` is when it happened, by the sender's clock, and `sent_at` when it
    was sent, by the same clock; a time without an offset is the shop's local time. `value_micros`
    is what the whole act is worth, for a rating the rating. `answer` is the answer that the act
    came from; `release`, `stage` and a line's `propensity` say how that answer was made. `agent` is
    what the browser calls itself, by which robots are told from people; it is not kept.
    """

    id: Name | None = None
    type: EventType
    visitor: UserId | None = None
    user: UserId | None = None
    session: Word = ""
    at: datetime | None = None
    sent_at: datetime | None = None
    lines: Annotated[tuple[ActLine, ...], Meta(max_length=MOST_LINES)] = ()
    order: Word = ""
    value_micros: Micros | None = None
    currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?$(?!\n)")] = ""
    text: Text = ""
    answer: Annotated[str, Meta(pattern=r"^([0-9a-f]{32})?$(?!\n)")] = ""
    list: Word = ""
    placement: Word = ""
    filter: Annotated[str, Meta(max_length=1_000)] = ""
    experiment: Word = ""
    release: Word = ""
    stage: Word = ""
    agent: Annotated[str, Meta(max_length=512)] = ""
    consent: StatedConsent = StatedConsent()
