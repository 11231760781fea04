"""The rows of a table, whatever its kind of file."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipelines.shop.remarks import Remarks


class Row(NamedTuple):
    """One row: its values by column, or the error that makes it unreadable."""

    line: int  # the first of the row, counted from 1; in Parquet and JSON arrays the row's number
    values: dict[str, Any]  # of a column whose name comes again: the list of its cells
    mistake: str = ""


@dataclass(frozen=True)
class Rows:
    """The columns of a file, and its rows."""

    columns: tuple[str, ...]  # each name once
    rows: Iterator[Row]
    complete: bool = True  # False where a row may leave out a column, and others be seen later
    nested: bool = False  # True where a value may be an object with values of its own
    repeated: frozenset[str] = frozenset()  # names that several columns have
    remarks: Remarks = field(default_factory=Remarks)  # grow while the rows are read


class TableFormat(NamedTuple):
    """How a table is written, as far as somebody says so; "" and () stand for what is not said."""

    separator: str = ""
    encoding: str = ""
    columns: tuple[str, ...] = ()  # names that the header must have some of
    only: bool = False  # of Parquet, no other columns are read
