"""Reads the rows of lines of JSON."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import msgspec

from pipelines.errors import ShopError
from pipelines.importers.tables.files import MAX_LINE_BYTES, lines_of
from pipelines.importers.tables.rows import Row, Rows
from pipelines.shop.quality import shown

LOOKED_AT = 100  # first JSON lines that tell which columns there are


def read_jsonl(path: Path, separator: str) -> Rows:
    """Read lines of JSON objects."""
    del separator  # lines of JSON have none
    rows = _json_rows(path)
    first = list(islice(rows, LOOKED_AT))
    if not first:
        raise ShopError(f"{path} holds no rows, only empty lines")
    columns = dict.fromkeys(name for row in first for name in row.values)
    if not columns:
        raise ShopError(f"{path}, line {first[0].line}: {first[0].mistake or 'an empty object'}")
    return Rows(tuple(columns), chain(first, rows), complete=False)


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in lines_of(path, skip_long=True):
        if line is None:
            yield Row(number, {}, f"longer than {MAX_LINE_BYTES:,} bytes")
        elif line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> Row:
    try:
        value = msgspec.json.decode(line)
    except msgspec.DecodeError as e:
        return Row(number, {}, f"not JSON: {e}")
    except RecursionError:
        return Row(number, {}, "not JSON: nested too deep")
    if not isinstance(value, dict):
        return Row(number, {}, f"expected an object, got {shown(value)}")
    return Row(number, value)
