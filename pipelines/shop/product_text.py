"""Joins the fields of a product into the text that is encoded, indexed or compared."""

from collections.abc import Sequence
from typing import Any

from pipelines.errors import ShopError
from pipelines.shop.reader import Shop
from ranking.features.catalogue_words import ProductText


def text_of(record: dict[str, Any], fields: Sequence[str]) -> str:
    """Return the words of a product that are encoded, field by field."""
    return ". ".join(part for field in fields if (part := _flat(record.get(field))))


def read_texts(shop: Shop, fields: Sequence[str]) -> list[str]:
    """Return the text of each product that is encoded, in the order of the shop.

    A shop without products is a ShopError.
    """
    if shop.num_products == 0:
        raise ShopError(f"{shop.folder} holds no products; import some first")
    batches = shop.product_batches()
    return [text_of(record, fields) for batch in batches for record in batch.to_pylist()]


def words_of(record: dict[str, Any]) -> ProductText:
    """Return what of a product its words are compared with a query by."""
    return ProductText(*(text_of(record, (name,)) for name in ProductText._fields))


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    return str(value).strip() if value is not None else ""
