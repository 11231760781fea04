"""Joins the fields of a product into the text that is encoded, indexed or compared."""

from collections.abc import Sequence
from typing import Any

from pipelines.errors import ShopError
from pipelines.shop.reader import Shop
from ranking.features.catalogue_words import ProductText

MOST_LEVELS = 2  # of a category path, in the text that is encoded


def text_of(record: dict[str, Any], fields: Sequence[str]) -> str:
    """Return the words of some fields of a product, field by field."""
    return ". ".join(part for field in fields if (part := _flat(record.get(field))))


def encoded_text(record: dict[str, Any], fields: Sequence[str]) -> str:
    """Return the text of a product that the text encoder reads, field by field.

    Of its categories, the encoder reads what the title does not say: at most MOST_LEVELS levels of
    the first path, the deepest first, and not its root, which says little.
    """
    parts = (
        _category_words(record) if field == "categories" else _flat(record.get(field))
        for field in fields
    )
    return ". ".join(part for part in parts if part)


def _category_words(record: dict[str, Any]) -> str:
    paths, title = record.get("categories") or (), str(record.get("title") or "")
    if not paths:
        return ""
    levels = [level.strip() for level in str(paths[0]).split(">")]
    inner = levels[1:] if len(levels) > 1 else levels
    said = set(title.casefold().split())
    unsaid = [level for level in reversed(inner) if not set(level.casefold().split()) <= said]
    return ", ".join(unsaid[:MOST_LEVELS])


def read_texts(shop: Shop, fields: Sequence[str]) -> list[str]:
    """Return the text of each product that is encoded, in the order of the shop.

    A shop without products is a ShopError.
    """
    if shop.num_products == 0:
        raise ShopError(f"{shop.folder} holds no products; import some first")
    batches = shop.product_batches()
    return [encoded_text(record, fields) for batch in batches for record in batch.to_pylist()]


def words_of(record: dict[str, Any]) -> ProductText:
    """Return what of a product its words are compared with a query by."""
    return ProductText(*(text_of(record, (name,)) for name in ProductText._fields))


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    return str(value).strip() if value is not None else ""
