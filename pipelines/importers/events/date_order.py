"""Finds out from a whole log whether its dates are written day first or month first."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import NamedTuple

from pipelines.config.zones import zone_of
from pipelines.importers.columns import EventColumns
from pipelines.importers.events.fields import rows_inside, time_at
from pipelines.importers.events.times import DateOrder, Parts, moment_of, parts_of
from pipelines.importers.mapping import names_of
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.prices import PLAIN_STYLE, PriceStyle
from pipelines.importers.values.texts import RowError

LOOKED_AT = 1_000  # rows that tell whether a log has dates that can be read in two ways at all
SAID = {"day first": True, "month first": False, "year first": None}
_HALF_DAY = re.compile(r"\d\s*[ap]\.?\s?m\b", re.IGNORECASE)


class LogStyle(NamedTuple):
    """How the cells of a log are read: dates, with a sentence for the report, and amounts."""

    order: DateOrder = DateOrder()
    note: str = ""  # where the order of the dates was a choice
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
    """Return the order of day and month in a log's dates.

    The mapping may say it. Else a day above 12 anywhere in the file decides; where there is none,
    the reading in which fewer events lie in the future and fewer go back in time; then a clock of
    twelve hours, as in the USA; then the reading in which the events lie closer together.
    """
    zone = zone_of(columns.zone)
    if columns.dates:
        day_first = SAID[columns.dates]
        return LogStyle(DateOrder(day_first, day_first is None, said=True, zone=zone))
    found = _dates(rows, columns)
    evidence = _Evidence(now)
    for text, parts in found:
        evidence.see(text, parts)
    return evidence.survey(zone)


def _dates(rows: Iterable[Row], columns: EventColumns) -> Iterable[tuple[str, Parts]]:
    """Yield the dates that have their year last; nothing where the first rows have none."""
    walk = (_date_of(part, columns) for row in rows for part in rows_inside(row, columns))
    first = [one for one in islice(walk, LOOKED_AT) if one]
    yield from first
    if first:
        yield from (one for one in walk if one)


def _date_of(row: Row, columns: EventColumns) -> tuple[str, Parts] | None:
    value = time_at(row.values, names_of(columns.time))
    parts = parts_of(value.strip()) if isinstance(value, str) else None
    return (value.strip(), parts) if parts and parts.years_last else None


class _Evidence:
    """What the dates of a log say of their order."""

    def __init__(self, now: datetime) -> None:
        self._sure = {True: 0, False: 0}  # dates with a day above 12, by whether it stands first
        self._example = ""
        self._points = self._half_days = 0
        self._readings = {order: _Reading(now, day_first=order) for order in (True, False)}

    def see(self, text: str, parts: Parts) -> None:
        if parts.first > 12 or parts.second > 12:
            self._sure[parts.first > 12] += 1
            return
        self._example = self._example or text
        self._points += parts.sign == "."
        self._half_days += bool(_HALF_DAY.search(parts.rest))
        for reading in self._readings.values():
            reading.see(text)

    def survey(self, zone: tzinfo) -> LogStyle:
        """Return what the dates say together."""
        day_first, why = self._verdict()
        words = "day first" if day_first else "month first"
        note = (
            f"dates such as {self._example!r} are read {words}: {why}; the key `dates` of the "
            "mapping's events says otherwise"
        )
        return LogStyle(DateOrder(day_first, zone=zone), note if self._example else "")

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
