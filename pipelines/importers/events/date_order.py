"""Finds out from a whole log how its times are written: the order of dates, units and months."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from pipelines.config.zones import zone_of
from pipelines.importers.columns import EventColumns
from pipelines.importers.events.fields import rows_inside, time_at
from pipelines.importers.events.months import MonthNames
from pipelines.importers.events.times import (
    MAX_TEXT,
    DateOrder,
    Parts,
    moment_of,
    parts_of,
    unit_of,
    worded,
    written_moment,
)
from pipelines.importers.mapping import names_of
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.prices import PLAIN_STYLE, PriceStyle
from pipelines.importers.values.texts import RowError

LOOKED_AT = 1_000  # first rows, which tell all but what only the whole log can tell
SAID = {"day first": True, "month first": False, "year first": None}
_HALF_DAY = re.compile(r"\d\s*[ap]\.?\s?m\b", re.IGNORECASE)


class LogStyle(NamedTuple):
    """How the cells of a log are read: times, with sentences for the report, and amounts."""

    order: DateOrder = DateOrder()
    notes: tuple[str, ...] = ()  # of what was a choice
    to_second: bool = False  # whether times are written to the second, or more exactly
    price: PriceStyle = PLAIN_STYLE
    first_position: int = 1  # where the log's places begin


class _Reading:
    """What speaks for one of the two orders: how its moments follow each other."""

    def __init__(self, now: datetime, *, day_first: bool) -> None:
        self._order = DateOrder(day_first=day_first)
        self._tomorrow = now + timedelta(days=1)
        self._last: datetime | None = None
        self._future = self._backwards = 0
        self._low, self._high = datetime.max, datetime.min

    def see(self, text: str) -> None:
        try:
            moment = moment_of(text, self._order)
        except RowError:
            return
        self._future += moment > self._tomorrow
        self._backwards += self._last is not None and moment < self._last
        self._last = moment
        self._low, self._high = min(self._low, moment), max(self._high, moment)

    def disorder(self) -> tuple[int, int]:
        """Return how many moments are in the future, and how many go back in time."""
        return self._future, self._backwards

    def span(self) -> float:
        """Return the seconds between the first and the last moment."""
        return (self._high - self._low).total_seconds() if self._last else 0.0


def survey(rows: Iterable[Row], columns: EventColumns, now: datetime) -> LogStyle:
    """Return how the times of a log are written.

    The mapping may say the order of day and month. Else a day above 12 anywhere in the file
    decides; where there is none, the reading in which fewer events lie in the future and fewer go
    back in time; then a clock of twelve hours, as in the USA; then the reading in which the events
    lie closer together. The first rows tell what numbers count, and whether times have seconds.
    """
    times = _times(rows, columns)
    first = list(islice(times, LOOKED_AT))
    evidence, months = None if columns.dates else _Evidence(now), MonthNames()
    if any([_see(value, evidence, months) for value in first]):
        for value in times:
            _see(value, evidence, months)
    order, notes = DateOrder(zone=zone_of(columns.zone)), []
    if columns.dates:
        day_first = SAID[columns.dates]
        order = order._replace(day_first=day_first, year_first=day_first is None, said=True)
    elif evidence and evidence.found:
        day_first, note = evidence.verdict()
        order, notes = order._replace(day_first=day_first), [note]
    croatian, note = months.verdict()
    unit, more = _unit(first)
    order = order._replace(unit=unit, croatian=croatian)
    seconds = any(_is_to_second(value, order) for value in first)
    return LogStyle(order, tuple(filter(None, (*notes, note, more))), seconds)


def _times(rows: Iterable[Row], columns: EventColumns) -> Iterator[Any]:
    names = names_of(columns.time)
    for row in rows:
        for part in rows_inside(row, columns):
            if (value := time_at(part.values, names)) is not None:
                yield value


def _see(value: Any, evidence: "_Evidence | None", months: MonthNames) -> bool:
    """Look at a time; return whether all others of the log must be looked at, too."""
    if not isinstance(value, str):
        return False
    text = value.strip()[:MAX_TEXT]
    if parts := parts_of(text):
        if evidence and parts.years_last:
            evidence.see(text, parts)
        return bool(evidence) and parts.years_last
    date = worded(text)
    return date is not None and months.see(date.month)


def _unit(first: list[Any]) -> tuple[str, str]:
    """Return the unit of most numbers since 1970, and a sentence where others have another."""
    counts = Counter(unit for value in first if (unit := unit_of(value)))
    if not counts:
        return "", ""
    unit, most = counts.most_common(1)[0]
    others = counts.total() - most
    note = (
        f"times are numbers of {unit} since 1970, as {most:,} of the first {counts.total():,} are; "
        "numbers of another unit are refused"
    )
    return unit, note if others else ""


def _is_to_second(value: Any, order: DateOrder) -> bool:
    with suppress(RowError):
        moment = written_moment(value, order)
        return moment.second != 0 or moment.microsecond != 0
    return False


class _Evidence:
    """What the dates of a log say of their order."""

    def __init__(self, now: datetime) -> None:
        self.found = False
        self._sure = {True: 0, False: 0}  # dates with a day above 12, by whether it stands first
        self._example = ""
        self._points = self._half_days = 0
        self._readings = {order: _Reading(now, day_first=order) for order in (True, False)}

    def see(self, text: str, parts: Parts) -> None:
        self.found = True
        if parts.first > 12 or parts.second > 12:
            self._sure[parts.first > 12] += 1
            return
        self._example = self._example or text
        self._points += parts.sign == "."
        self._half_days += bool(_HALF_DAY.search(parts.rest))
        for reading in self._readings.values():
            reading.see(text)

    def verdict(self) -> tuple[bool, str]:
        """Return whether the day stands first, with a sentence where that was a choice."""
        day_first, why = self._verdict()
        words = "day first" if day_first else "month first"
        note = (
            f"dates such as {self._example!r} are read {words}: {why}; the key `dates` of the "
            "mapping's events says otherwise"
        )
        return day_first, note if self._example else ""

    def _verdict(self) -> tuple[bool, str]:
        if any(self._sure.values()):
            day_first = self._sure[True] >= self._sure[False]
            return day_first, f"{self._sure[day_first]:,} dates have a day above 12 there"
        if self._points:
            return True, "dates with points are"
        disorder = {order: reading.disorder() for order, reading in self._readings.items()}
        if disorder[True] != disorder[False]:
            return disorder[True] < disorder[False], "so the log is in the better order of time"
        if self._half_days:
            return False, "a clock of twelve hours goes with month first"
        closer = self._readings[True].span() <= self._readings[False].span()
        return closer, "so the events lie closer together, and nothing else says"
