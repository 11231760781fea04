"""Imports a Google Merchant feed: TSV, or XML (RSS or Atom), which is parsed as hostile input."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from pipelines.errors import ShopError
from pipelines.importers.mapping import shown_columns
from pipelines.importers.products import Intake
from pipelines.importers.tables.files import UTF_16, check_file
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Row, Rows
from pipelines.progress import Track
from pipelines.shop.quality import Quality, QualityReport
from pipelines.shop.writer import ShopWriter

MAX_REFUSED_SHARE = 0.5
MAX_DEPTH = 50  # of elements
MAX_ITEM_BYTES = 2_000_000
ELEMENT_BYTES = 100  # what an element costs beside its text
READ_BYTES = 65_536
REQUIRED = ("id", "title")
ITEMS = ("item", "entry")  # of RSS and of Atom
# Feed attribute (https://support.google.com/merchants/answer/7052112): our field.
FIELDS = {
    "id": "id",
    "title": "title",
    "description": "description",
    "summary": "description",
    "brand": "brand",
    "price": "price",
    "availability": "availability",
    "item_group_id": "item_group_id",
}
LISTS = {
    "product_type": "categories",
    "image_link": "images",
    "additional_image_link": "images",
    "video_link": "videos",
}
ATTRIBUTES = (
    "link", "gtin", "mpn", "condition", "color", "size", "material", "pattern", "gender",
    "age_group", "sale_price", "sale_price_effective_date", "google_product_category", "adult",
    "multipack", "is_bundle", "energy_efficiency_class", "unit_pricing_measure", "product_weight",
    "custom_label_0", "custom_label_1", "custom_label_2", "custom_label_3", "custom_label_4",
)  # fmt: skip


def import_merchant(source: Path, folder: Path, track: Track) -> QualityReport:
    """Write a shop of a feed. Pictures stay addresses: nothing is fetched."""
    rows = _open(source)
    quality = Quality(source.stem, "merchant")
    with ShopWriter(folder, name=quality.name, source="merchant") as shop:
        intake = Intake(shop, quality, str(source))
        for row in track(rows.rows, "products"):
            if row.mistake:
                intake.refuse(row.line, row.mistake)
            else:
                intake.take(row.line, raw_product(row.values))
        quality.remarks += rows.remarks.all()
        intake.finish(MAX_REFUSED_SHARE)
        report = quality.report()
        shop.write_report(report)
    return report


def raw_product(values: dict[str, Any]) -> dict[str, Any]:
    """Return a feed's values, lists of texts by attribute, by our names; not yet validated."""
    raw: dict[str, Any] = {"attributes": {}}
    for name, texts in values.items():
        if name in LISTS:
            raw.setdefault(LISTS[name], []).extend(texts)
        elif name in FIELDS:
            raw.setdefault(FIELDS[name], texts[0])
        elif name in ATTRIBUTES:
            raw["attributes"][name] = texts[0]
    if not raw.get("categories"):  # Google's own taxonomy, where the shop gives no path
        raw["categories"] = values.get("google_product_category", [])
    return raw


def _open(source: Path) -> Rows:
    if source.suffix.lower() == ".xml":
        check_file(source, but=UTF_16)
        return Rows((), _items(source), complete=False)
    rows = open_rows(source, columns=REQUIRED)
    names = {column: _plain(column) for column in rows.columns}
    missing = [name for name in REQUIRED if name not in names.values()]
    if missing:
        raise ShopError(
            f"{source} has no column {', '.join(missing)}, which a feed must have; "
            f"it has {shown_columns(rows.columns)}"
        )
    return replace(rows, rows=(_named(row, names) for row in rows.rows))


def _named(row: Row, names: dict[str, str]) -> Row:
    values: dict[str, list[Any]] = {}
    for column, value in row.values.items():
        name = names.get(column) or _plain(column)
        values.setdefault(name, []).extend(_several(name, value))
    return Row(row.line, values, row.mistake)


def _several(name: str, value: Any) -> list[Any]:
    """A TSV cell holds several pictures or types, separated by commas."""
    if name == "additional_image_link" and isinstance(value, str):
        return value.split(",")
    return value if isinstance(value, list) and value else [value]


def _plain(name: str) -> str:
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
        self._texts: list[str] = []
        self._held = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Enter an element."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ShopError(
                f"{self._source}, line {self.locate()}: elements nest over {MAX_DEPTH} deep"
            )
        if not self._item_depth and _plain(tag) in ITEMS:
            self._item_depth, self._line = self._depth, self.locate()
            self._values, self._held = {}, 0
        self._texts = []
        self._hold(attributes.get("href", ""), ELEMENT_BYTES)

    def data(self, text: str) -> None:
        """Collect text of an item's element."""
        self._hold(text, 0)

    def end(self, tag: str) -> None:
        """Leave an element; one right under the item is a value of it."""
        self.calls += 1
        if self._item_depth and self._depth == self._item_depth:
            self.done.append(Row(self._line, self._values))
            self.seen += 1
            self._item_depth = 0
        elif self._item_depth and self._depth == self._item_depth + 1:
            text = "".join(self._texts).strip()
            if text:
                self._values.setdefault(_plain(tag), []).append(text)
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


def _items(source: Path) -> Iterator[Row]:
    items = _Items(source)
    parser = DefusedXMLParser(target=items, forbid_dtd=True)
    items.locate = lambda: int(parser.parser.CurrentLineNumber)
    try:
        with source.open("rb") as file:
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
