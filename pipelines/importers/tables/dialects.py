"""Tells the dialect of separated text: its separator, its quote and the line of its header."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipelines.importers.tables.records import Record, RecordReader

SEPARATORS = (",", ";", "\t", "|")
LOOKED_AT = 200  # first lines
MOST_ABOVE = 30  # records above the header
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # which Excel writes and reads
WHOLE = re.compile(r'"(?:[^"]|"")*+"')
# The first cell of Amazon's inventory files (the templates of Seller Central, "Add products via
# upload"): TemplateType=… where the second line has labels, the third names, and rows begin in the
# fourth; settings=attributeRow=5&dataRow=7… in newer ones.
AMAZON = re.compile(r"^\W*(TemplateType=|settings=)")
AMAZON_ROWS = re.compile(r"(attributeRow|dataRow)=(\d{1,3})")

Line = tuple[int, str]


class Dialect(NamedTuple):
    """How a file of separated text is written."""

    separator: str
    quote: str
    header: Record
    data_from: int = 0  # line of the first row that is one
    row_names: bool = False  # rows begin with a name that the header lacks, as R writes them
    trailing: bool = False  # most rows end with separators that the header lacks


def are_quoted_whole(lines: Sequence[str]) -> bool:
    """Tell whether each line was made one quoted cell, as a program does that reads no cells."""
    full = [line for line in lines if line.strip()]
    whole = [WHOLE.fullmatch(line) and any(one in line for one in SEPARATORS) for line in full]
    return len(full) > 1 and all(whole)


def unquoted(line: Line) -> Line:
    """Return a line without the quotes around the whole of it."""
    number, text = line
    return number, text[1:-1].replace('""', '"') if WHOLE.fullmatch(text) else text


def plain_name(name: str) -> str:
    """Return the name of a column as people write it alike: `item sku` for `Item_SKU `."""
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


def dialect_of(
    head: Sequence[Line], said: str, usual: str, wanted: Iterable[str]
) -> Dialect | None:
    """Return the dialect of a file by its first lines; None if they are blank.

    `said` is the separator that the mapping names, `usual` that of the file's ending; `wanted` are
    names of columns, of which a header has some.
    """
    names = {plain_name(name) for name in wanted}
    head = [(number, line) for number, line in head if line.strip()]
    if not head:
        return None
    named = SEPARATOR_LINE.fullmatch(head[0][1].strip(" \ufeff"))
    separator = said or (named[1] if named else "")
    head = head[1:] if named else head
    if not head:
        return None
    if not separator:
        separator = max(
            (usual, *(one for one in SEPARATORS if one != usual)),
            key=lambda one: _fitness(_records(head, one), names),
        )
    records = _records(head, separator)
    place, data_from = _header_place(records, names)
    header = records[place]
    quote = "'" if _all_within(header.cells, "'") else '"'
    if quote == "'":
        header = _records(head, separator, quote)[place]
    after = [record.cells for record in records[place + 1 :] if any(record.cells)]
    width = len(header.cells)
    longer = [cells for cells in after if len(cells) > width]
    row_names = len(longer) == len(after) and _are_row_names(longer, width)
    trailing = sum(not any(cells[width:]) for cells in longer) * 2 > len(after)
    return Dialect(separator, quote, header, data_from, row_names, trailing)


def _are_row_names(rows: Sequence[list[str]], width: int) -> bool:
    """Tell whether rows begin with their number, which the header lacks (R's write.table)."""
    counted = all(cells[0] == str(n) for n, cells in enumerate(rows, 1))
    shifted = all(re.fullmatch(r"\d+", cells[-1]) and cells[-2].isdigit() for cells in rows)
    full = all(len(cells) == width + 1 and cells[-1].strip() for cells in rows)
    return bool(rows) and counted and not shifted and full


def _records(head: Sequence[Line], separator: str, quote: str = '"') -> list[Record]:
    return list(RecordReader(iter(head), separator, quote))


def _fitness(records: Sequence[Record], names: set[str]) -> tuple[int, float, int]:
    """Return how well a separator fits: wanted names in one record, then equal numbers of cells."""
    hits = max((_hits(record, names) for record in records[:MOST_ABOVE]), default=0)
    counts = Counter(len(record.cells) for record in records)
    usual, times = counts.most_common(1)[0]
    return hits, times / len(records) if usual > 1 else 0.0, usual


def _hits(record: Record, names: set[str]) -> int:
    return len(names & {plain_name(cell) for cell in record.cells})


def _header_place(records: Sequence[Record], names: set[str]) -> tuple[int, int]:
    """Return which record is the header, and the first line that may be a row."""
    top = records[:MOST_ABOVE]
    best = max(range(len(top)), key=lambda place: _hits(top[place], names))
    found = _hits(top[best], names) > 0
    if AMAZON.match(records[0].raw):
        rows = {name: int(row) for name, row in AMAZON_ROWS.findall(records[0].raw)}
        machine, first = rows.get("attributeRow", 3), rows.get("dataRow", 4)
        lines = [record.line for record in top]
        place = lines.index(machine) if machine in lines else min(2, len(top) - 1)
        return (best if found else place), first
    if found:
        return best, 0
    counts = Counter(len(record.cells) for record in records)
    usual = counts.most_common(1)[0][0]
    fits = (p for p, record in enumerate(top) if len(record.cells) in (usual, usual - 1))
    comments = {p for p, record in enumerate(top) if record.raw.lstrip().startswith("#")}
    return next((p for p in fits if p not in comments), 0), 0


def _all_within(cells: Sequence[str], quote: str) -> bool:
    full = [cell.strip() for cell in cells if cell.strip()]
    return bool(full) and all(len(c) > 1 and c[0] == quote == c[-1] for c in full)
