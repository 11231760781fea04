"""Says in facts who asks, where and when; a fact is a short text, hashed to a number."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache

import holidays
import numpy as np
import xxhash
from holidays.registry import EntityLoader
from jaxtyping import Int64

from retrieval.types import Scene

FACT_BUCKETS = 1024  # facts are hashed into these; 0 is padding
MAX_FACTS = 24
HOLIDAY_AHEAD_DAYS = 14
NO_FACTS = np.zeros(MAX_FACTS, np.int64)


def hashed_facts(
    at_seconds: int, traits: Mapping[str, str], scene: Scene
) -> Int64[np.ndarray, "f"]:
    """Return the facts about shopper and scene as numbers, traits first; unused places are 0."""
    facts = facts_of(at_seconds, traits, scene)
    codes = np.zeros(MAX_FACTS, np.int64)
    codes[: len(facts)] = [hashed_fact(fact) for fact in facts]
    return codes


def facts_of(at_seconds: int, traits: Mapping[str, str], scene: Scene) -> list[str]:
    """Return the facts in words, traits first; those that there is no room for are left out."""
    facts = [f"trait {name}={value}" for name, value in sorted(traits.items())]
    return [*facts, *scene_facts(at_seconds, scene)][:MAX_FACTS]


def scene_facts(at_seconds: int, scene: Scene) -> list[str]:
    """Return the scene in words: hour, weekday, month, the holiday to come, placement, device."""
    moment = datetime.fromtimestamp(at_seconds, UTC)
    coming = holiday_ahead(moment.date().toordinal(), scene.country)
    facts = {
        "hour": str(moment.hour),
        "weekday": str(moment.weekday()),
        "month": str(moment.month),
        "holiday": coming,
        "placement": scene.placement,
        "device": scene.device,
        "channel": scene.channel,
    }
    return [f"{name}={value}" for name, value in facts.items() if value]


@lru_cache(1 << 16)
def hashed_fact(fact: str) -> int:
    """Return a bucket from 1 to FACT_BUCKETS - 1, the same on every machine."""
    return 1 + xxhash.xxh3_64_intdigest(fact.encode()) % (FACT_BUCKETS - 1)


@lru_cache(4096)
def holiday_ahead(day: int, country: str) -> str:
    """Return the name of the next public holiday within two weeks of a day (ordinal), or ""."""
    for ahead in range(HOLIDAY_AHEAD_DAYS):
        date = datetime.fromordinal(day + ahead).date()
        if name := _calendar(country, date.year).get(date):
            return str(name)
    return ""


def has_calendar(country: str) -> bool:
    """Return whether the holidays of a country are known, by its code of ISO 3166."""
    return country in _countries()


@cache
def _countries() -> frozenset[str]:
    """Return the codes of the countries with a calendar, without loading every calendar."""
    return frozenset(EntityLoader.get_country_codes())


@lru_cache(64)
def _calendar(country: str, year: int) -> holidays.HolidayBase:
    if not has_calendar(country):
        return holidays.HolidayBase()
    return holidays.country_holidays(country, years=year)
