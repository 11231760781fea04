"""Imports rows of products: validates each, counts refused ones, writes the others in chunks."""

from typing import Any

import pyarrow as pa

from pipelines.errors import ShopError
from pipelines.importers.values.availability import availability_of
from pipelines.importers.values.prices import Price, price_of
from pipelines.importers.values.texts import (
    MAX_VALUES,
    RowError,
    id_of,
    required,
    text_of,
    texts_of,
)
from pipelines.shop.quality import Quality, shown
from pipelines.shop.schemas import PRODUCT_SCHEMA
from pipelines.shop.writer import ShopWriter

CHUNK = 10_000
_NO_PRICE = Price(0.0, "")


class Intake:
    """Validates products one by one and writes them in chunks."""

    def __init__(self, shop: ShopWriter, quality: Quality, source: str, currency: str = "") -> None:
        self.ids: set[str] = set()  # about 100 bytes a product: the one thing held for all of them
        self._shop = shop
        self._quality = quality
        self._source = source
        self._currency = currency
        self._left_out = 0
        self._waiting: list[dict[str, Any]] = []

    def take(self, line: int, raw: dict[str, Any]) -> dict[str, Any] | None:
        """Return the product as written; None if the row is refused, which is then counted.

        `raw` holds loosely typed values by the noun's field names. Of equal ids the first counts.
        """
        self._quality.rows_read += 1
        try:
            product = self._product(line, raw)
        except RowError as e:
            self._quality.refuse(self._source, line, e.kind, str(e))
            return None
        if product["id"] in self.ids:
            self._quality.duplicate_ids += 1
            text = f"id {shown(product['id'])} was there before; the first is kept"
            self._quality.refuse(self._source, line, "duplicate id", text)
            return None
        self.ids.add(product["id"])
        self._waiting.append(product)
        if len(self._waiting) >= CHUNK:
            self._flush()
        return product

    def refuse(self, line: int, mistake: str) -> None:
        """Count a row that could not even be read."""
        self._quality.rows_read += 1
        self._quality.refuse(self._source, line, "unreadable row", mistake)

    def leave_out(self) -> None:
        """Count a row that is no product for sale, which is no mistake of it."""
        self._quality.rows_read += 1
        self._left_out += 1

    def finish(self, max_refused_share: float) -> None:
        """Write the rest; refuse the whole file if too much of it was wrong."""
        self._flush()
        read, kept = self._quality.rows_read, self._quality.rows_kept
        if not read:
            raise ShopError(f"{self._source} has a header but no rows")
        refused = read - kept - self._left_out
        if self._left_out and not kept and not refused:
            raise ShopError(f"{self._source}: none of its {read:,} rows is a product for sale")
        wrong = max(refused, self._quality.impossible_prices)
        if wrong > max_refused_share * read or not kept:
            what = "rows were refused" if wrong == refused else "prices are impossible"
            first = self._quality.examples[0]
            raise ShopError(
                f"{self._source}: {wrong:,} of {read:,} {what}, at most "
                f"{max_refused_share:.0%} may be; the first: line {first.line}: {first.reason}"
            )

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_pylist(self._waiting, PRODUCT_SCHEMA)
            self._quality.see_products(self._shop.add_products(table))
            self._waiting = []

    def _product(self, line: int, raw: dict[str, Any]) -> dict[str, Any]:
        price = self._price(line, raw.get("price"))
        currency = text_of(raw.get("currency"), "currency").upper() or (price or _NO_PRICE).currency
        return {
            "id": id_of(raw.get("id")),
            "title": required(text_of(raw.get("title"), "title"), "title"),
            "description": text_of(raw.get("description"), "description"),
            "brand": text_of(raw.get("brand"), "brand"),
            "categories": texts_of(raw.get("categories"), "categories"),
            "price": price.amount if price else None,
            "currency": currency or self._currency if price else "",
            "availability": availability_of(raw.get("availability")),
            "attributes": _attributes(raw.get("attributes") or {}),
            "images": texts_of(raw.get("images"), "images"),
            "videos": texts_of(raw.get("videos"), "videos"),
            "item_group_id": text_of(raw.get("item_group_id"), "item_group_id"),
            "tags": texts_of(raw.get("tags"), "tags"),
        }

    def _price(self, line: int, value: Any) -> Price | None:
        """A product whose price is impossible is kept without one, and counted."""
        try:
            return price_of(value)
        except RowError as e:
            self._quality.impossible_prices += 1
            self._quality.example(self._source, line, f"{e}; kept without a price")
            return None


def _attributes(raw: dict[str, Any]) -> list[tuple[str, str]]:
    if len(raw) > MAX_VALUES:
        raise RowError(
            "attributes too many",
            f"attributes has {len(raw):,} values, at most {MAX_VALUES} are taken",
        )
    texts = ((name, texts_of(value, "attributes")) for name, value in raw.items())
    pairs = ((name, ", ".join(several)) for name, several in texts)
    return [(name, text) for name, text in pairs if text]
