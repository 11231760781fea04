"""Finds the value of a column in a row, also in nested objects; knows cells that say nothing."""

import re
from collections.abc import Iterator
from typing import Any

from pipelines.importers.columns import EventColumns
from pipelines.importers.mapping import fields_of, names_of
from pipelines.importers.tables.json_rows import inner
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import NULLS, text_of

CLOCK = re.compile(
    r"\d{1,2}[:.h]\d{2}(?:[:.]\d{2}(?:[.,]\d{1,9})?)?(?:\s?[AaPp]\.?[Mm]\.?|\s?Uhr)?"
)
MOST_EVENTS = 10_000  # of one row
WHOLE = "/"  # before a name that is looked for in the row, and not in the lines inside it
PLACE = "/#"  # of a line in its list, from 1 on
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
KEYED, NAMED = {"key", "value"}, {"name", "value"}  # the members of a parameter
PEOPLE = ("user", "visitor")
IDS = (*PEOPLE, "product")
NAMES = (*IDS, "session", "order", "id")
DATES = ("time", "created_at", "sent_at", "received_at", "undone_at")
WORDS = ("text", "name", "type", "status")  # which may say undefined


class Fields:
    """Reads the fields of a log from the columns that a mapping names for them."""

    def __init__(self, columns: EventColumns) -> None:
        named = {field: names_of(names) for field, names in fields_of(columns).items()}
        self.counts_places = PLACE in named.get("position", ())
        self._columns = {
            field: tuple(name for name in names if name != PLACE) for field, names in named.items()
        }

    def has(self, field: str) -> bool:
        """Return whether the mapping names a column for a field."""
        return field in self._columns

    def columns(self, field: str) -> tuple[str, ...]:
        """Return the columns of a field; none where the mapping names none."""
        return self._columns.get(field, ())

    def at(self, row: Row, field: str) -> Any:
        """Return the first value of a field's columns that says something; None if none does."""
        columns = self._columns.get(field)
        if not columns:
            return None
        if field in DATES:
            return time_at(row.values, columns)
        if field in WORDS:
            return first_at(row.values, columns)
        found = (value_at(row.values, column) for column in columns)
        if field in PEOPLE:
            return next((one for one in found if not is_guest(one)), None)
        # 0 is no variation
        nothing = NOBODY if field == "product" and len(columns) > 1 else NO_NAME
        return next((one for one in found if not says_nothing(one, nothing)), None)

    def text(self, row: Row, field: str, at_most: int) -> str:
        """Return the text of a field, "" where there is none."""
        if field not in self._columns:
            return ""
        return text_of(self.at(row, field), field, at_most=at_most)

    def cells(self, row: Row, field: str) -> dict[str, Any]:
        """Return the cells of a row that hold a field, those that are empty left out."""
        cells = {name: value_at(row.values, name) for name in self.columns(field)}
        return {name: cell for name, cell in cells.items() if cell not in (None, "")}

    def names_guest(self, row: Row) -> bool:
        """Return whether a row without a user has a word for one."""
        cells = (value_at(row.values, column) for column in self.columns("user"))
        return any(not says_nothing(cell, NO_NAME) for cell in cells)


def value_at(values: dict[str, Any], column: str) -> Any:
    """Return what a row has under a column's name, or under a path such as `items.0.id`.

    A step into a list may be a key of its `{key, value}` pairs, as BigQuery exports the parameters
    of Google Analytics 4, or of `{name, value}` pairs. None where the row has no such value.
    """
    if column.startswith(WHOLE) and column not in values:
        return value_at(values.get(WHOLE, values), column.removeprefix(WHOLE))
    found = inner(values, column)
    if "." not in column or not (found is None or isinstance(found, list)):
        return found
    path, _, key = column.rpartition(".")
    outer = inner(values, path)
    if pairs := _pairs(outer):
        said = (pair["value"] for pair in pairs if pair.get("key", pair.get("name")) == key)
        return _only_value(next(said, None))
    return found if isinstance(found, list) and any(one is not None for one in found) else None


def _pairs(value: Any) -> list[dict[str, Any]]:
    """Return a list of names and values; nothing where it is any other."""
    parts = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
    return parts if parts and all(set(one) in (KEYED, NAMED) for one in parts) else []


def first_at(values: dict[str, Any], columns: tuple[str, ...]) -> Any:
    """Return the first value among several columns that is not empty; None where all are."""
    for column in columns:
        value = values.get(column)
        if value is None and ("." in column or column.startswith(WHOLE)):
            value = value_at(values, column)
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


def rows_inside(row: Row, columns: EventColumns) -> Iterator[Row]:
    """Yield a row for each value of the first list in this one that has some.

    Beside what an object of the list says are the row's other values; the list's name leads to
    that one value, `/` to the row, and `/#` to its place. Without a list, or where it is missing
    or empty, the row itself is the only one.
    """
    path, parts = _list_in(row, columns)
    if not parts:
        yield row
        return
    further = {name: listed(row.values, name) for name in columns.beside}
    for place, part in enumerate(parts[:MOST_EVENTS]):
        values = row.values | part if isinstance(part, dict) else dict(row.values)
        values = _with(values, path, part)
        for name, others in further.items():
            values[name] = others[place] if place < len(others) else None
        values[WHOLE], values[PLACE] = row.values, place + 1
        yield Row(row.line, values)
    if len(parts) > MOST_EVENTS:
        yield Row(row.line, {}, f"{path} holds over {MOST_EVENTS:,} values; the first are read")


def listed(values: dict[str, Any], path: str) -> list[Any]:
    """Return the list under a path; none where there is anything else.

    A list may be an object of one list of objects of one value, as tools write those of Parquet
    that do not know them: `{"list": [{"element": …}]}`.
    """
    found = value_at(values, path)
    if isinstance(found, dict) and len(found) == 1 and isinstance(found.get("list"), list):
        found = [_only_value(one) for one in found["list"]]
    return found if isinstance(found, list) else []


def _list_in(row: Row, columns: EventColumns) -> tuple[str, list[Any]]:
    """Return the path of the first list that has values, and these."""
    if not row.mistake:
        for path in names_of(columns.each):
            parts = [one for one in listed(row.values, path) if one not in (None, "", {}, [])]
            if parts:
                return path, parts
    return "", []


def _with(values: dict[str, Any], path: str, part: Any) -> dict[str, Any]:
    """Return values in which a path leads to a part of what is there; what is given stays."""
    name, _, rest = path.partition(".")
    inside = values.get(name)
    if path in values or not rest or not isinstance(inside, dict):
        return values | {path: part}
    return values | {name: _with(inside, rest, part)}


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
