"""Finds the value of a column in a row, also in nested objects; knows cells that say nothing."""

import re
from collections.abc import Iterator
from typing import Any

from pipelines.importers.tables.json_rows import inner
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import NULLS

CLOCK = re.compile(
    r"\d{1,2}[:.h]\d{2}(?:[:.]\d{2}(?:[.,]\d{1,9})?)?(?:\s?[AaPp]\.?[Mm]\.?|\s?Uhr)?"
)
MOST_EVENTS = 10_000  # of one row
NO_NAME = NULLS | {"", "(not set)", "undefined"}  # how databases and Google Analytics say nothing
NOBODY = NO_NAME | {"0"}  # what stands for no id, where another column may have one
# What shops and analytics write for whoever is not known, in small letters: no one shopper.
GUESTS = frozenset(word.casefold() for word in NOBODY) | {
    "-1", "0.0", "n/a", "na", "nil", "none", "-", "--", "guest", "guests", "guest user",
    "guest customer", "guest checkout", "anonymous", "anonymous user", "anon", "unknown",
    "not logged in", "not_logged_in", "visitor", "nobody", "gast", "gastkunde", "unbekannt",
    "walk-in", "walk in", "walkin", "walk-in customer", "cash", "cash customer", "cash sale",
    "retail customer", "laufkunde", "laufkundschaft", "barverkauf", "client comptoir",
    "client de passage", "consumidor final", "cliente mostrador", "público en general",
    "розничный покупатель", "guest_user", "invité", "invitado", "ospite", "gość",
    "00000000-0000-0000-0000-000000000000",
}  # fmt: skip


def value_at(values: dict[str, Any], column: str) -> Any:
    """Return what a row has under a column's name, or under a path such as `items.0.id`.

    A step into a list may be a key of its `{key, value}` pairs, as BigQuery exports the parameters
    of Google Analytics 4. None where the row has no such value.
    """
    found = inner(values, column)
    if "." not in column or not (found is None or isinstance(found, list)):
        return found
    path, _, key = column.rpartition(".")
    pairs = inner(values, path)
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, dict) and pair.get("key") == key:
            return _only_value(pair.get("value"))
    return found if isinstance(found, list) and any(one is not None for one in found) else None


def first_at(values: dict[str, Any], columns: tuple[str, ...]) -> Any:
    """Return the first value among several columns that is not empty; None where all are."""
    for column in columns:
        value = values.get(column) if "." not in column else value_at(values, column)
        if value not in (None, "") and value == value:
            return value
    return None


def time_at(values: dict[str, Any], columns: tuple[str, ...]) -> Any:
    """Return the time of a row: the first of several columns that is filled.

    Where one column has a day and another a time of day, such as 10:00, it is both together.
    """
    found = [value_at(values, column) for column in columns]
    found = [value for value in found if value not in (None, "") and value == value]
    clocks = [one for one in found if isinstance(one, str) and CLOCK.fullmatch(one.strip())]
    days = [one for one in found if one not in clocks]
    if clocks and days:
        return f"{days[0]} {clocks[0].strip()}"
    return found[0] if found else None


def rows_inside(row: Row, path: str) -> Iterator[Row]:
    """Yield a row for each object of a list in this one, with the row's other values beside it.

    Without a path, or where the list is missing or empty, the row itself is the only one.
    """
    inner = value_at(row.values, path) if path and not row.mistake else None
    parts = [part for part in inner if isinstance(part, dict)] if isinstance(inner, list) else []
    if not parts:
        yield row
    for part in parts[:MOST_EVENTS]:
        yield Row(row.line, row.values | part)
    if len(parts) > MOST_EVENTS:
        yield Row(row.line, {}, f"{path} holds over {MOST_EVENTS:,} objects; the first are read")


def _only_value(value: Any) -> Any:
    """Return the one filled member of `{string_value: …, int_value: …}`; other values as is."""
    if not isinstance(value, dict):
        return value
    return next((one for one in value.values() if one is not None), None)


def is_guest(value: Any) -> bool:
    """Return whether a cell names no one shopper: it is empty, or a word for many."""
    if isinstance(value, str):
        return value.strip().casefold() in GUESTS
    return value is None or value != value or value in (0, -1)


def says_nothing(value: Any, nothing: frozenset[str]) -> bool:
    """Return whether a cell is empty, or one of the texts that stand for nothing."""
    if isinstance(value, str):
        return value.strip() in nothing
    return value is None or value != value or (value == 0 and "0" in nothing)
