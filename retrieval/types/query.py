"""Query: a whole request, with the facets, the order and the groups of a list."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from retrieval.types.act import ConsentState
from retrieval.types.fields import (
    FieldName,
    Interval,
    Marks,
    Noun,
    Picture,
    ProductId,
    Text,
    UserId,
)
from retrieval.types.scene import Scene


class Facet(Noun, frozen=True, kw_only=True):
    """A field whose values are counted among the products that match.

    Words are counted one by one. Numbers are counted in `intervals`, from the first number up to,
    and without, the second, null for an open end; without intervals, in at most `limit` of about as
    many products each. `excluded_filter` leaves the filter's conditions on this very field out.
    """

    field: FieldName
    limit: Annotated[int, Meta(ge=1, le=300)] = 10
    intervals: Annotated[tuple[Interval, ...], Meta(max_length=50)] = ()
    excluded_filter: bool = False


class Direction(StrEnum):
    """Which end of a column stands first."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class Sort(Noun, frozen=True, kw_only=True):
    """A column to sort by; what has no value there is last either way."""

    field: FieldName
    order: Direction = Direction.ASCENDING


class Collapse(Noun, frozen=True, kw_only=True):
    """A field of which each value is shown once, by the first product that has it."""

    field: FieldName = "item_group_id"


class Query(Noun, frozen=True, kw_only=True):
    """A whole request. With text or a picture it is a search, without it a recommendation.

    `liked` and `disliked` name products with weights: the answer holds what is like the former
    and unlike the latter, and none of them. `candidates` asks to rank just these; `deadline_ms`
    bounds the answer's time. `visitor` is a browser or device, whose acts count on a server that
    takes events. `ads_consent` is what the shopper said of ads. `facets`, `sort`, `collapse` and
    `cursor` ask for a list of all that matches: counted, sorted, each group once, page by page;
    the cursor `*` begins one.
    """

    text: Text = ""
    image: Picture | None = None
    liked: Marks = {}
    disliked: Marks = {}
    user: UserId | None = None
    visitor: UserId | None = None
    ads_consent: ConsentState = ConsentState.UNSET
    scene: Scene = Scene()
    filter: Annotated[str, Meta(max_length=10_000)] = ""
    candidates: Annotated[tuple[ProductId, ...], Meta(max_length=100_000)] | None = None
    facets: Annotated[tuple[Facet, ...], Meta(max_length=20)] = ()
    sort: Annotated[tuple[Sort, ...], Meta(max_length=4)] = ()
    collapse: Collapse | None = None
    cursor: Annotated[str, Meta(max_length=400)] = ""
    k: Annotated[int, Meta(ge=1, le=1_000)] = 20
    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] = 2_000
    explain: bool = False

    @property
    def is_search(self) -> bool:
        """Whether the shopper said or showed what they look for."""
        return bool(self.text.strip()) or self.image is not None
