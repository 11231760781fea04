"""Reads the times of a log in the forms that shops, databases and analytics write."""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple

from pipelines.config.zones import local_time, zone_of
from pipelines.importers.events.months import month_of, without_accents
from pipelines.importers.values.texts import RowError
from pipelines.shop.quality import shown

YEARS = range(1990, 2101)
MAX_TEXT = 80
EXCEL_DAYS = range(32_874, 73_416)  # 1990 to 2100, as Excel counts days
EXCEL_EPOCH = datetime(1899, 12, 30)
# What numbers since 1970 count: how many make a second, and the least one that is no moment.
UNITS = {
    "seconds": (1, 5e9),
    "milliseconds": (1e3, 5e12),
    "microseconds": (1e6, 5e15),
    "nanoseconds": (1e9, 5e18),
}
HOUR = 10  # digits of one
COMPACT = {8: "%Y%m%d", HOUR: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
# Hours that names of zones are ahead of UTC: RFC 5322 section 4.3, and those of Europe, Russia,
# Japan and Australia that name one zone. What has several meanings, such as IST, is none.
ZONES = {
    "Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7,
    "MDT": -6, "PST": -8, "PDT": -7, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1,
    "MESZ": 2, "EET": 2, "EEST": 3, "MSK": 3, "JST": 9, "AEST": 10, "AEDT": 11, "NZST": 12,
    "NZDT": 13,
}  # fmt: skip
_NUMBER = re.compile(r"\d{1,20}(?:\.\d{1,18})?(?:[eE]\+?\d{1,2})?")
_COMMA = re.compile(r"\d{5,19},\d{1,18}")  # Excel's days and seconds where decimals have one
_STOP = r"(?:\.(?=[\s,]|$))?"  # which some languages write behind a year or a day
_DAY = re.compile(r"(\d{1,4})([-./])\s?(\d{1,2})\2\s?(\d{1,4})" + _STOP + r"(?![\d./])")
_WEEKDAY = r"(?:[^\W\d_]{2,12}(?:-feira)?\.?,?\s+){0,2}"
_DAY_WORD = re.compile(
    _WEEKDAY + r"(\d{1,2})(?:st|nd|rd|th|er|º)?\.?[-\s/]{0,3}(?:de\s|d['’])?"
    r"([^\W\d_]{3,12})\.?,?[-\s/]{0,3}(?:de\s)?(\d{4}|\d{2}(?!\d))" + _STOP
)
_WORD_DAY = re.compile(
    _WEEKDAY + r"([^\W\d_]{3,12})(?:\.?\s+|-)(\d{1,2})(?:st|nd|rd|th)?(?:,?\s+|-)(\d{4})"
)
_YEAR_WORD = re.compile(  # 2024. március 1., 2024-Mar-01, 2024 m. kovo 1 d.
    r"(\d{4})\.?(?:\s?m\.)?[-\s/]{1,2}([^\W\d_]{3,12})\.?[-\s/]{1,2}(\d{1,2})(?:\s?d\.|\.)?(?!\d)"
)
_CLOCK = re.compile(
    r"(?:[T,:\s]|at|um|à|a|kl\.?){0,4}(\d{1,2})[:.h](\d{2})(?:[:.](\d{2})(?:[.,]\d{1,9})?)?"
    r"\s*(?:([ap])\.?\s?m\.?)?",
    re.IGNORECASE,
)
_ZONE = re.compile(
    r"(?:\s?(?:Uhr|hrs?|h))?"
    r"\s*(?:(?:UTC|GMT|Z)?\s*([+-])(\d{2}):?(\d{2})?|([A-Z]{2,5}|Z))?"
    r"\s*(?:\([^()]{1,40}\)|\[([\w/+-]{1,40})\])?"
)
# 2024年3月1日 10:00, 2024년 3월 1일 오후 3:05 and the like.
_EAST_ASIAN = re.compile(
    r"(\d{4})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})\s*[日号號일]\s*(?:\(.\)|[星周][期]?.)?\s*"
    r"(上午|下午|午前|午後|오전|오후)?\s*"
    r"(?:(\d{1,2})\s*[:時时點点시]\s*(?:(\d{1,2})\s*[:分분]?\s*(?:(\d{1,2})\s*[秒초]?)?)?)?"
)
_AFTERNOON = ("下午", "午後", "오후")
_MANY_DIGITS = re.compile(r"\d{9,20}(?:\.\d+)?")
_SECONDS = re.compile(r"\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?")
_LETTERS = re.compile(r"\d\s*(?![AP]M$)[A-Z]{2,5}$")
_SPACED_ZONE = re.compile(r"\s+(?=[+-]\d{2}:?\d{2}$)|\s*(?:UTC|GMT)$")


class Parts(NamedTuple):
    """A date of three numbers as it stands in a text: 1/3/2024 10:00."""

    first: int
    sign: str
    second: int
    last: int
    years_last: bool  # False: the year stands first
    two_digits: bool  # of the year
    rest: str


class DateOrder(NamedTuple):
    """How the times of a file are read, and the zone in which they are stored.

    `day_first` is None where nothing says: then only dates that can be read in one way are.
    `year_first` is of dates with two digits for each number. With a `unit`, one of UNITS, numbers
    since 1970 in any other are none; with "" each number tells its own by its size.
    """

    day_first: bool | None = None
    year_first: bool = False
    said: bool = False  # by the mapping
    zone: tzinfo = UTC
    unit: str = ""
    croatian: bool = False  # names of months: `listopad` is October there, else November


def moment_of(value: Any, order: DateOrder = DateOrder()) -> datetime:  # noqa: B008
    """Return a time as the shop's local one, to the second.

    ISO 8601, `1.3.2024 10:00`, `3/1/2024 10:00 AM`, `1 Mar 2024`, `20240301`, Excel's days, and
    seconds to nanoseconds since 1970 are read. What names a zone or counts from 1970 is converted
    to `order.zone`; any other time is local already.
    """
    return local_of(written_moment(value, order), order)


def local_of(moment: datetime, order: DateOrder) -> datetime:
    """Return the shop's local time of a moment, to the second."""
    return local_time(moment, order.zone).replace(microsecond=0)


def written_moment(value: Any, order: DateOrder) -> datetime:
    """Return a time as it is written, with its zone where it names one, or raise a RowError."""
    moment = _moment(value, order)
    if moment is None or moment.year not in YEARS:
        raise RowError(
            "unreadable time",
            f"time {shown(value)} is not a moment from {YEARS[0]} to {YEARS[-1]}"
            f"{_hint(value, order)}",
        )
    return moment


def _hint(value: Any, order: DateOrder) -> str:
    """Return what to do about a date whose numbers can stand in several orders, or about a unit."""
    if order.unit and unit_of(value):
        return f": the numbers of this column count {order.unit} since 1970"
    parts = parts_of(value.strip()[:MAX_TEXT]) if isinstance(value, str) else None
    if order.said or not parts or not (parts.years_last or parts.two_digits):
        return ""
    return "; say in the mapping's events whether `dates` are day first, month first or year first"


def names_unknown_zone(value: Any) -> bool:
    """Return whether a time that was read as local ends in letters such as IST, for a zone."""
    return isinstance(value, str) and bool(_LETTERS.search(value))


def names_second(value: Any) -> bool:
    """Return whether a time is written to the second; a midnight is a day, as databases write it.

    Seconds since 1970 are, and `2024-03-01 10:00:00`; `2024-03-01 10:00` is not.
    """
    if isinstance(value, datetime):
        return value.time() != time.min
    text = value.strip() if isinstance(value, str) else f"{value}".removesuffix(".0")
    if _MANY_DIGITS.fullmatch(text):
        moment = _of_digits(text, DateOrder())
        return moment is not None and moment.time() != time.min
    clock = _SECONDS.search(text)
    return clock is not None and bool(clock[0].strip("0:.,"))


def parts_of(text: str) -> Parts | None:
    """Return the numbers of a date such as 1/3/2024 or 2024.3.1; None for any other text."""
    found = _DAY.match(text)
    if not found:
        return None
    first, last = found[1], found[4]
    if len(first) == 4 and len(last) <= 2:
        years_last, width = False, 4
    elif len(first) <= 2 and len(last) in (2, 4):
        years_last, width = True, len(last)
    else:
        return None
    rest = text[found.end() :]
    return Parts(int(first), found[2], int(found[3]), int(last), years_last, width == 2, rest)


def _moment(value: Any, order: DateOrder) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if digits := _digits(value):
        return _of_digits(digits, order)
    if not isinstance(value, str) or not (text := value.strip()) or len(text) > MAX_TEXT:
        return None
    try:
        return next(filter(None, (read(text, order) for read in READERS)), None)
    except (ValueError, OverflowError):  # a 30th of February
        return None


def _of_iso(text: str, order: DateOrder) -> datetime | None:
    del order
    if text.isdigit():
        return None
    try:
        return datetime.fromisoformat(_SPACED_ZONE.sub(_joined_zone, text))
    except ValueError:
        return None


def _joined_zone(found: re.Match[str]) -> str:
    return "+00:00" if found[0].strip() else ""


def unit_of(value: Any) -> str:
    """Return which of UNITS a number since 1970 counts, by its size; "" for any other time."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return ""
    text = value.strip() if isinstance(value, str) else _digits(value)
    text = text.replace(",", ".") if _COMMA.fullmatch(text) else text
    if not _NUMBER.fullmatch(text) or _compact(text, DateOrder()):
        return ""
    number = float(text)
    if int(number) in EXCEL_DAYS:
        return ""
    unit = _likely_unit(number)
    moment = _since_1970(number, unit) if unit else None
    return unit if moment and moment.year in YEARS else ""


def _digits(value: Any) -> str:
    """Return a number as text; "" for what is none, or too large for a moment."""
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        return ""
    return f"{value:f}".removesuffix(".000000") if value < UNITS["nanoseconds"][1] else ""


def _of_digits(text: str, order: DateOrder) -> datetime | None:
    """Read digits alone: 20240301 and longer forms, Excel's days, or a number since 1970."""
    if _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    return _compact(text, order) or _of_number(float(text), order)


def _compact(text: str, order: DateOrder) -> datetime | None:
    """Read 20240301 and the like. Ten digits that begin with 20 are an hour, as Google writes it,
    where nothing says that numbers are seconds: before 2033 those do not begin so."""
    form = COMPACT.get(len(text)) if text.startswith(("19", "20")) else None
    if not form or (order.unit and len(text) == HOUR):
        return None
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def _of_number(number: float, order: DateOrder) -> datetime | None:
    if not order.unit and int(number) in EXCEL_DAYS:
        return EXCEL_EPOCH + timedelta(seconds=round(number * 86_400))
    unit = order.unit or _likely_unit(number)
    return _since_1970(number, unit) if unit else None


def _likely_unit(number: float) -> str:
    return next((name for name, (_, most) in UNITS.items() if 0 <= number < most), "")


def _since_1970(number: float, unit: str) -> datetime | None:
    parts, most = UNITS[unit]
    return datetime.fromtimestamp(number / parts, UTC) if 0 <= number < most else None


def _of_numbers(text: str, order: DateOrder) -> datetime | None:
    parts = parts_of(text)
    if parts is None:
        return None
    if not parts.years_last:
        return _at(parts.first, parts.second, parts.last, parts.rest)
    if parts.two_digits and parts.sign == "-" and not order.said:
        return None  # 12-01-10 is read in three ways
    if order.year_first and parts.two_digits:
        return _at(2000 + parts.first, parts.second, parts.last, parts.rest)
    year = _full_year(parts.last) if parts.two_digits else parts.last
    day_first = order.day_first
    if day_first is None:
        day_first = _only_order(parts)
    if day_first is None:
        return None
    day, month = (parts.first, parts.second) if day_first else (parts.second, parts.first)
    return _at(year, month, day, parts.rest)


def _only_order(parts: Parts) -> bool | None:
    """Return whether the day stands first where one date alone says: by its size, or a point."""
    if parts.first > 12 or parts.second > 12 or parts.first == parts.second:
        return parts.second <= 12
    return True if parts.sign == "." else None


class Worded(NamedTuple):
    """A date with the name of its month, as it stands in a text: 1 March 2024 10:00."""

    year: int
    month: str
    day: int
    rest: str


def worded(text: str) -> Worded | None:
    """Return the parts of a date with a name of a month; None for any other text.

    That the name is one of a month is not known yet.
    """
    plain = without_accents(text)
    lower = plain.lower()
    if found := _DAY_WORD.match(lower):
        day, name, year = found.groups()
    elif found := _WORD_DAY.match(lower):
        name, day, year = found.groups()
    elif found := _YEAR_WORD.match(lower):
        year, name, day = found.groups()
    else:
        return None
    whole = _full_year(int(year)) if len(year) == 2 else int(year)
    return Worded(whole, name, int(day), plain[found.end() :])


def _of_words(text: str, order: DateOrder) -> datetime | None:
    date = worded(text)
    month = date and month_of(date.month, croatian=order.croatian)
    return _at(date.year, month, date.day, date.rest) if date and month else None


def _full_year(year: int) -> int:
    return year + (2000 if year < 70 else 1900)


def _at(year: int, month: int, day: int, rest: str) -> datetime | None:
    """Return the moment of a date and the text after it: nothing, or a time of day and a zone."""
    moment = datetime(year, month, day)
    if not rest.strip():
        return moment
    found = _CLOCK.match(rest)
    zone = _ZONE.fullmatch(rest[found.end() :].rstrip()) if found else None
    if not found or not zone:
        return None
    hour = int(found[1])
    if found[4]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[4].lower() == "p" else 0)
    at = moment.replace(hour=hour, minute=int(found[2]), second=int(found[3] or 0))
    return at.replace(tzinfo=_offset(zone))


def _offset(zone: re.Match[str]) -> tzinfo | None:
    if not zone[1]:
        hours = ZONES.get(zone[4])
        known = None if hours is None else timezone(timedelta(hours=hours))
        return zone_of(zone[5]) if zone[5] and known is None else known
    minutes = int(zone[2]) * 60 + int(zone[3] or 0)
    return timezone(timedelta(minutes=minutes if zone[1] == "+" else -minutes))


def _of_east_asian(text: str, order: DateOrder) -> datetime | None:
    del order
    found = _EAST_ASIAN.fullmatch(text)
    if not found:
        return None
    year, month, day, half, hour, minute, second = found.groups()
    at = int(hour or 0)
    if half:
        at = at % 12 + 12 * (half in _AFTERNOON)
    return datetime(int(year), int(month), int(day), at, int(minute or 0), int(second or 0))


READERS = (_of_iso, _of_digits, _of_numbers, _of_words, _of_east_asian)
