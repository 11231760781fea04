"""Cells of Arrow columns as Python values, read where they lie: `as_py` takes twice as long."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

Cell = Callable[[int], Any]  # by its place in the column


def cell_reader(column: pa.Array) -> Cell:
    """Return what reads a cell of a column as `as_py` would: texts, floats, lists, maps, structs.

    What is of another type, `as_py` reads.
    """
    kind = column.type
    if pa.types.is_string(kind):
        read = _texts(column)
    elif pa.types.is_float64(kind):
        read = _numbers(column)
    elif pa.types.is_map(kind):
        read = _lists(column, _pairs(column.keys, column.items))
    elif pa.types.is_list(kind):
        read = _lists(column, cell_reader(column.values))
    else:
        return lambda place: column[place].as_py()
    return _unless_null(column, read) if column.null_count else read


def _texts(column: pa.Array) -> Cell:
    ends, letters = _offsets(column), memoryview(column.buffers()[2] or b"")
    return lambda place: str(letters[ends[place] : ends[place + 1]], "utf-8")


def _numbers(column: pa.Array) -> Cell:
    numbers = memoryview(column.buffers()[1] or b"").cast("d")[column.offset :]
    return lambda place: numbers[place]


def _lists(column: pa.Array, read: Cell) -> Cell:
    ends = _offsets(column)
    return lambda place: [read(one) for one in range(ends[place], ends[place + 1])]


def _pairs(keys: pa.Array, items: pa.Array) -> Cell:
    key, item = cell_reader(keys), cell_reader(items)
    return lambda place: (key(place), item(place))


def _offsets(column: pa.Array) -> memoryview:
    """Return where the parts of each cell begin, and where those of the last one end."""
    return memoryview(column.buffers()[1] or bytes(4)).cast("i")[column.offset :]


def _unless_null(column: pa.Array, read: Cell) -> Cell:
    valid, offset = memoryview(column.buffers()[0]), column.offset

    def read_or_none(place: int) -> Any:
        at = place + offset
        return read(place) if valid[at >> 3] >> (at & 7) & 1 else None

    return read_or_none
