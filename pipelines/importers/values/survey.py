"""Looks through the cells of a source for how prices, lists and paths are written in it."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from pipelines.importers.values.currencies import THREE_DECIMALS
from pipelines.importers.values.lists import separator_of
from pipelines.importers.values.numbers import decimal_mark, is_ambiguous
from pipelines.importers.values.paths import PathStyle, path_style, paths_of
from pipelines.importers.values.prices import PriceStyle, number_in, read_price
from pipelines.importers.values.texts import RowError
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks
from retrieval import Availability

MOST_CELLS = 20_000  # distinct ones of a column that are looked at
MOST_COLUMNS = 500
LONGEST_CELL = 2_000  # characters
MOST_CHARACTERS = 50_000_000  # of all distinct cells


NOTHING: Mapping[str, str] = {}


class CellStyle(NamedTuple):
    """How the cells of a source are written: what a mapping says, and what the cells tell."""

    price: PriceStyle = PriceStyle()
    paths: PathStyle = PathStyle()
    separators: Mapping[str, str] = NOTHING  # by field: tags, attributes.colour
    media: str = "|"  # between several pictures or videos
    unknown_availability: Availability = Availability.IN_STOCK


class SaidStyle(NamedTuple):
    """What a mapping says of cells; "" and None stand for what it leaves open."""

    currency: str = ""
    decimal: str = ""
    category_separator: str = ""
    list_separator: str | None = None
    unknown_availability: Availability = Availability.IN_STOCK


class Survey:
    """Counts how the cells of a source are written, in bounded memory."""

    def __init__(self, said: SaidStyle) -> None:
        self._said = said
        self._marks: dict[str, Counter[str]] = {}  # by currency
        self._seen: dict[str, tuple[int, str]] = {}  # an example of each mark
        self._cells: dict[str, dict[str, None]] = {}  # distinct cells by field
        self._room = MOST_CHARACTERS

    def see(self, line: int, raw: dict[str, Any]) -> None:
        """Look at one product, by our names for its cells."""
        self._see_price(line, raw.get("price"))
        for name in ("categories", "tags"):
            self._see_cells(name, raw.get(name))
        for name, value in (raw.get("attributes") or {}).items():
            self._see_cells(f"attributes.{name}", value)

    def style(self, remarks: Remarks) -> CellStyle:
        """Return how the cells are written; what had to be chosen is a remark."""
        said = self._said
        cells = {name: list(column) for name, column in self._cells.items()}
        separators = {
            name: self._separator(name, column)
            for name, column in cells.items()
            if name != "categories"
        }
        for name, separator in separators.items():
            if separator and said.list_separator is None:
                remarks.add(f"{name}: cells are parted at {separator!r} into several values")
        paths = path_style(
            cells.get("categories", ()), said.category_separator, said.list_separator
        )
        listed = (cell for cell in cells.get("categories", ()) if len(paths_of(cell, paths)) > 1)
        if said.list_separator is None and (example := next(listed, "")):
            kind = f"categories: cells are parted at {paths.lists!r} into several paths"
            remarks.add(kind, 0, f"{shown(example)} is {' and '.join(paths_of(example, paths))}")
        if paths.slash:
            remarks.add("categories are parted at slashes (key `category_separator`)")
        return CellStyle(
            price=self._price_style(remarks),
            paths=paths,
            separators=separators,
            media="|" if said.list_separator is None else said.list_separator,
            unknown_availability=said.unknown_availability,
        )

    def _separator(self, name: str, cells: list[str]) -> str:
        if self._said.list_separator is not None:
            return self._said.list_separator
        return separator_of(cells, always="," if name == "tags" else "")

    def _see_cells(self, name: str, value: Any) -> None:
        if name not in self._cells and len(self._cells) >= MOST_COLUMNS:
            return
        known = self._cells.setdefault(name, {})
        for cell in value if isinstance(value, list) else [value]:
            short = isinstance(cell, str) and 0 < len(cell) <= LONGEST_CELL
            if short and cell not in known and len(known) < MOST_CELLS and self._room > 0:
                known[cell] = None
                self._room -= len(cell)

    def _see_price(self, line: int, value: Any) -> None:
        number = number_in(value)
        if not number:
            return
        currency = ""
        if number != value:
            try:
                price = read_price(value, PriceStyle("", self._said.currency)).price
            except RowError:
                return
            currency = price.currency if price else ""
        mark = _mark(number)
        currency = currency or self._said.currency
        if currency not in self._marks:
            self._marks[currency] = Counter()
        self._marks[currency][mark] += 1
        if mark not in self._seen:
            self._seen[mark] = (line, shown(value))

    def _price_style(self, remarks: Remarks) -> PriceStyle:
        said = self._said
        if said.decimal:
            return PriceStyle(said.decimal, said.currency)
        total: Counter[str] = sum(self._marks.values(), Counter())
        decimals = {name: mark for name, marks in self._marks.items() if (mark := _usual(marks))}
        if total[","] and total["."]:
            self._warn(remarks, "prices have decimal commas and decimal points (key `decimal`)")
        decimal = _usual(total) or self._by_thousands(total)
        if not total[","] and not total["."] and decimal:
            self._warn(remarks, "prices such as 1.299 are read as thousands (key `decimal`)")
        return PriceStyle(decimal, said.currency, decimals)

    def _by_thousands(self, total: Counter[str]) -> str:
        """Return "," where all numbers with a point are such as 1.299, and nothing else tells."""
        point, comma = total[".000"], total[",000"]
        if self._said.currency in THREE_DECIMALS or comma or not point:
            return ""
        return "," if point + total[""] > 1 else ""

    def _warn(self, remarks: Remarks, kind: str) -> None:
        for mark in (",", ".", ".000"):
            if mark in self._seen:
                remarks.add(kind, *self._seen[mark], count=0)
        remarks.add(kind)


@lru_cache(10_000)
def _mark(number: str) -> str:
    """Return the mark of decimals in a number; `.000` or `,000` where that is ambiguous."""
    return f"{number[-4]}000" if is_ambiguous(number) else decimal_mark(number)


def _usual(marks: Counter[str]) -> str:
    comma, point = marks[","], marks["."]
    return "" if comma == point else "," if comma > point else "."
