"""Parts lines of separated text into the cells of records, quoted in whatever way they are."""

import csv
import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

MOST_LINES = 2_000  # of one record
MOST_IN_VAIN = 100_000_000  # characters read behind quotes that are never closed
MOST_LENIENT = 50_000  # characters of a line
MAX_FIELD = 1_000_000  # characters: texts of shops hold whole pictures in base64
ENTITY = re.compile(r"&(#?\w{1,31});")
csv.field_size_limit(MAX_FIELD)
OPENING, CLOSING = "“„«”‘‚", "”“»’‘"


class Record(NamedTuple):
    """The cells of one record, and how they were parted."""

    line: int  # the first
    cells: list[str]
    remark: str = ""
    raw: str = ""  # its first line


class RecordReader:
    """Reads records from lines; `expected` is the number of cells, once it is known.

    A quote opens a cell only if reading it so makes sense: it is closed before a separator, and the
    record has as many cells as the others. Otherwise it is a letter.
    """

    def __init__(self, lines: Iterator[tuple[int, str]], separator: str, quote: str = '"') -> None:
        self.expected = 0
        self._lines = lines
        self._separator = separator
        self._quote = quote
        self._pushed: deque[tuple[int, str]] = deque()
        self._in_vain = 0

    def __iter__(self) -> Iterator[Record]:
        while (first := self._next()) is not None:
            record = self._record(*first)
            yield record if self._fits(record.cells) else self._with_entities(record)

    def _next(self) -> tuple[int, str] | None:
        return self._pushed.popleft() if self._pushed else next(self._lines, None)

    def _record(self, number: int, line: str) -> Record:
        plain = line.split(self._separator)
        if self._quote not in line:
            return self._typographic(number, line, plain)
        cells = self._strict(line)
        if f"{self._separator} {self._quote}" in line and self._separator != " ":
            spaced = self._lenient(line)
            cells = spaced if len(spaced) == self.expected else cells
        if cells is not None and self._fits(cells):
            return Record(number, cells, "", line)
        if f"\\{self._quote}" in line:
            escaped = self._strict(self._doubled(line))
            if escaped is not None and self._fits(escaped):
                return Record(number, escaped, "quotes are escaped by backslashes", line)
        if cells is None and (several := self._over_lines(number, line)):
            return several
        lenient = self._lenient(line)
        if self.expected and len(lenient) == self.expected != len(plain):
            return Record(number, lenient, "quotes within a quoted cell are letters", line)
        if cells is not None:
            return Record(number, cells, "", line)
        unwrapped = [self._unwrapped(cell) for cell in plain]
        if unwrapped != plain:
            return Record(number, unwrapped, "quotes within a quoted cell are letters", line)
        return Record(number, plain, "quotes that open a cell and do not end it are letters", line)

    def _unwrapped(self, cell: str) -> str:
        """Return a cell without the quotes around it, if the others within it make no pairs."""
        text, quote = cell.strip(), self._quote
        within = text.count(quote) - 2
        wrapped = len(text) > 2 and text[0] == quote == text[-1] and within % 2 == 1
        return text[1:-1] if wrapped else cell

    def _with_entities(self, record: Record) -> Record:
        """Read `&amp;` as one letter where cells are separated by semicolons."""
        changed = ENTITY.sub("&\\1\0", record.raw)  # lines hold no NUL
        cells = self._strict(changed) if self._separator == ";" and changed != record.raw else None
        if cells is None or len(cells) != self.expected:
            return record
        return record._replace(cells=[cell.replace("\0", ";") for cell in cells])

    def _typographic(self, number: int, line: str, plain: list[str]) -> Record:
        """Take typographic or single quotes as quotes only where the record is too long else."""
        if len(plain) <= self.expected or not self.expected:
            return Record(number, plain, "", line)
        gap = re.escape(self._separator)
        for opening, closing in ((OPENING, CLOSING), ("'", "'")):
            changed = re.sub(f"(^|{gap})[{opening}]", r'\1"', line)
            changed = re.sub(f"[{closing}](?={gap}|$)", '"', changed)
            cells = self._strict(changed, '"')
            if cells is not None and len(cells) == self.expected:
                return Record(number, cells, "cells stand in typographic or single quotes", line)
        return Record(number, plain, "", line)

    def _fits(self, cells: list[str]) -> bool:
        return not self.expected or len(cells) <= self.expected or not any(cells[self.expected :])

    def _doubled(self, line: str) -> str:
        return line.replace(f"\\{self._quote}", self._quote * 2)

    def _strict(self, line: str, quote: str = "") -> list[str] | None:
        """Return the cells of a line in which every quoted cell is whole (RFC 4180)."""
        return self._parsed(iter([line]), quote or self._quote)

    def _parsed(self, lines: Iterator[str], quote: str) -> list[str] | None:
        reader = csv.reader(
            lines, delimiter=self._separator, quotechar=quote, strict=True, skipinitialspace=False
        )
        try:
            return next(reader, [])
        except csv.Error:
            return None

    def _over_lines(self, number: int, line: str) -> Record | None:
        """Return a record whose quoted cell goes on in the next lines, if there is one."""
        if self._in_vain > MOST_IN_VAIN:
            return None
        taken: list[tuple[int, str]] = []
        cells = self._parsed(self._further(line, taken, escaped=False), self._quote)
        if cells is None or not self._plausible(line, cells, taken):
            again = [text for _, text in taken]
            if any(f"\\{self._quote}" in text for text in (line, *again)):
                self._pushed.extendleft(reversed(taken))
                taken = []
                cells = self._parsed(self._further(line, taken, escaped=True), self._quote)
        if cells is None or not self._plausible(line, cells, taken):
            self._pushed.extendleft(reversed(taken))
            self._in_vain += sum(len(text) for _, text in taken)
            return None
        return Record(number, cells, "", line)

    def _further(self, line: str, taken: list[tuple[int, str]], *, escaped: bool) -> Iterator[str]:
        yield (self._doubled(line) if escaped else line) + "\n"
        size = len(line)
        while len(taken) < MOST_LINES and size < MAX_FIELD:
            following = self._next()
            if following is None:
                return
            taken.append(following)
            size += len(following[1])
            yield (self._doubled(following[1]) if escaped else following[1]) + "\n"

    def _plausible(self, first: str, cells: list[str], taken: list[tuple[int, str]]) -> bool:
        """Tell whether the lines belong to one record, and are not records themselves."""
        if not taken or not self._fits(cells):
            return False
        if self.expected < 2 or not self._is_whole(first):
            return True
        return sum(self._is_whole(line) for _, line in taken) * 2 < len(taken)

    def _is_whole(self, line: str) -> bool:
        return line.count(self._separator) + 1 == self.expected

    def _lenient(self, line: str) -> list[str]:
        """Part a line where a cell in quotes ends at a quote before a separator, no other."""
        if len(line) > MOST_LENIENT:  # time grows with cells times characters
            return []
        quote, gap = re.escape(self._quote), re.escape(self._separator)
        cell = re.compile(
            rf"\s*+{quote}(.*?){quote}\s*+(?:{gap}|$)|([^{gap}]*+)(?:{gap}|$)", re.DOTALL
        )
        cells: list[str] = []
        place = 0
        while place <= len(line) and len(cells) <= self.expected:
            match = cell.match(line, place)
            if match is None:
                break
            quoted = match[1]
            value = match[2] if quoted is None else quoted.replace(self._quote * 2, self._quote)
            cells.append(value)
            if match.end() == len(line) and not match[0].endswith(self._separator):
                break
            place = match.end()
        return cells
