"""Says in facts who asks, where and when, and which of them a model has learnt."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache

import holidays
import numpy as np
import xxhash
from holidays.registry import EntityLoader
from jaxtyping import Int64

from retrieval.types import Scene

FACT_BUCKETS = 1024  # facts that a model tells apart; 0 is padding
FACT_CODES = 1 << 62  # codes of facts: so many that no two facts of a shop share one
MAX_FACTS = 24
HOLIDAY_AHEAD_DAYS = 14
NO_FACTS = np.zeros(MAX_FACTS, np.int64)


def hashed_facts(
    at_seconds: int, traits: Mapping[str, str], scene: Scene
) -> Int64[np.ndarray, "f"]:
    """Return the codes of the facts about shopper and scene, traits first; unused places are 0."""
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
    """Return a code from 1 to FACT_CODES - 1, the same on every machine."""
    return 1 + xxhash.xxh3_64_intdigest(fact.encode()) % (FACT_CODES - 1)


class FactVocabulary:
    """The facts that a model has learnt, each with a number of its own from 1 on."""

    def __init__(self, codes: Iterable[int]) -> None:
        """Take distinct codes, the number of each being its place in ascending order."""
        self._sorted = np.array(sorted(set(codes)), np.int64)
        if len(self._sorted) >= FACT_BUCKETS:
            raise ValueError(f"{len(self._sorted)} facts; a model has {FACT_BUCKETS - 1} at most")

    @classmethod
    def of(cls, requests: Iterable[np.ndarray]) -> "FactVocabulary":
        """Return the facts of these requests, the most frequent ones if they are too many."""
        counts = Counter(int(code) for codes in requests for code in codes if code > 0)
        frequent = sorted(counts, key=lambda code: (-counts[code], code))
        return cls(frequent[: FACT_BUCKETS - 1])

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes of the facts, in the order of their numbers."""
        return tuple(self._sorted.tolist())

    def numbers(self, codes: Int64[np.ndarray, "*s"]) -> Int64[np.ndarray, "*s"]:
        """Return the number of each fact in its place; 0 where the model has never met it."""
        if not len(self._sorted):
            return np.zeros(codes.shape, np.int64)
        place = np.minimum(np.searchsorted(self._sorted, codes), len(self._sorted) - 1)
        known = (self._sorted[place] == codes) & (codes > 0)
        return np.where(known, place + 1, 0).astype(np.int64)


EVERY_NUMBER = FactVocabulary(range(1, FACT_BUCKETS))  # of a model that is given numbers


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
