"""Scene: where and when a request is made, and the shop's local time in seconds."""

from datetime import UTC, datetime
from enum import StrEnum

from retrieval.types.fields import Noun, Word


class Placement(StrEnum):
    """Which window of the shop is being filled."""

    HOME = "home"
    DETAIL = "detail"
    CART = "cart"
    SEARCH = "search"
    ZERO_RESULT = "zero_result"
    POST_PURCHASE = "post_purchase"


class Scene(Noun, frozen=True, kw_only=True):
    """Where and when: `at` is the shop's local time unless it names an offset, by default now.

    `country` is a code of ISO 3166 such as DE, by default the shop's.
    """

    at: datetime | None = None
    placement: Placement = Placement.HOME
    device: Word = ""
    channel: Word = ""
    country: Word = ""


def local_seconds(moment: datetime) -> int:
    """Return the seconds since 1970 on the shop's own clock, of a moment that is local."""
    assert moment.tzinfo is None, f"{moment} is not local"
    return int(moment.replace(tzinfo=UTC).timestamp())
