"""Which texts of a product are searched by words, and how much each of them counts."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipelines.shop.product_text import text_of

LEXICAL_FIELDS = {
    "title": 2.0,
    "brand": 1.0,
    "categories": 0.9,
    "tags": 0.9,
    "attributes": 0.9,
    "codes": 2.0,
    "description": 0.5,
    "head": 0.0,  # of the title; it says what a product is, and has no BM25 of its own
}
# What shops call an identifier: https://schema.org/Product (sku, mpn, gtin, productID, isbn),
# https://support.google.com/merchants/answer/7052112 (gtin, mpn), Shopify's product CSV (Variant
# SKU, Variant Barcode), Amazon's asin, and the same in German, French, Spanish and Italian.
_CODE_NAMES = """
    sku skus variantsku gtin gtin8 gtin12 gtin13 gtin14 ean ean8 ean13 eancode upc upca upccode isbn
    isbn10 isbn13 jan asin mpn barcode barcodes variantbarcode code productcode itemcode articlecode
    id productid itemid externalid articlenumber articleno itemnumber itemno partnumber partno model
    modelnumber modelno stylecode stylenumber reference ref manufacturerpartnumber
    manufacturernumber oemnumber oem artikelnummer artikelnr artnr bestellnummer herstellernummer
    teilenummer modellnummer referencia codigo codice codicearticolo codearticle codebarre
    codebarres numeroarticle plu
"""
CODE_NAMES = frozenset(_CODE_NAMES.split())
_OTHER_ID = re.compile(r"(?<=[\w\s])[\s_-]ids?$", re.IGNORECASE)  # of a maker, a department
SPOKEN = frozenset(("model", "reference"))  # that shoppers also say as words
AFFIRMED = frozenset(("yes", "true", "1", "ja", "oui", "si", "sì", "sí", "sim", "tak", "evet"))
DENIED = frozenset(("no", "false", "0", "nein", "non", "nej", "nee", "nie", "n/a", "na", "-"))


def searched_text(record: Mapping[str, Any], fields: Iterable[str]) -> dict[str, str]:
    """Return what of a product is searched by words, by field."""
    return {field: _TEXTS.get(field, _plain(field))(record) for field in fields}


def _plain(field: str) -> Any:
    return lambda record: text_of(dict(record), (field,))


def _codes(record: Mapping[str, Any]) -> str:
    """Return the identifiers of a product, one a line."""
    named = [value for name, value in _attributes(record) if _is_code(name)]
    return "\n".join([str(record["id"]), *named])


def _attribute_words(record: Mapping[str, Any]) -> str:
    """Return the values of attributes; of one that is `yes`, its name, of one that is `no`, none.

    Full stops part them, so that no phrase goes from one to the next.
    """
    return ". ".join(_said_by(record))


def _said_by(record: Mapping[str, Any]) -> Iterator[str]:
    for name, value in _attributes(record):
        plain = value.strip().lower()
        if (_is_code(name) and _bare(name) not in SPOKEN) or _OTHER_ID.search(name):
            continue
        if plain in AFFIRMED - {"1"}:
            yield name
        elif plain not in DENIED:
            yield value


def _attributes(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of attributes, as a column of maps or a change has them."""
    given = record.get("attributes") or ()
    pairs = given.items() if isinstance(given, Mapping) else given
    for name, value in pairs:
        for one in value if isinstance(value, list | tuple) else (value,):
            if one is not None:
                yield name, str(one)


def _is_code(name: str) -> bool:
    return _bare(name) in CODE_NAMES


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


_TEXTS = {"codes": _codes, "attributes": _attribute_words, "head": _plain("title")}
