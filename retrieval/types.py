"""The nouns: what is sold, who shops, when and where, what is asked and what is answered."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec
import numpy as np
from jaxtyping import Float32, Int32, Int64
from msgspec import Meta

ProductId = Annotated[str, Meta(min_length=1, max_length=128)]
UserId = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=2_000)]
Picture = Annotated[bytes, Meta(max_length=10_000_000, description="base64 in JSON")]
Word = Annotated[str, Meta(max_length=128)]
Share = Annotated[float, Meta(ge=0, le=1)]
Mark = Annotated[float, Meta(gt=0, le=1)]  # how much a product is liked or disliked
FieldName = Annotated[str, Meta(min_length=1, max_length=200)]
Interval = tuple[float | None, float | None]
Marks = Annotated[dict[ProductId, Mark], Meta(max_length=100)]


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record, the same in a file, on the wire and in memory."""


class Availability(StrEnum):
    """Whether a product can be bought now (Google retail)."""

    IN_STOCK = "IN_STOCK"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    PREORDER = "PREORDER"
    BACKORDER = "BACKORDER"


Price = Annotated[float, Meta(ge=0, le=1e9)]  # as the import takes it


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
    attributes: dict[str, str] = {}
    images: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    item_group_id: str = ""
    tags: tuple[str, ...] = ()


class EventType(StrEnum):
    """What a shopper did, from the weakest sign of interest to the strongest."""

    IMPRESSION = "impression"
    SEARCH = "search"
    VIEW = "view"
    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    PURCHASE = "purchase"


class Consent(Noun, frozen=True, kw_only=True):
    """What a shopper allows, purpose by purpose."""

    search: bool = True
    recommend: bool = True
    ads: bool = True
    train: bool = True


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


class UserProfile(Noun, frozen=True, kw_only=True):
    """Who shops: declared traits such as `age_band: 45-54`, and what they allow."""

    id: UserId
    traits: dict[str, str] = {}
    consent: Consent = Consent()


class Campaign(Noun, frozen=True, kw_only=True):
    """A promotion that runs for a while; `products` and `users` empty means: for all."""

    id: str
    kind: str = ""
    start: datetime
    end: datetime
    products: tuple[ProductId, ...] = ()
    users: tuple[UserId, ...] = ()


class PromotionKind(StrEnum):
    """How the shop draws attention to a product."""

    OFFER = "offer"  # in the leaflet, in a mailing, at a lower price
    DISPLAY = "display"  # a place of its own: an end of an aisle, a banner


class Promotion(Noun, frozen=True, kw_only=True):
    """A product that the shop puts forward from `start` until before `end`.

    `share` says in how many of the shop's places it does, 1: in all.
    """

    product: ProductId
    kind: PromotionKind
    start: datetime
    end: datetime
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0


class Placement(StrEnum):
    """Which window of the shop is being filled."""

    HOME = "home"
    DETAIL = "detail"
    CART = "cart"
    SEARCH = "search"
    ZERO_RESULT = "zero_result"
    POST_PURCHASE = "post_purchase"


class Scene(Noun, frozen=True, kw_only=True):
    """Where and when: `at` is the shop's local time, by default now."""

    at: datetime | None = None
    placement: Placement = Placement.HOME
    device: Word = ""
    channel: Word = ""
    country: Word = "US"


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
    bounds the answer's time. `facets`, `sort`, `collapse` and `cursor` ask for a list of all that
    matches: counted, sorted, each group once, page by page; the cursor `*` begins one.
    """

    text: Text = ""
    image: Picture | None = None
    liked: Marks = {}
    disliked: Marks = {}
    user: UserId | None = None
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


class Searched(Noun, frozen=True, kw_only=True):
    """How a channel searched its vectors among the products that might be shown.

    `way` is `scan` (all that pass were compared, if many as bytes first), `select` (its index
    skipped the others) or `overfetch` (it fetched more and dropped the others). `exactness`
    estimates the share of the true answers that were found; 1: all, for sure.
    """

    way: str
    passed: int
    of: int
    exactness: Share


class Filtered(Noun, frozen=True, kw_only=True):
    """How many of all products might be shown, and how channels searched among them.

    A channel that is not named compares everything that passes. `exact` says that all of them did.
    """

    passed: int
    of: int
    exact: bool
    channels: dict[str, Searched] = {}


class Reading(Noun, frozen=True, kw_only=True):
    """Words of the query that were looked for in others, too; `why`: misspelt or synonym."""

    asked: str
    read_as: tuple[str, ...]
    why: str


class FacetValue(Noun, frozen=True, kw_only=True):
    """How many of the products that match have a word, or a number in an interval."""

    value: str = ""
    interval: Interval | None = None
    count: int


class FacetCounts(Noun, frozen=True, kw_only=True):
    """The counts of one field: of words the most frequent first, of numbers in order.

    `distinct` says how many values there are, also those beyond the limit. `exact` and `of` are as
    in `Matched`, of what was counted here.
    """

    field: str
    values: tuple[FacetValue, ...]
    distinct: int
    exact: bool
    of: int


class Matched(Noun, frozen=True, kw_only=True):
    """What a list holds: `total` entries, walked to the end by cursors.

    They stand for the `of` products that were looked at, one for each group where groups are
    collapsed. `exact` says that these are all that match; else there may be more. `stale` says that
    products have changed since the list began.
    """

    total: int
    of: int
    exact: bool
    stale: bool = False
    facets: tuple[FacetCounts, ...] = ()


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """Proposed products as columns: row numbers of one release, never objects.

    `positions[channel]` counts from 1 within the channel; 0 where it did not propose the row.
    `scores[channel]` is comparable within its channel only; 0 where it has no opinion.
    `fused` orders them; rows stand best first. `searched[channel]` says how a channel of vectors
    got along with a filter.
    """

    rows: Int64[np.ndarray, "c"]
    fused: Float32[np.ndarray, "c"]
    positions: dict[str, Int32[np.ndarray, "c"]]
    scores: dict[str, Float32[np.ndarray, "c"]]
    searched: dict[str, Searched] = {}


class Stage(StrEnum):
    """How far an answer got before its deadline."""

    RANKING = "ranking"
    RETRIEVAL = "retrieval"
    POPULAR = "popular"


class Placed(Noun, frozen=True, kw_only=True):
    """One product on the page. `why` is for the shopper, the rest for `explain`."""

    position: Annotated[int, Meta(ge=1)]
    product: Product
    score: float
    probabilities: dict[str, float] = {}  # of a click, a purchase… where that is calibrated
    sponsored: bool = False
    variants: int = 0  # further products of its group that match, where groups are collapsed
    why: tuple[str, ...] = ()
    channels: dict[str, float] = {}
    features: dict[str, float] = {}
    moved: dict[str, float] = {}  # what each feature adds to the score, against the average here
    attended: dict[str, float] = {}  # shares of what the ranker looked at, the largest first


class Slate(Noun, frozen=True, kw_only=True):
    """The answer: placed products, which stage and release gave it, and what each stage cost."""

    products: tuple[Placed, ...]
    stage: Stage
    release: str
    timings_ms: dict[str, float] = {}
    missing: tuple[str, ...] = ()  # asked for by id, but not in this release
    filtered: Filtered | None = None  # for `explain`, where not every product might be shown
    matched: Matched | None = None  # where a list was asked for
    cursor: str = ""  # of the next page of the list; empty: there is none
    readings: tuple[Reading, ...] = ()  # for `explain`, of words that were not taken as written


def local_seconds(moment: datetime) -> int:
    """Seconds since 1970 on the shop's own clock; a moment without a zone is already local."""
    return int(moment.replace(tzinfo=UTC).timestamp())
