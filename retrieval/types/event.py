"""Events: one act of a shopper on one product."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from retrieval.types.fields import Noun, ProductId, Text, UserId
from retrieval.types.user import Consent


class EventType(StrEnum):
    """What a shopper did: from the weakest sign of interest to the strongest, then what undoes
    one, then a judgement."""

    IMPRESSION = "impression"
    SEARCH = "search"
    VIEW = "view"
    CLICK = "click"
    ADD_TO_WISHLIST = "add_to_wishlist"
    ADD_TO_CART = "add_to_cart"
    PURCHASE = "purchase"
    REMOVE_FROM_CART = "remove_from_cart"
    REFUND = "refund"  # of what was bought before: returned, cancelled or paid back
    RATING = "rating"  # `value` is the rating, on the shop's own scale


class Event(Noun, frozen=True, kw_only=True):
    """One product of one act; acts of one basket or session share `session`."""

    type: EventType
    user: UserId
    session: str = ""
    time: datetime
    product: ProductId | None = None
    quantity: Annotated[float, Meta(gt=0)] = 1.0
    value: Annotated[float, Meta(ge=0)] | None = None
    text: Text = ""
    position: Annotated[int, Meta(ge=1)] | None = None
    propensity: Annotated[float, Meta(gt=0, le=1)] | None = None
    placement: str = ""
    consent: Consent = Consent()
