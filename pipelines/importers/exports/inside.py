"""Finds what a field holds within the objects of JSON, such as the name of a brand."""

from collections.abc import Sequence
from typing import Any

from pipelines.importers.tables.json_rows import inner
from pipelines.importers.tables.rows import Row

AMOUNTS = ("amount", "value", "price", "gross", "current", "current_price", "$numberDecimal")
PICTURES = ("src", "url", "contentUrl", "large", "original", "image_url", "image", "href")
# The fields of an object that say what it is, by ours; of all others those of "".
INNER = {
    "": ("name", "title", "label", "value", "@value", "text"),
    "id": ("$oid", "id", "value"),
    "user": ("id", "$oid", "user_id", "customer_id", "email"),
    "product": ("id", "$oid", "product_id", "sku"),
    "session": ("id", "$oid", "value"),
    "time": ("$date", "date", "value"),
    "price": AMOUNTS,
    "value": AMOUNTS,
    "unit_price": AMOUNTS,
    "availability": ("availability", "status", "quantity", "in_stock", "available", "value"),
    "images": PICTURES,
}
CURRENCIES = ("currency", "currencyCode", "currency_code", "priceCurrency")


def with_inner(section: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return a guessed section whose columns of objects lead to what these say.

    `brand` becomes `brand.name` where rows have `{"brand": {"id": 3, "name": "Acme"}}`.
    """
    found: dict[str, Any] = {}
    for field, names in section.items():
        several = [names] if isinstance(names, str) else names
        paths = [_leading(name, INNER.get(field, INNER[""]), rows) for name in several]
        found[field] = paths[0] if isinstance(names, str) else paths
    price = section.get("price")
    if isinstance(price, str) and "currency" not in section:
        path = _leading(price, CURRENCIES, rows)
        found |= {"currency": path} if path != price else {}
    return found


def _leading(column: str, inside: tuple[str, ...], rows: Sequence[Row]) -> str:
    """Return the path to the first of some inner fields; the column where it holds no objects."""
    values = (inner(row.values, column) for row in rows)
    one = next((value for value in values if value not in (None, "", [])), None)
    one = one[0] if isinstance(one, list) else one
    fields = one if isinstance(one, dict) else {}
    names = (name for name in inside if isinstance(fields.get(name), str | int | float))
    name = next(names, "")
    return f"{column}.{name}" if name else column
