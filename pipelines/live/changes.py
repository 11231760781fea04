"""What can change between two builds: a whole product, its end, its price or its availability."""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from pipelines.errors import json_fault
from pipelines.live.product_rules import RuleError, checked_id, cleaned_product
from retrieval import Availability, Product
from retrieval.types import Noun, Price, ProductId

LARGEST_CHANGE = 65_536  # bytes of its JSON
EXAMPLE = '{"type": "edit", "id": "p1", "price": 2.5}'


class Upsert(Noun, frozen=True, kw_only=True, tag_field="type", tag="upsert"):
    """A whole product, new or in place of the one with its id."""

    product: Product

    @property
    def id(self) -> str:
        """Whom it is about."""
        return self.product.id


class Delete(Noun, frozen=True, kw_only=True, tag_field="type", tag="delete"):
    """The end of a product."""

    id: ProductId


class NewValues(Noun, frozen=True, kw_only=True):
    """What an edit changes: a price, an availability or both; a price of null is unknown."""

    price: Price | UnsetType | None = UNSET
    availability: Availability | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.price is UNSET and self.availability is UNSET:
            raise ValueError("name a price, an availability or both")


class Edit(NewValues, frozen=True, kw_only=True, tag_field="type", tag="edit"):
    """New values of a product."""

    id: ProductId

    @classmethod
    def to(cls, name: str, values: NewValues) -> "Edit":
        """Return the edit that gives a product these values."""
        return cls(id=name, price=values.price, availability=values.availability)


Change = Upsert | Delete | Edit


class RejectedChange(NamedTuple):
    """Why a change was not taken: an HTTP status, the field, and what to do."""

    status: int
    field: str
    message: str


_READER: msgspec.json.Decoder[Change] = msgspec.json.Decoder(Change)


def read_change(line: bytes) -> Change | RejectedChange:
    """Return the change of one JSON object, cleaned, or why it is none."""
    change = logged_change(line)
    return change if isinstance(change, RejectedChange) else cleaned(change)


def cleaned(change: Change) -> Change | RejectedChange:
    """Return a change whose product an import would keep as it is, or why it would not."""
    try:
        if isinstance(change, Upsert):
            return Upsert(product=cleaned_product(change.product))
        _ = checked_id(change.id)
    except RuleError as e:
        return RejectedChange(400, e.field, str(e))
    return change


def logged_change(line: bytes) -> Change | RejectedChange:
    """Return the change of one JSON object as it stands in a log, or why it is none."""
    if len(line) > LARGEST_CHANGE:
        return too_large(len(line))
    try:
        return _READER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        fault = json_fault(line, e)
        return RejectedChange(400, "line", f"is not a change: {fault}; send for example {EXAMPLE}")


def written(change: Change) -> bytes:
    """Return a change as JSON, as `logged_change` reads it."""
    return msgspec.json.encode(change)


def too_large(size: int) -> RejectedChange:
    """Return the refusal of a change of so many bytes."""
    return RejectedChange(
        413, "line", f"has {size:,} bytes; a change may have {LARGEST_CHANGE:,}: shorten its texts"
    )
