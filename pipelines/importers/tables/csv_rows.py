"""Reads the rows of separated text, such as CSV and TSV."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pipelines.errors import ShopError
from pipelines.importers.tables.dialects import (
    LOOKED_AT,
    Dialect,
    Line,
    are_quoted_whole,
    dialect_of,
    plain_name,
    unquoted,
)
from pipelines.importers.tables.lines import text_lines
from pipelines.importers.tables.records import Record, RecordReader
from pipelines.importers.tables.rows import Row, Rows, TableFormat
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks

UNSEEN = re.compile(r"[\u200b-\u200f\u2060\ufeff]")  # letters without width
AS_TEXT = re.compile(r"""^(?:="([^"]*)"|'(\d+))$""")  # as exports for Excel keep the zeros of 007
RULE = re.compile(r"[-=+:_\s]{2,}|")


def read_csv(path: Path, form: TableFormat) -> Rows:
    """Read a CSV file: separated by commas, unless it is written otherwise."""
    return _read(path, form, ",")


def read_tsv(path: Path, form: TableFormat) -> Rows:
    """Read a TSV file: separated by tabs, unless it is written otherwise."""
    return _read(path, form, "\t")


def _read(path: Path, form: TableFormat, usual: str) -> Rows:
    remarks = Remarks(path)
    lines: Iterator[Line] = (
        (number, line or "") for number, line in text_lines(path, form.encoding, remarks)
    )
    head = list(islice(lines, LOOKED_AT))
    if are_quoted_whole([line for _, line in head]):
        remarks.add("lines that stand in quotes as a whole are read without them")
        head, lines = [unquoted(line) for line in head], map(unquoted, lines)
    dialect = dialect_of(head, form.separator, usual, form.columns)
    if dialect is None:
        raise ShopError(f"{path} holds no rows, only empty lines")
    header = [_name(cell) for cell in dialect.header.cells]
    if not any(header):
        raise ShopError(f"{path}, line {dialect.header.line}: the header is empty")
    if not form.separator and dialect.separator != usual and len(header) > 1:
        remarks.add(f"cells are separated by {dialect.separator!r}")
    if dialect.row_names:
        remarks.add("rows begin with their number, which the header does not name")
    header = _unmarked([""] * dialect.row_names + header, form.columns)
    names = Counter(name for name in header if name)
    repeated = frozenset(name for name, count in names.items() if count > 1)
    records = _records(chain(head, lines), dialect, len(header), remarks)
    rows = _Rows(header, repeated, remarks, trailing=dialect.trailing)
    return Rows(tuple(names), rows.rows(records), repeated=repeated, remarks=remarks)


def _name(cell: str) -> str:
    return " ".join(UNSEEN.sub("", cell).split())


def _unmarked(header: list[str], wanted: tuple[str, ...]) -> list[str]:
    """Take the # off the first name of a header that is written as a comment."""
    first = header[0].lstrip("# ")
    if header[0].startswith("#") and header[0] not in wanted and first in wanted:
        return [first, *header[1:]]
    return header


def _records(
    lines: Iterator[Line], dialect: Dialect, expected: int, remarks: Remarks
) -> Iterator[Record]:
    """Yield the records below the header; what stands above it is counted."""
    start = dialect.header.line
    for number, line in lines:
        if number == start:
            lines = chain([(number, line)], lines)
            break
        if line.strip() and not line.lstrip('"').lower().startswith("sep="):
            remarks.add("lines above the header are left out", number, shown(line.strip()))
    reader = RecordReader(lines, dialect.separator, dialect.quote)
    next(iter(reader))
    reader.expected = expected
    for record in reader:
        if record.line >= dialect.data_from:
            yield record
        else:
            remarks.add("lines of a template are left out", record.line, shown(record.raw))


class _Rows:
    """Makes rows of records; what is no row is counted."""

    def __init__(
        self, header: list[str], repeated: frozenset[str], remarks: Remarks, *, trailing: bool
    ) -> None:
        self._header = header
        self._plain = [plain_name(name) for name in header]
        self._first = header[0].casefold()
        self._places: dict[str, list[int]] = {name: [] for name in repeated}
        for place, name in enumerate(header):
            if name in repeated:
                self._places[name].append(place)
        self._remarks = remarks
        self._trailing = trailing

    def rows(self, records: Iterator[Record]) -> Iterator[Row]:
        """Yield a row for each record that is one."""
        for record in records:
            if not record.cells[0].strip() and not any(map(str.strip, record.cells)):
                if len(record.cells) > 1:
                    self._remarks.add("rows of empty cells are left out", record.line)
            elif reason := self._no_row(record):
                self._remarks.add(reason, record.line, shown(record.raw.strip()))
            else:
                yield self._row(record)

    def _no_row(self, record: Record) -> str:
        """Return why a record is no row of the table, or ""."""
        if len(record.cells) == 1 < len(self._header) and record.raw.lstrip().startswith("#"):
            return "comment lines are left out"
        first = record.cells[0].strip().casefold() == self._first
        if first and [plain_name(cell) for cell in record.cells] == self._plain:
            return "headers that come again are left out"
        if len(self._header) > 1 and all(RULE.fullmatch(cell) for cell in record.cells):
            return "ruled lines are left out"
        return ""

    def _row(self, record: Record) -> Row:
        cells, expected = record.cells, len(self._header)
        whole = "\n".join(cells)
        if ("'" in whole or '="' in whole) and any(cell.startswith(("'", '="')) for cell in cells):
            cells = [AS_TEXT.sub(r"\1\2", cell) for cell in cells]
        if record.remark:
            self._remarks.add(record.remark, record.line, shown(record.raw.strip()))
        if len(cells) > expected and not self._ends_empty(cells):
            return Row(
                record.line,
                {},
                f"{len(cells)} fields where the header has {expected}; is a separator part of a "
                "cell? Put that cell in quotes",
            )
        if len(cells) < expected:
            kind = "rows with fewer cells than the header: the missing ones are read as empty"
            self._remarks.add(kind, record.line, f"{len(cells)} of {expected}")
            cells = cells + [""] * (expected - len(cells))
        values: dict[str, Any] = dict(zip(self._header, cells, strict=False))
        values |= {name: [cells[at] for at in places] for name, places in self._places.items()}
        return Row(record.line, values)

    def _ends_empty(self, cells: list[str]) -> bool:
        """Tell whether a row only has separators too many at its end, and is not shifted."""
        expected = len(self._header)
        empty = not any(cell.strip() for cell in cells[expected:])
        return empty and (self._trailing or bool(cells[expected - 1].strip()))
