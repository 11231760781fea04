"""Reasons in a shopper's words why a product is on the page, from its features."""

from collections.abc import Callable, Mapping
from functools import partial
from math import expm1
from typing import NamedTuple

Numbers = Mapping[str, float]
MOST_REASONS = 2


class Reason(NamedTuple):
    """A sentence, its condition, and its topic: each topic is used once."""

    about: str
    holds: Callable[[Numbers], bool]
    words: Callable[[Numbers], str]


REASONS = (
    Reason(
        "query",
        lambda f: f["words_match"] > 0.6 or f["text_match"] > 0.5,
        lambda f: "matches what you asked for",
    ),
    Reason(
        "habit",
        lambda f: f["bought_before"] > 0 and 0.8 <= f["rhythm"] <= 2.0,
        lambda f: f"you may need it again: last bought {_ago(f)}",
    ),
    Reason("baskets", lambda f: f["recent_share"] >= 0.6, lambda f: "in most of your last baskets"),
    Reason("habit", lambda f: f["bought_before"] > 0, lambda f: f"you bought it {_ago(f)}"),
    Reason("together", lambda f: f["together"] > 0.5, lambda f: "goes with what you bought lately"),
    Reason(
        "aisle", lambda f: f["category_frequency"] > 0, lambda f: "from an aisle you often visit"
    ),
    Reason(
        "trend",
        lambda f: f["trend"] > 0.5 and f["popularity_7"] > 1,
        lambda f: "rising this week",
    ),
    Reason("trend", lambda f: f["popularity_30"] > 4, lambda f: "many shoppers buy it these weeks"),
)


def _always(words: str, _: Numbers) -> str:
    return words


LOOKED = {  # what stands for a topic where a shopper bought nothing yet, but looked
    "habit": "you chose it or looked at it lately",
    "together": "goes with what you looked at lately",
    "aisle": "from an aisle that you looked at",
}


REASONS_OF_LOOKS = tuple(
    reason._replace(words=partial(_always, LOOKED[reason.about]))
    if reason.about in LOOKED
    else reason
    for reason in REASONS
    if reason.about != "baskets"
)


def reasons(features: Numbers, *, bought: bool = True) -> tuple[str, ...]:
    """Return at most two reasons, the strongest first; none without features.

    Without `bought` the features count views and carts in place of purchases, and so do the words.
    """
    if not features:
        return ()
    said: dict[str, str] = {}
    for reason in REASONS if bought else REASONS_OF_LOOKS:
        if reason.about not in said and reason.holds(features):
            said[reason.about] = reason.words(features)
            if len(said) == MOST_REASONS:
                break
    return tuple(said.values())


def _ago(features: Numbers) -> str:
    days = round(expm1(features["days_since"]))
    return "today" if days < 1 else "yesterday" if days == 1 else f"{days} days ago"
