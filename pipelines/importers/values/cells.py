"""Reads the cells of a product as people mean them, and remarks on what had to be chosen."""

from collections.abc import Callable
from typing import Any, TypeVar

from pipelines.importers.values.availability import availability_of
from pipelines.importers.values.currencies import currency_of
from pipelines.importers.values.lists import media_of, parts_of
from pipelines.importers.values.markup import plain_text
from pipelines.importers.values.numbers import is_ambiguous
from pipelines.importers.values.paths import paths_of
from pipelines.importers.values.prices import Price, number_in, read_price
from pipelines.importers.values.survey import CellStyle
from pipelines.importers.values.texts import (
    CONTROL,
    MAX_CHARACTERS,
    MAX_VALUES,
    NULLS,
    RowError,
    decoded_twice,
    is_destroyed,
    limited,
    text_of,
)
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks

DESTROYED = (
    "codes that a spreadsheet made rounded numbers, such as 4,00638E+12, are left out; export them "
    "as text"
)
MARKUP = "HTML in texts is made plain text"
MOST_KNOWN = 100_000  # cells, of at most 300 bytes each
LONGEST_KNOWN = 100  # characters
T = TypeVar("T")
LONGEST_RAW = 1_000_000  # characters of a text with its HTML


class CellReader:
    """Reads the cells of one source, which are written in one style."""

    def __init__(self, style: CellStyle, remarks: Remarks) -> None:
        self._style = style
        self._remarks = remarks
        self._known: dict[tuple[str, str], Any] = {}  # cells that needed no remark, as read

    def text(self, line: int, name: str, value: Any) -> str:
        """Return a text without HTML and control letters, "" where there is none."""
        if isinstance(value, str) and _is_plain(value):
            text = " ".join(value.split())
            return "" if text in NULLS and name != "title" else limited(text, name)
        if isinstance(value, str) and CONTROL.search(value):
            self._remarks.add("control letters are taken out of texts", line, shown(value.strip()))
        text = text_of(value, name, at_most=LONGEST_RAW)
        mended = decoded_twice(text)
        if mended != text:
            kind = "texts are mended that were UTF-8 and read as Windows-1252"
            self._remarks.add(kind, line, f"{shown(text)} is {shown(mended)}")
        if "<" in mended or "&" in mended:
            plain = plain_text(mended, keep_lines=name == "description")
            if plain.split() != mended.split():
                self._remarks.add(MARKUP, line, shown(mended))
            mended = plain
        return limited(mended if name == "description" else " ".join(mended.split()), name)

    def texts(self, line: int, name: str, value: Any, field: str = "") -> list[str]:
        """Return some texts of a cell, or of several, each once."""
        return self._once(field or name, value, lambda: self._texts(line, name, value, field))

    def _texts(self, line: int, name: str, value: Any, field: str) -> list[str]:
        separator = self._style.separators.get(field or name, "")
        parts = [part for cell in _listed(value) for part in _parted(cell, separator)]
        if name == "tags":
            parts = [part for part in parts if not self._is_long_tag(line, part)]
        return self._first(line, name, [self.text(line, name, part) for part in parts])

    def media(self, line: int, name: str, value: Any) -> list[str]:
        """Return addresses or names of files."""
        parts: list[Any] = []
        for cell in _listed(value):
            several = media_of(cell, self._style.media) if isinstance(cell, str) else [cell]
            if len(several) > 1:
                self._remarks.add(f"{name}: cells are parted into several", line, shown(cell))
            parts += several
        texts = (part.replace("&amp;", "&") if isinstance(part, str) else part for part in parts)
        return self._first(line, name, [text_of(one, name) for one in texts])

    def categories(self, line: int, value: Any) -> list[str]:
        """Return the paths of categories."""
        return self._once("categories", value, lambda: self._paths(line, value))

    def _paths(self, line: int, value: Any) -> list[str]:
        paths: list[str] = []
        for cell in _listed(value):
            if isinstance(cell, str):
                if ("<" in cell or "&" in cell) and plain_text(cell) != " ".join(cell.split()):
                    self._remarks.add(MARKUP, line, shown(cell))
                paths += [
                    self.text(line, "categories", p) for p in paths_of(cell, self._style.paths)
                ]
            else:
                paths.append(text_of(cell, "categories"))
        return self._first(line, "categories", paths)

    def attributes(self, line: int, raw: dict[str, Any]) -> list[tuple[str, str]]:
        """Return pairs of a name and a value; a name comes once for each of its values."""
        pairs = [
            (name, text)
            for name, value in raw.items()
            for text in self.texts(line, "attributes", value, f"attributes.{name}")
            if not self._is_destroyed(line, name, text)
        ]
        if len(pairs) > MAX_VALUES:
            self._remark_more(line, "attributes", len(pairs))
        return pairs[:MAX_VALUES]

    def price(self, line: int, value: Any, currency: str) -> Price | None:
        """Return a price, with the currency that its own cell names, else this one.

        RowError for what is no price, or an impossible one.
        """
        return self._once(f"price {currency}", value, lambda: self._price(line, value, currency))

    def _price(self, line: int, value: Any, currency: str) -> Price | None:
        style = self._style.price
        style = style._replace(currency=currency or style.currency)
        price, choice = read_price(value, style)
        if choice:
            self._remarks.add(choice, line, shown(value))
        if price and is_ambiguous(number_in(value)):
            known = style.decimal or price.currency in style.decimals
            why = "read as the others of the file" if known else "nothing tells (key `decimal`)"
            kind = f"prices that may be thousands or have three decimals: {why}"
            self._remarks.add(kind, line, f"{shown(value)} is {price.amount:g}")
        if price is None or price.currency or not style.currency:
            return price
        return Price(price.amount, style.currency)

    def currency(self, value: Any) -> str:
        """Return the code of a currency that a cell names by its code, sign or name."""
        return self._once("currency", value, lambda: self._currency(value))

    def _currency(self, value: Any) -> str:
        text = text_of(value, "currency")
        return currency_of(text, self._style.price.currency) or text.upper()

    def availability(self, line: int, value: Any) -> str:
        """Return the noun's word; a word that is not known is counted and takes no product out."""
        return self._once("availability", value, lambda: self._availability(line, value))

    def _availability(self, line: int, value: Any) -> str:
        try:
            return availability_of(value)
        except RowError as e:
            unknown = self._style.unknown_availability.value
            kind = f"words of availability that are not known count as {unknown}"
            self._remarks.add(f"{kind} (key `unknown_availability`)", line, str(e))
            return unknown

    def _once(self, name: str, value: Any, read: Callable[[], T]) -> T:
        """Return what a cell says, read once for equal cells of which nothing is remarked on."""
        text = value[0] if isinstance(value, list) and len(value) == 1 else value
        if text is None:
            text = ""  # an empty cell
        if not isinstance(text, str) or len(text) > LONGEST_KNOWN:
            return read()
        key = (name, text)
        if key in self._known:
            known: T = self._known[key]
            return known
        calls = self._remarks.calls
        found = read()
        if self._remarks.calls == calls and len(self._known) < MOST_KNOWN:
            self._known[key] = found
        return found

    def _first(self, line: int, name: str, texts: list[str]) -> list[str]:
        """Return each text once, and of very many the first."""
        distinct = list(dict.fromkeys(text for text in texts if text))
        if len(distinct) > MAX_VALUES:
            self._remark_more(line, name, len(distinct))
        return distinct[:MAX_VALUES]

    def _remark_more(self, line: int, name: str, count: int) -> None:
        kind = f"{name}: of very many values of a product the first {MAX_VALUES} are kept"
        self._remarks.add(kind, line, f"{count:,} values")

    def _is_destroyed(self, line: int, name: str, text: str) -> bool:
        """Return whether a code was made a rounded number by a spreadsheet: no digit can be had."""
        if not text[:1].isdigit() or not is_destroyed(text):
            return False
        self._remarks.add(DESTROYED, line, f"{name} {shown(text)}")
        return True

    def _is_long_tag(self, line: int, part: Any) -> bool:
        most = MAX_CHARACTERS["tags"]
        if not isinstance(part, str) or len(part) <= most:
            return False
        self._remarks.add(f"tags of over {most} characters are left out", line, shown(part))
        return True


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and "<" not in text and "&" not in text


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _parted(cell: Any, separator: str) -> list[Any]:
    return list(parts_of(cell, separator)) if isinstance(cell, str) else [cell]
