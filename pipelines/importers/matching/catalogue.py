"""The ids of a shop's products, by all fields that a log may name them by."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.importers.matching.forms import plain

FIELDS = ("id", "sku", "gtin", "mpn", "group")
CODES = {
    "sku": "sku", "gtin": "gtin", "ean": "gtin", "upc": "gtin", "barcode": "gtin", "isbn": "gtin",
    "mpn": "mpn",
}  # fmt: skip
_NAMES = pa.array(list(CODES))


class Hit(NamedTuple):
    """The product that has a value in a field: the first one, and whether others have it, too."""

    product: int
    value: str
    several: bool = False


class Catalogue:
    """The ids, codes and groups of products, as Arrow arrays: some 100 bytes a product."""

    def __init__(self) -> None:
        self._ids: list[pa.Array] = []
        self._values: list[tuple[str, pa.Array, np.ndarray]] = []  # a field, with products' numbers
        self._size = 0

    def add(self, products: pa.Table) -> None:
        """Take products as they are written to a shop."""
        numbers = np.arange(self._size, self._size + products.num_rows)
        ids = products["id"].combine_chunks()
        self._ids.append(ids)
        self._size += products.num_rows
        self._values.append(("id", ids, numbers))
        groups = products["item_group_id"].combine_chunks()
        grouped = np.asarray(pc.not_equal(groups, ""))
        self._values.append(("group", groups.filter(pa.array(grouped)), numbers[grouped]))
        self._add_codes(products["attributes"].combine_chunks(), int(numbers[0]) if len(ids) else 0)

    def _add_codes(self, attributes: pa.MapArray, first: int) -> None:
        offsets = np.asarray(attributes.offsets)
        base = int(offsets[0]) if len(offsets) else 0
        names = attributes.keys.slice(base, int(offsets[-1]) - base if len(offsets) else 0)
        places = np.flatnonzero(np.asarray(pc.is_in(names, value_set=_NAMES)))
        owners = np.searchsorted(offsets, places + base, side="right") - 1 + first
        values = attributes.items.take(pa.array(places + base))
        fields = np.array([CODES[name] for name in names.take(pa.array(places)).to_pylist()], str)
        for field in dict.fromkeys(fields.tolist()):
            mine = fields == field
            self._values.append((field, values.filter(pa.array(mine)), owners[mine]))

    def id_of(self, product: int) -> str:
        """Return the id of a product by its number."""
        for ids in self._ids:
            if product < len(ids):
                return str(ids[product])
            product -= len(ids)
        raise IndexError(product)

    def hits(
        self, exact: Collection[str], keys: Collection[str]
    ) -> tuple[dict[tuple[str, str], Hit], dict[tuple[str, str], Hit]]:
        """Return which products have values, by field and value, and by field and plain form."""
        by_value: dict[tuple[str, str], Hit] = {}
        by_key: dict[tuple[str, str], Hit] = {}
        for field, value, product in self._all():
            if value in exact:
                _put(by_value, (field, value), Hit(product, value))
            key = plain(value)
            if key in keys:
                _put(by_key, (field, key), Hit(product, value))
        return by_value, by_key

    def _all(self) -> Iterator[tuple[str, str, int]]:
        for field, values, owners in self._values:
            for value, product in zip(values.to_pylist(), owners.tolist(), strict=True):
                if value:
                    yield field, value, product


def _put(hits: dict[tuple[str, str], Hit], place: tuple[str, str], hit: Hit) -> None:
    known = hits.setdefault(place, hit)
    if known.product != hit.product and not known.several:
        hits[place] = known._replace(several=True)
