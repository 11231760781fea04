"""Products: what the shop sells, and whether it can be bought now."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from retrieval.types.fields import Noun, Price, ProductId


class Availability(StrEnum):
    """Whether a product can be bought now (Google retail)."""

    IN_STOCK = "IN_STOCK"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PREORDER = "PREORDER"
    BACKORDER = "BACKORDER"


class Product(Noun, frozen=True, kw_only=True):
    """What is sold. A category is a path: `Food > Bread > Rye`."""

    id: ProductId
    title: Annotated[str, Meta(min_length=1)]
    description: str = ""
    brand: str = ""
    categories: tuple[str, ...] = ()
    price: Price | None = None
    currency: str = ""
    availability: Availability = Availability.IN_STOCK
    attributes: dict[str, str | tuple[str, ...]] = {}  # a value, or several
    images: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    item_group_id: str = ""
    tags: tuple[str, ...] = ()
