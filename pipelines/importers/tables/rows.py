"""The rows of a table, whatever its kind of file."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pipelines.errors import ShopError


class Row(NamedTuple):
    """One row: its values by column, or the error that makes it unreadable."""

    line: int  # the first of the row, counted from 1 with the header; in Parquet the row's number
    values: dict[str, Any]
    mistake: str = ""


class Rows(NamedTuple):
    """The columns of a file, and its rows."""

    columns: tuple[str, ...]
    rows: Iterator[Row]
    complete: bool = True  # False where a row may leave out a column, and others be seen later


def refuse_twice(where: str, columns: Iterable[str]) -> None:
    """Refuse columns of which two have the same name."""
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        raise ShopError(f"{where}: columns are named twice: {', '.join(twice[:10])}")
