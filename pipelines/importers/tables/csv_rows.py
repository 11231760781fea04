"""Reads the rows of CSV and TSV."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.errors import ShopError
from pipelines.importers.tables.files import lines_of
from pipelines.importers.tables.rows import Row, Rows, refuse_twice


def read_csv(path: Path, separator: str) -> Rows:
    """Read a CSV file, separated by commas unless said."""
    texts = (line or "" for _, line in lines_of(path))
    reader = csv.reader(texts, delimiter=separator or ",")
    header = [name.strip() for name in _next(reader, path, 1) or []]
    if not any(header):
        raise ShopError(f"{path}, line 1: the header is empty")
    refuse_twice(f"{path}, line 1", header)
    return Rows(tuple(name for name in header if name), _csv_rows(reader, path, header))


def read_tsv(path: Path, separator: str) -> Rows:
    """Read a TSV file, separated by tabs unless said."""
    return read_csv(path, separator or "\t")


def _csv_rows(reader: Any, path: Path, header: list[str]) -> Iterator[Row]:
    while True:
        line = reader.line_num + 1
        fields = _next(reader, path, line)
        if fields is None:
            return
        if len(fields) == len(header):
            yield Row(line, dict(zip(header, fields, strict=True)))
        elif fields:  # an empty line is no row
            yield Row(line, {}, f"{len(fields)} fields where the header has {len(header)}")


def _next(reader: Any, path: Path, line: int) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as e:
        raise ShopError(f"{path}, line {line}: {e}; is a quote left open?") from None
