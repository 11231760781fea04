"""Promotions: how and when the shop draws attention to products."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from retrieval.types.fields import Noun, ProductId


class PromotionKind(StrEnum):
    """How the shop draws attention to a product."""

    OFFER = "offer"  # in the leaflet, in a mailing, at a lower price
    DISPLAY = "display"  # a place of its own: an end of an aisle, a banner


class Promotion(Noun, frozen=True, kw_only=True):
    """A product that the shop puts forward from `start` until before `end`.

    `share` says in how many of the shop's places it does, 1: in all. It is known from `known_from`
    on, or from its start where that is not said.
    """

    product: ProductId
    kind: PromotionKind
    start: datetime
    end: datetime
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    known_from: datetime | None = None
