"""What candidates attend to: the query, the shopper's recent products, the profile, the scene."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import holidays
import numpy as np
import xxhash
from jaxtyping import Float32, Int64

from retrieval.behaviour import DAY, History
from retrieval.types import Scene

FACT_BUCKETS = 1024  # facts are hashed into these; 0 is padding
MAX_FACTS = 24
HOLIDAY_AHEAD_DAYS = 14


class Context(NamedTuple):
    """One request as arrays, not yet tokens; unused places are masked by -1 rows and 0 facts."""

    query: Float32[np.ndarray, "d"] | None  # in the joined space; None: nothing was asked
    recent: Int64[np.ndarray, "r"]  # rows of distinct products, newest first; -1: unused
    recent_facts: Float32[np.ndarray, "r 2"]  # log days since, log times bought
    facts: Int64[np.ndarray, "f"]  # hashed facts about shopper and scene; 0: unused


def context(
    history: History,
    at_seconds: int,
    traits: dict[str, str],
    scene: Scene,
    query: Float32[np.ndarray, "d"] | None,
    recent_products: int,
) -> Context:
    """Return the context of a request from what was known before `at_seconds`."""
    recent, recent_facts = _recent(history, at_seconds, recent_products)
    facts = [f"trait {name}={value}" for name, value in sorted(traits.items())]
    facts += scene_facts(at_seconds, scene)
    codes = np.zeros(MAX_FACTS, np.int64)
    codes[: len(facts[:MAX_FACTS])] = [fact_code(fact) for fact in facts[:MAX_FACTS]]
    return Context(query, recent, recent_facts, codes)


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


def fact_code(fact: str) -> int:
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


@lru_cache(64)
def _calendar(country: str, year: int) -> holidays.HolidayBase:
    if country not in holidays.list_supported_countries():
        return holidays.HolidayBase()
    return holidays.country_holidays(country, years=year)


def _recent(
    history: History, at_seconds: int, count: int
) -> tuple[Int64[np.ndarray, "r"], Float32[np.ndarray, "r 2"]]:
    rows, facts = np.full(count, -1, np.int64), np.zeros((count, 2), np.float32)
    if len(history.rows):
        newest_first = history.rows[::-1]
        distinct, first, times = np.unique(newest_first, return_index=True, return_counts=True)
        order = np.argsort(first, kind="stable")[:count]
        days = (at_seconds - history.seconds[::-1][first[order]]) / DAY
        rows[: len(order)] = distinct[order]
        facts[: len(order)] = np.stack([np.log1p(days), np.log(times[order])], axis=1)
    return rows, facts
