"""Imports rows of products: validates each, counts refused ones, writes the others in chunks."""

from typing import Any

import pyarrow as pa

from pipelines.errors import ShopError
from pipelines.importers.matching.catalogue import Catalogue
from pipelines.importers.values.cells import CellReader
from pipelines.importers.values.prices import Price, PriceStyle
from pipelines.importers.values.survey import CellStyle
from pipelines.importers.values.texts import RowError, id_of, is_destroyed, required, text_of
from pipelines.shop.quality import Quality, shown
from pipelines.shop.remarks import Remarks
from pipelines.shop.schemas import PRODUCT_SCHEMA
from pipelines.shop.writer import ShopWriter

CHUNK = 10_000
ROUNDED_IDS = (
    "ids that a spreadsheet made rounded numbers, such as 4,00638E+12: orders do not find them, "
    "and several products may have one; export them as text"
)


class Intake:
    """Validates products one by one and writes them in chunks."""

    def __init__(
        self,
        shop: ShopWriter,
        quality: Quality,
        source: str,
        currency: str = "",
        style: CellStyle | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        """Take products of a source whose cells are written in a style, as a Survey returns it.

        `catalogue` is told the ids and codes of those that are written.
        """
        style = style or CellStyle(price=PriceStyle(currency=currency))
        self.remarks = Remarks(source)
        self.ids: set[str] = set()  # about 100 bytes a product: the one thing held for all of them
        self._shop = shop
        self.quality = quality
        self._source = source
        self._catalogue = catalogue
        self._left_out = 0
        self._first = ""  # refused row: its line and reason
        self._cells = CellReader(style, self.remarks)
        self._waiting: list[dict[str, Any]] = []

    def take(self, line: int, raw: dict[str, Any]) -> dict[str, Any] | None:
        """Return the product as written; None if the row is refused, which is then counted.

        `raw` holds loosely typed values by the noun's field names. Of equal ids the first counts.
        """
        self.quality.rows_read += 1
        try:
            product = self._product(line, raw)
        except RowError as e:
            self._refuse(line, e.kind, str(e))
            return None
        if product["id"] in self.ids:
            self.quality.duplicate_ids += 1
            text = f"id {shown(product['id'])} was there before; the first is kept"
            self._refuse(line, "duplicate id", text)
            return None
        self.ids.add(product["id"])
        self._waiting.append(product)
        if len(self._waiting) >= CHUNK:
            self._flush()
        return product

    def refuse(self, line: int, mistake: str) -> None:
        """Count a row that could not even be read."""
        self.quality.rows_read += 1
        self._refuse(line, "unreadable row", mistake)

    def _refuse(self, line: int, kind: str, reason: str) -> None:
        self.quality.refuse(self._source, line, kind, reason)
        self._first = self._first or f"line {line}: {reason}"

    def leave_out(self) -> None:
        """Count a row that is no product for sale, which is no mistake of it."""
        self.quality.rows_read += 1
        self._left_out += 1

    def finish(self, max_refused_share: float) -> None:
        """Write the rest; refuse the whole file if too much of it was wrong."""
        self._flush()
        self.quality.remarks += self.remarks.all()
        read, kept = self.quality.rows_read, self.quality.rows_kept
        if not read:
            raise ShopError(f"{self._source} has a header but no rows")
        refused = read - kept - self._left_out
        if self._left_out and not kept and not refused:
            raise ShopError(f"{self._source}: none of its {read:,} rows is a product for sale")
        wrong = max(refused, self.quality.impossible_prices)
        if wrong > max_refused_share * read or not kept:
            what = "rows were refused" if wrong == refused else "prices are impossible"
            example = self.quality.examples[0]
            first = f"line {example.line}: {example.reason}"
            if wrong == refused:
                first = self._first
            raise ShopError(
                f"{self._source}: {wrong:,} of {read:,} {what}, at most "
                f"{max_refused_share:.0%} may be; the first: {first}"
            )

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_pylist(self._waiting, PRODUCT_SCHEMA)
            written = self._shop.add_products(table)
            self.quality.see_products(written)
            if self._catalogue:
                self._catalogue.add(written)
            self._waiting = []

    def _product(self, line: int, raw: dict[str, Any]) -> dict[str, Any]:
        cells = self._cells
        if is_destroyed(str(raw.get("id"))):
            self.remarks.add(ROUNDED_IDS, line, shown(raw.get("id")))
        currency = cells.currency(raw.get("currency"))
        price = self._price(line, raw.get("price"), currency)
        return {
            "id": id_of(raw.get("id")),
            "title": required(cells.text(line, "title", raw.get("title")), "title"),
            "description": cells.text(line, "description", raw.get("description")),
            "brand": cells.text(line, "brand", raw.get("brand")),
            "categories": cells.categories(line, raw.get("categories")),
            "price": price.amount if price else None,
            "currency": currency or price.currency if price else "",
            "availability": cells.availability(line, raw.get("availability")),
            "attributes": cells.attributes(line, raw.get("attributes") or {}),
            "images": cells.media(line, "images", raw.get("images")),
            "videos": cells.media(line, "videos", raw.get("videos")),
            "item_group_id": text_of(raw.get("item_group_id"), "item_group_id"),
            "tags": cells.texts(line, "tags", raw.get("tags")),
        }

    def _price(self, line: int, value: Any, currency: str) -> Price | None:
        """A product whose price is impossible is kept without one, and counted."""
        try:
            return self._cells.price(line, value, currency)
        except RowError as e:
            self.quality.impossible_prices += 1
            self.quality.example(self._source, line, f"{e}; kept without a price")
            return None
