"""Reads the options and attributes that a row names itself: in pairs of columns, or in one cell."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pipelines.importers.tables.json_rows import inner
from pipelines.importers.values.texts import MAX_VALUES

MAX_TEXT = 10_000
MAX_NAME = 60
NO_OPTION = {"title": "default title"}  # how Shopify writes a product without variants

_NEXT_PAIR = re.compile(r"[,;|\n](?=\s*(?:\[\w{1,4}\])?[^=,;|\n]{1,60}=)")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{3,8}:(?=[^;,])")  # #000000:Black in exports of Wix
_KIND = re.compile(r"^\[\w{1,4}\]")  # [RT]Color=Red in exports of BigCommerce's older form


def options_of(
    values: dict[str, Any], columns: Iterable[tuple[str, str]], cells: Iterable[str]
) -> dict[str, str]:
    """Return the options of a row by their names in small letters, in the order of the columns.

    `columns` are pairs of a column with a name and one with a value, `cells` columns that hold
    both: `color=Red,size=M`. What has no name or no value is left out.
    """
    named = ((inner(values, name), inner(values, value)) for name, value in columns)
    inside = (pair for cell in cells for pair in pairs_of(inner(values, cell)))
    found: dict[str, str] = {}
    for name, value in (*named, *inside):
        if name in (None, "") or value in (None, ""):
            continue
        key, text = _text(name).lower().rstrip(":")[:MAX_NAME], _COLOUR.sub("", _text(value))
        if key and text and NO_OPTION.get(key) != text.lower() and len(found) < MAX_VALUES:
            found.setdefault(key, text)
    return found


def pairs_of(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a cell.

    `color=Red,size=M` (Magento), `Color=Red;Size=M` (eBay), `[RT]Color=Red,[S]Size=M` and
    `Type=Radio|Name=Color|Value=Red` (BigCommerce), `Color:Red:1,Size:M:2` (PrestaShop).
    """
    text = _text(value)[:MAX_TEXT]
    if "=" in text:
        pairs = [part.partition("=") for part in _NEXT_PAIR.split(text)]
        found = [(_KIND.sub("", name.strip()).strip(), value.strip()) for name, _, value in pairs]
        names = [value for name, value in found if name.lower() == "name"]
        several = [value for name, value in found if name.lower() == "value"]
        yield from zip(names, several, strict=False) if names and several else found
        return
    for part in text.split(","):
        name, sign, rest = part.partition(":")
        if sign:
            yield name.strip(), rest.partition(":")[0].strip()


def children_of(value: Any, key: str = "sku") -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the variants that a cell names, with their options.

    `sku=A-S,size=S|sku=A-M,size=M`, as Magento writes `configurable_variations`, or one SKU alone
    (https://experienceleague.adobe.com/en/docs/commerce-admin/systems/data-transfer/import/data-import-complex).
    """
    text = _text(value)
    if text and "=" not in text:
        yield text, {}
    for part in re.split(rf"\|(?={key}=)", text) if text else ():
        pairs = {name.lower(): one for name, one in pairs_of(part)}
        if child := pairs.pop(key, ""):
            yield child, pairs


def _text(value: Any) -> str:
    return str(value).strip() if isinstance(value, str | int | float) and value == value else ""
