"""Finds the product that an order means by the name that it shows, where it names no id."""

import html
import re
from collections.abc import Container
from typing import Any, NamedTuple

from pipelines.importers.values.texts import MAX_CHARACTERS, id_of, text_of
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks

BY_NAME = "products are found by the name that the log shows"
BY_GROUP = "names of the log say no variant that there is: the first variant of the product counts"
BY_NOBODY = "names of the log are of no product, or of several, and stand as they are"
MOST_TEXT = 2_000
_SEPARATOR = re.compile(r"\s*[/,]\s*|\s+")
DASH = " - "


class KnownName(NamedTuple):
    """A product and the names by which an order may show it."""

    id: str
    title: str  # without its options
    options: tuple[str, ...]  # their values, in the order of the columns
    shown: str  # the title as imported


class ProductNames:
    """The names of the products of a shop; about 300 bytes for each."""

    def __init__(self, ids: Container[str] = frozenset()) -> None:
        """Prepare for products of these ids, which grow as they are imported."""
        self._ids = ids
        self._products: dict[str, str] = {}  # "" where several have the name
        self._groups: dict[str, str] = {}  # title: first variant
        self._group_of: dict[str, str] = {}  # title: what tells groups of one title apart

    def add(self, one: KnownName, group: str) -> None:
        """Take in a product; `group` is what its variants have in common, "" for one alone."""
        whole = DASH.join(filter(None, (one.title, " / ".join(one.options))))
        for name in dict.fromkeys((_key(whole), _key(one.shown))):
            known = self._products.setdefault(name, one.id)
            self._products[name] = one.id if known == one.id else ""
        title = _key(one.title)
        first = self._group_of.setdefault(title, group or one.id) == (group or one.id)
        self._groups[title] = self._groups.get(title, one.id) if first else ""

    def product_of(self, value: Any, name: Any, line: int, remarks: Remarks) -> str | None:
        """Return the id of the product that a row means; None where it names none.

        The id that the row has goes first where the shop has it. Orders of Shopify show
        `Title - Option / Option`; what is no variant counts for the first of its product.
        """
        own = None if value is None else id_of(value, "product")
        text = text_of(name, "name", at_most=MOST_TEXT) if isinstance(name, str) else ""
        if not text or own in self._ids:
            return own
        found, how = self._find(text)
        if not found and own:
            return own
        remarks.add(how, line, f"{shown(text)} is {found}" if found else shown(text))
        return found or id_of(text[: MAX_CHARACTERS["id"]], "product")

    def _find(self, text: str) -> tuple[str, str]:
        if found := self._products.get(_key(text)):
            return found, BY_NAME
        parts = text.split(DASH)
        for length in range(len(parts), 0, -1):
            if found := self._groups.get(_key(DASH.join(parts[:length]))):
                return found, BY_GROUP
        return "", BY_NOBODY


def _key(name: str) -> str:
    return _SEPARATOR.sub(" ", html.unescape(name).casefold()).strip()
