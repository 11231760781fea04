"""Slate: the answer to a query, with its placed products, its counts and its explanation."""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from retrieval.types.candidates import Searched
from retrieval.types.fields import Interval, Noun, Share
from retrieval.types.product import Product


class Filtered(Noun, frozen=True, kw_only=True):
    """How many of all products might be shown, and how channels searched among them.

    A channel that is not named compares everything that passes. `exact` says that all of them did.
    `unknown` are the conditions that name a value which no product has.
    """

    passed: int
    of: int
    exact: bool
    channels: dict[str, Searched] = {}
    unknown: tuple[str, ...] = ()


class Reading(Noun, frozen=True, kw_only=True):
    """Words that were looked for in others, too; `why`: misspelt (a guess), synonym or compound."""

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


class Stage(StrEnum):
    """The stage that gave an answer its order, the best and dearest first."""

    RANKING = "ranking"
    SHORT_RANKING = "short_ranking"  # fewer candidates were ranked
    RETRIEVAL = "retrieval"
    WORDS = "words"  # the words of the search alone, without an encoder
    CACHED = "cached"  # an earlier answer to the same request, of no shopper
    POPULAR = "popular"


Because = Literal["deadline", "load", "failure"]


class Skipped(Noun, frozen=True, kw_only=True):
    """A stage that would have given a better answer, and why it was left out.

    `saved_ms` is how many milliseconds longer its answer takes as a rule; 0 of one that failed.
    """

    stage: Stage
    because: Because
    saved_ms: Annotated[float, Meta(ge=0)] = 0.0


class Ad(Noun, frozen=True, kw_only=True):
    """Why a product is sponsored: who pays, and the main reasons for which it is shown.

    `token` stands in the addresses by which a page tells of its impression, view and click. `text`
    and `image` are those of the campaign's first creative.
    """

    campaign: str
    advertiser: str
    why: tuple[str, ...]
    token: str
    text: str = ""
    image: str = ""


class Placed(Noun, frozen=True, kw_only=True):
    """One product on the page. `why` is for the shopper, the rest for `explain`."""

    position: Annotated[int, Meta(ge=1)]
    product: Product
    score: float
    probabilities: dict[str, float] = {}  # of a click, a purchase… where that is calibrated
    sponsored: bool = False
    ad: Ad | UnsetType = UNSET  # of what is sponsored
    variants: int = 0  # further products of its group that match, where groups are collapsed
    why: tuple[str, ...] = ()
    channels: dict[str, float] = {}
    features: dict[str, float] = {}
    moved: dict[str, float] = {}  # what each feature adds to the score, against the average here
    attended: dict[str, float] = {}  # shares of what the ranker looked at, the largest first


class Slate(Noun, frozen=True, kw_only=True):
    """The answer: placed products, which stage and release gave it, and what each stage cost.

    `skipped` has the stages that would have given a better one, and `coverage` the share of the
    channels for such a request that answered. `guessed` says that no product holds a word of the
    search, so that these are the nearest in meaning, however far that is.
    """

    products: tuple[Placed, ...]
    stage: Stage
    release: str
    timings_ms: dict[str, float] = {}
    skipped: tuple[Skipped, ...] = ()
    coverage: Share = 1.0
    guessed: bool = False
    missing: tuple[str, ...] = ()  # asked for by id, but not in this release
    filtered: Filtered | None = None  # for `explain`, where not every product might be shown
    matched: Matched | None = None  # where a list was asked for
    cursor: str = ""  # of the next page of the list; empty: there is none
    readings: tuple[Reading, ...] = ()  # for `explain`, of words that were not taken as written
