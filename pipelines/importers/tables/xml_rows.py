"""Reads the items of an XML feed, RSS or Atom, as hostile input in bounded memory."""

from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from pipelines.errors import ShopError
from pipelines.importers.tables.files import opened
from pipelines.importers.tables.json_rows import LOOKED_AT
from pipelines.importers.tables.rows import Row, Rows, TableFormat

MAX_DEPTH = 50  # of elements
MAX_ITEM_BYTES = 2_000_000
ELEMENT_BYTES = 100  # what an element costs beside its text
READ_BYTES = 65_536
# Of RSS, of Atom, and of the price comparison sites Heureka, Yandex and others.
ITEMS = ("item", "entry", "shopitem", "offer", "product")


def read_xml(path: Path, form: TableFormat) -> Rows:
    """Read the items of a feed; an attribute that comes once is a value, else a list of them."""
    del form  # XML says itself how it is written
    rows = (Row(row.line, _single(row.values), row.mistake) for row in items_of(path))
    first = list(islice(rows, LOOKED_AT))
    columns = dict.fromkeys(name for row in first for name in row.values)
    return Rows(tuple(columns), chain(first, rows), complete=False)


def _single(values: dict[str, list[Any]]) -> dict[str, Any]:
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in values.items()}


def items_of(source: Path) -> Iterator[Row]:
    """Yield the items of a feed as lists of texts by name, or raise a ShopError with the line."""
    items = _Items(source)
    parser = DefusedXMLParser(target=items, forbid_dtd=True)
    items.locate = lambda: int(parser.parser.CurrentLineNumber)
    try:
        with opened(source) as file:
            for block in _blocks(file, items):
                parser.feed(block)
                yield from items.done
                items.done = []
        parser.close()
    except ShopError:
        raise
    except DefusedXmlException:
        raise ShopError(
            f"{source}, line {items.locate()}: declares a document type or entities, which a feed "
            "may not; take the <!DOCTYPE …> out"
        ) from None
    except ParseError as e:
        raise ShopError(f"{source} is not whole XML: {e}") from None
    except (ValueError, LookupError) as e:
        raise ShopError(f"{source} is in an encoding that is not read: {e}") from None
    if not items.seen:
        raise ShopError(f"{source} holds no <item> and no <entry>; is it a Merchant feed?")


def plain_name(name: str) -> str:
    """Return `image_link` for `g:image link`, `Image Link` and `{…}image_link`."""
    name = name.rpartition("}")[2].strip().lower()
    return name.removeprefix("g:").replace(" ", "_")


class _Items:
    """The target of the XML parser: collects one item at a time within bounds of memory."""

    def __init__(self, source: Path) -> None:
        self.done: list[Row] = []
        self.seen = 0
        self.calls = 0
        self.locate: Callable[[], int] = lambda: 0  # the line that the parser is at
        self._source = source
        self._depth = 0
        self._item_depth = 0  # 0: outside of any item
        self._line = 0
        self._values: dict[str, list[Any]] = {}
        self._said: dict[str, list[Any]] = {}  # by attributes of the item
        self._texts: list[str] = []
        self._held = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Enter an element."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ShopError(
                f"{self._source}, line {self.locate()}: elements nest over {MAX_DEPTH} deep"
            )
        if not self._item_depth and plain_name(tag) in ITEMS:
            self._item_depth, self._line = self._depth, self.locate()
            self._values, self._said, self._held = {}, _named(attributes), 0
        self._texts = []
        self._hold(attributes.get("href", ""), ELEMENT_BYTES)

    def data(self, text: str) -> None:
        """Collect text of an item's element."""
        self._hold(text, 0)

    def end(self, tag: str) -> None:
        """Leave an element; one right under the item is a value of it."""
        self.calls += 1
        if self._item_depth and self._depth == self._item_depth:
            self.done.append(Row(self._line, self._said | self._values))
            self.seen += 1
            self._item_depth = 0
        elif self._item_depth and self._depth == self._item_depth + 1:
            text = "".join(self._texts).strip()
            if text:
                self._values.setdefault(plain_name(tag), []).append(text)
        self._texts = []
        self._depth -= 1

    def close(self) -> None:
        """End the document."""

    def _hold(self, text: str, more: int) -> None:
        self.calls += 1
        if not self._item_depth:
            return
        self._texts.append(text)
        self._held += len(text) + more
        if self._held > MAX_ITEM_BYTES:
            raise ShopError(
                f"{self._source}, line {self._line}: one item has over {MAX_ITEM_BYTES:,} bytes"
            )


def _named(attributes: dict[str, str]) -> dict[str, list[Any]]:
    """Return the values that attributes of an item have, where no element of it has that name.

    So says `<offer id="1" available="true">`.
    """
    plain = {plain_name(name): text.strip() for name, text in attributes.items()}
    return {name: [text] for name, text in plain.items() if name in ("id", "available") and text}


def _blocks(file: IO[bytes], items: _Items) -> Iterator[bytes]:
    """Yield the file in blocks, while the parser makes something of them."""
    quiet, calls = 0, 0
    while block := file.read(READ_BYTES):
        quiet = quiet + len(block) if items.calls == calls else 0
        calls = items.calls
        if quiet > MAX_ITEM_BYTES:
            raise ShopError(
                f"{file.name}, line {items.locate()}: no element in {quiet:,} bytes; is it XML?"
            )
        yield block
