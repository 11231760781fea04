"""Finds the columns of a file by the names that an exporter gives them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

# What stands before a name where objects of JSON were written as columns: `items.item_id`.
OUTER = (
    "item",
    "items",
    "product",
    "products",
    "properties",
    "event",
    "ecommerce.items",
    "payload",
)
WHOLE = "/"  # before a name that is looked for in a row, and not in the objects inside it
MOST_NUMBERS = 40  # that stand for {n}
PATTERNS = {"{any}": "(.+)", "{currency}": "([A-Za-z]{3})"}


class Header:
    """The columns of a file, and those that were asked for and are there."""

    def __init__(
        self,
        columns: tuple[str, ...],
        names: Mapping[str, tuple[str, ...]],
        *,
        nested: bool = False,
    ) -> None:
        """Prepare for a file of these columns; `nested` where they hold objects of JSON."""
        self.found: dict[str, None] = {}  # in the order in which they were asked for
        self.currency = ""  # of a column such as price-EUR
        self._columns = dict.fromkeys(columns)
        self._names = names
        self._nested = nested
        self._by_key: dict[str, str] = {}
        for column in columns:
            if not column.startswith("@"):  # JSON-LD says by those what an object is
                self._by_key.setdefault(plain(column), column)
        for column in columns:
            outer, _, name = column.rpartition(".")
            if outer.lower() in OUTER:
                self._by_key.setdefault(plain(name), column)

    def one(self, name: str) -> str:
        """Return the first column of this name, or of another that means it; "" if none is."""
        return next(iter(self.several(name)), "")

    def several(self, name: str) -> list[str]:
        """Return all columns that a name with `{n}` stands for; at most one for other names."""
        for alike in (name, *self._names.get(name, ())):
            columns = [column for one in self._numbered(alike) if (column := self._exact(one))]
            if columns:
                self.found |= dict.fromkeys(column.removeprefix(WHOLE) for column in columns)
                return list(dict.fromkeys(columns))
        return []

    def pairs(self, first: str, second: str) -> list[tuple[str, str]]:
        """Return the columns of two names with the same number for `{n}`, where both are."""
        found = []
        for number in range(MOST_NUMBERS):
            names = [self._at(name, number) for name in (first, second)]
            if all(names):
                found.append((names[0], names[1]))
        self.found |= dict.fromkeys(name for pair in found for name in pair)
        return list(dict.fromkeys(found))

    def all_like(self, pattern: str) -> list[tuple[str, str]]:
        """Return what stands for `{any}` in the columns of a pattern, with the column."""
        start, _, end = pattern.partition("{any}")
        found = [
            (column[len(start) : len(column) - len(end)], column)
            for column in self._columns
            if column.startswith(start) and column.endswith(end) and len(column) > len(pattern) - 5
        ]
        self.found |= dict.fromkeys(column for _, column in found)
        return found

    def _at(self, name: str, number: int) -> str:
        alike = (name, *self._names.get(name, ()))
        columns = (self._exact(one.replace("{n}", str(number))) for one in alike)
        return next(filter(None, columns), "")

    def _numbered(self, name: str) -> Iterable[str]:
        if "{n}" not in name:
            return (name,)
        return (name.replace("{n}", str(number)) for number in range(MOST_NUMBERS))

    def _exact(self, name: str) -> str:
        if name in self._columns:
            return name
        if name.startswith(WHOLE):
            column = self._exact(name.removeprefix(WHOLE))
            return WHOLE + column if column and self._nested else column
        if any(pattern in name for pattern in PATTERNS):
            return self._matching(name)
        if self._nested and "." in name and name.partition(".")[0] in self._columns:
            return name
        return self._by_key.get(plain(name), "")

    def _matching(self, name: str) -> str:
        pattern = re.escape(name)
        for sign, expression in PATTERNS.items():
            pattern = pattern.replace(re.escape(sign), expression)
        for column in self._columns:
            if found := re.fullmatch(pattern, column, re.IGNORECASE):
                self.currency = found[1].upper() if "{currency}" in name else self.currency
                return column
        return ""


def plain(name: str) -> str:
    """Return a name as people write it alike: `instock` for `In stock?` and `in_stock`."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(letter for letter in letters if letter.isalnum())
    return kept or name
