"""The sections of a mapping: which columns of a table hold what."""

from enum import StrEnum
from typing import Literal

import msgspec

from pipelines.config.sections import Section
from pipelines.config.zones import zone_of
from retrieval import EventType

Names = str | tuple[str, ...]


class ProductColumns(Section, frozen=True, kw_only=True):
    """Names of columns. Several titles or descriptions are joined, several categories one path."""

    id: str
    title: Names
    description: Names = ()
    brand: str = ""
    categories: Names = ()
    price: str = ""
    currency: str = ""
    availability: str = ""
    images: Names = ()
    videos: Names = ()
    item_group_id: str = ""
    tags: Names = ()


class ConsentColumns(Section, frozen=True, kw_only=True):
    """Names of columns that say whether a shopper allowed a purpose; nothing is unset.

    Where `transient` says yes, the ids of the act last for one visit: it is nobody's, and neither
    recommendations nor training may use it.
    """

    search: Names = ()
    recommend: Names = ()
    ads: Names = ()
    train: Names = ()
    transient: Names = ()


class EventColumns(Section, frozen=True, kw_only=True):
    """Names of columns of a log; without the column `type`, `default_type` is the type of all.

    Of several columns of one field the first that is filled counts; of time, a column with days
    and one with times of day make one. Where a row has its lines in a list (`each`), a name is
    looked for in the line first, then in the row; `/name` is looked for in the row alone, and `/#`
    is the place in the list, from 1 on.
    """

    user: Names = ()  # (): the visitor, else the session, or nobody that is known
    visitor: Names = ()  # a browser or device
    time: Names
    created_at: Names = ()  # by the sender's clock; goes before `time` with the next two
    sent_at: Names = ()  # by the sender's clock
    received_at: Names = ()  # by the clock of whoever took the act
    product: Names = ()  # (): a log of searches alone
    name: Names = ()  # of the product as an order shows it, where `product` is empty or unknown
    id: Names = ()  # of the event
    type: Names = ()
    default_type: str = "purchase"
    types: dict[str, EventType] = msgspec.field(default_factory=dict)  # their name: ours
    ignored: tuple[str, ...] = ()  # names of acts that are none of shopping
    status: Names = ()  # of an order: one that failed, or was undone at nobody knows when, is out
    undone_at: Names = ()  # when an order was cancelled or refunded: until then it was a purchase
    session: Names = ()
    order: Names = ()
    quantity: Names = ()
    value: Names = ()  # of all pieces together
    unit_price: Names = ()  # of one piece, where there is no value
    discount: Names = ()  # of one piece, by which `unit_price` is lower already
    total: Names = ()  # of the whole act
    currency: Names = ()
    rating: Names = ()  # of a rating, on the shop's own scale
    text: Names = ()
    position: Names = ()
    first_position: Literal[0, 1] | None = None  # where places begin; None: as the log tells
    propensity: Names = ()
    placement: Names = ()
    list: Names = ()  # of products, in which the act was done
    answer: Names = ()  # the answer that the act came from
    filter: Names = ()
    experiment: Names = ()
    agent: Names = ()  # what the browser calls itself, by which robots are told; it is not kept
    consent: ConsentColumns = ConsentColumns()
    each: Names = ()  # a list in a row of JSON, each of whose values is a line or an event
    beside: tuple[str, ...] = ()  # further lists, whose values go with those of `each` in order
    match: Literal["", "auto", "id", "sku", "gtin", "mpn", "group"] = ""  # what `product` names
    duplicates: Literal["", "keep", "drop"] = ""  # equal lines; "": dropped where they have an id
    dates: Literal["", "day first", "month first", "year first"] = ""  # "": as the whole file says
    zone: str = ""  # the same as `timezone` of the whole mapping
    written_zone: str = ""  # of times that name none, where it is not the shop's

    def __post_init__(self) -> None:
        """Refuse a zone that the system does not know."""
        zone_of(self.zone)
        zone_of(self.written_zone)


class Role(StrEnum):
    """What a row of a table is."""

    PRODUCT = "product"
    VARIANT = "variant"
    PICTURE = "picture"  # a further one of the product above
    NONE = "none"


class VariantColumns(Section, frozen=True, kw_only=True):
    """Names of columns that tell which rows are variants of one product.

    Either rows of one product have the same `group`, or a variant names its `parent`, or the row
    of the product names its `children`. Variants inherit the texts and pictures that they lack.
    """

    group: str = ""  # a row with an empty one belongs to the row before
    follow: bool = False  # variants and pictures belong to the product before, whatever their group
    parent: str = ""
    children: str = ""  # `sku=A,size=S|sku=B,size=M`
    keys: Names = ()  # columns by which parents and children are named; (): `columns.id`
    role: str = ""  # a column that says what a row is
    roles: dict[str, Role] = msgspec.field(default_factory=dict)  # by its values, in small letters
    filled: Names = ()  # a variant has one of them; a row without is a further picture
    image: str = ""  # of the variant alone, beside those of its product


class SaleColumns(Section, frozen=True, kw_only=True):
    """Names of columns of a price that is paid for a time instead of `columns.price`."""

    price: str = ""
    amount: str = ""  # by which the price is lower
    percent: str = ""
    start: str = ""
    end: str = ""  # a day alone is part of it
    period: str = ""  # both in one, parted by "/"
    mode: str = ""  # where it says percent, that is the sale, otherwise the amount
    flag: str = ""  # where it says no, there is no sale
    surcharge: str = ""  # which a variant costs more than its product
    before: str = ""  # what the price was, where `columns.price` is what is paid
    order: Literal["", "day first", "month first"] = ""  # of dates such as 3/1/2024


class StockColumns(Section, frozen=True, kw_only=True):
    """Names of columns of a stock, where `columns.availability` does not say it all."""

    quantity: str = ""
    tracked: str = ""  # where it is empty or no, the quantity says nothing
    backorders: str = ""  # where it says yes, a product without stock is sold


class PictureColumns(Section, frozen=True, kw_only=True):
    """Names of columns of a Parquet file of pictures."""

    id: str = "id"
    image: str = "image"
