"""Tells what a column holds by its values, where its name may mean several things."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from pipelines.importers.events.fields import NO_NAME, says_nothing, value_at
from pipelines.importers.events.statuses import is_known
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.availability import availability_of
from pipelines.importers.values.texts import RowError

LOOKED_AT = 1_000  # rows
LOWEST, HIGHEST, STEP = 0.5, 10.0, 0.5  # of ratings: half stars up to ten


def are_ratings(rows: Sequence[Row], column: str) -> bool:
    """Return whether a column holds ratings: numbers from 0.5 to 10 in steps of 0.5."""
    values = _values(rows, column)
    return bool(values) and all(map(_is_rating, values))


def are_statuses(rows: Sequence[Row], column: str) -> bool:
    """Return whether most values of a column are statuses of orders, and no states of a country."""
    values = [value for value in _values(rows, column) if isinstance(value, str)]
    return sum(map(is_known, values)) * 2 > len(values)


def are_stocks(rows: Sequence[Row], column: str) -> bool:
    """Return whether most values of a column are words for what is in stock, such as `sold out`."""
    values = [str(value) for value in _values(rows, column)]
    return sum(map(_is_stock, values)) * 2 > len(values)


def _is_stock(value: str) -> bool:
    with suppress(RowError):
        return not value.strip().isdigit() and bool(availability_of(value))
    return False


def _values(rows: Iterable[Row], column: str) -> list[object]:
    found = (value_at(row.values, column) for row in rows)
    return [value for value in found if not says_nothing(value, NO_NAME)]


def _is_rating(value: object) -> bool:
    try:
        number = float(str(value).strip().replace(",", "."))
    except ValueError:
        return False
    return LOWEST <= number <= HIGHEST and number % STEP == 0
