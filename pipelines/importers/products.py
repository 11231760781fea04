"""Imports rows of products: validates each, counts refused ones, writes the others in chunks."""

import re
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa

from pipelines.errors import ShopError
from pipelines.shop.quality import Quality, shown
from pipelines.shop.schemas import PRODUCT_SCHEMA
from pipelines.shop.writer import ShopWriter
from retrieval import Availability

CHUNK = 10_000
MAX_PRICE = 1e9
MAX_VALUES = 100  # categories, images, tags or attributes of one product
MAX_CHARACTERS = {
    "id": 128,
    "title": 2_000,
    "description": 100_000,
    "brand": 500,
    "currency": 10,
    "item_group_id": 128,
    "categories": 2_000,
    "attributes": 10_000,
    "images": 4_000,
    "videos": 4_000,
    "tags": 200,
}
PLAIN = (str, int, float, Decimal, date)
SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}
AVAILABILITY = {
    "instock": Availability.IN_STOCK,
    "available": Availability.IN_STOCK,
    "limitedavailability": Availability.IN_STOCK,
    "onlineonly": Availability.IN_STOCK,
    "instoreonly": Availability.IN_STOCK,
    "outofstock": Availability.OUT_OF_STOCK,
    "soldout": Availability.OUT_OF_STOCK,
    "discontinued": Availability.OUT_OF_STOCK,
    "preorder": Availability.PREORDER,
    "presale": Availability.PREORDER,
    "backorder": Availability.BACKORDER,
}

_STRANGE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # tab and newline are not
_PRICE = re.compile(r"([A-Z]{3}|[$€£¥₹])?\s*(-?\d[\d.,  ]*)\s*([A-Z]{3}|[$€£¥₹])?")


class RowError(ValueError):
    """A row that is refused: `kind` is the reason in the report, the message has the details."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Price(NamedTuple):
    """An amount, with its currency if the text names one."""

    amount: float
    currency: str


class Intake:
    """Validates products one by one and writes them in chunks."""

    def __init__(self, shop: ShopWriter, quality: Quality, source: str, currency: str = "") -> None:
        self.ids: set[str] = set()  # about 100 bytes a product: the one thing held for all of them
        self._shop = shop
        self._quality = quality
        self._source = source
        self._currency = currency
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

    def finish(self, max_refused_share: float) -> None:
        """Write the rest; refuse the whole file if too much of it was wrong."""
        self._flush()
        read, kept = self._quality.rows_read, self._quality.rows_kept
        if not read:
            raise ShopError(f"{self._source} has a header but no rows")
        wrong = max(read - kept, self._quality.impossible_prices)
        if wrong > max_refused_share * read or not kept:
            what = "rows were refused" if wrong == read - kept else "prices are impossible"
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
            "title": _required(text_of(raw.get("title"), "title"), "title"),
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


_NO_PRICE = Price(0.0, "")


def id_of(value: Any, name: str = "id") -> str:
    """Return an id as text: a whole number is one too."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _required(text_of(value, name, at_most=MAX_CHARACTERS["id"]), name)


def text_of(value: Any, name: str, at_most: int | None = None) -> str:
    """Return one text without spaces around it, "" where there is none."""
    if value is None or value != value:  # NaN is how pandas writes a missing text
        return ""
    text = _plain_text(value)
    if text is None:
        raise RowError(f"{name} is not text", f"{name} {shown(value)} is not text")
    limit = at_most or MAX_CHARACTERS[name]
    if len(text) > limit:
        raise RowError(
            f"{name} too long", f"{name} has {len(text):,} characters, at most {limit:,} are taken"
        )
    if strange := _STRANGE.search(text):
        raise RowError(f"{name} unprintable", f"{name} holds the control character {strange[0]!a}")
    return text


def _plain_text(value: Any) -> str | None:
    """Return text, a number, a date or a yes and no as text; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return str(value).strip() if isinstance(value, PLAIN) else None
    except ValueError:  # a whole number of thousands of digits
        return None


def texts_of(value: Any, name: str) -> list[str]:
    """Return some texts; one alone is a list of one, and empty ones are left out."""
    values = value if isinstance(value, list | tuple) else [value]
    if len(values) > MAX_VALUES:
        raise RowError(
            f"{name} too many", f"{name} has {len(values):,} values, at most {MAX_VALUES} are taken"
        )
    texts = (text_of(one, name) for one in values)
    return list(dict.fromkeys(text for text in texts if text))


def price_of(value: Any) -> Price | None:
    """Read 19.99, "$19.99", "19.99 USD" or "1.299,00 EUR"; None where there is no price."""
    if value is None or value == "":
        return None
    currency = ""
    if isinstance(value, str):
        found = _PRICE.fullmatch(value.strip().upper())
        if not found:
            raise RowError("impossible price", f"price {shown(value)} is not a number")
        currency = found[1] or found[3] or ""
        value = _number(found[2])
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise RowError("impossible price", f"price {shown(value)} is not a number")
    if not 0 <= value <= MAX_PRICE:  # neither is NaN
        raise RowError(
            "impossible price",
            f"price {shown(value)} is impossible, expected 0 to {MAX_PRICE:,.0f}",
        )
    return Price(float(value), SYMBOLS.get(currency, currency))


def availability_of(value: Any) -> str:
    """Return the noun's word for `in stock`, `in_stock`, `https://schema.org/InStock`…"""
    text = text_of(value, "availability", at_most=200)
    if not text:
        return Availability.IN_STOCK.value
    word = re.sub(r"[^a-z]", "", text.rsplit("/", 1)[-1].lower())
    if word not in AVAILABILITY:
        raise RowError(
            "unknown availability",
            f"availability {shown(text)} is unknown; choose one of in stock, out of stock, "
            "preorder, backorder",
        )
    return AVAILABILITY[word].value


def _number(text: str) -> float:
    """A comma is a decimal point where it stands last and not before three digits."""
    text = re.sub(r"\s", "", text)
    if "," in text and "." in text:
        thousands = "," if text.rindex(".") > text.rindex(",") else "."
        text = text.replace(thousands, "")
    if text.count(",") == 1 and not re.search(r",\d{3}$", text):
        text = text.replace(",", ".")
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise RowError("impossible price", f"price {shown(text)} is not a number") from None


def _attributes(raw: dict[str, Any]) -> list[tuple[str, str]]:
    if len(raw) > MAX_VALUES:
        raise RowError(
            "attributes too many",
            f"attributes has {len(raw):,} values, at most {MAX_VALUES} are taken",
        )
    texts = ((name, texts_of(value, "attributes")) for name, value in raw.items())
    pairs = ((name, ", ".join(several)) for name, several in texts)
    return [(name, text) for name, text in pairs if text]


def _required(text: str, name: str) -> str:
    if not text:
        raise RowError(f"no {name}", f"{name} is empty")
    return text
