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
    """Where and when: `at` is the shop's local time, by default now."""

    at: datetime | None = None
    placement: Placement = Placement.HOME
    device: Word = ""
    channel: Word = ""
    country: Word = "US"


def local_seconds(moment: datetime) -> int:
    """Seconds since 1970 on the shop's own clock; a moment without a zone is already local."""
    return int(moment.replace(tzinfo=UTC).timestamp())
