"""The base of live changes: the parts of a release, and the encoder of new products."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import msgspec
import numpy as np

from pipelines.live.records import Record
from pipelines.release.parts import Parts
from pipelines.shop.product_text import encoded_text
from pipelines.shop.searched_text import searched_text
from retrieval.encoders.query import QueryEncoder
from retrieval.types import Product

CACHED_PRODUCTS = 16_384  # of the release; what sells is shown again and again


@dataclass(frozen=True)
class Base:
    """What a release knows of its products, and who reads new ones."""

    parts: Parts
    encoder: QueryEncoder
    fingerprint: str  # of the text encoder
    fields: tuple[str, ...]  # that are encoded

    @property
    def made_by(self) -> str:
        """Return what a vector in the log is known by: of which fields, and by which encoder."""
        return f"{self.fingerprint} {','.join(self.fields)}"

    @property
    def size(self) -> int:
        """How many rows the release has."""
        return self.parts.products.size

    def text(self, record: Record) -> str:
        """Return what of a product is encoded."""
        return encoded_text(record, self.fields)

    def words(self, record: Record) -> dict[str, str]:
        """Return what of a product is indexed, by field."""
        return searched_text(record, self.parts.lexical.weights)

    def record(self, row: int) -> Record:
        """Return a product as the release has it."""
        [record] = self.parts.products.records(np.array([row], np.int64))
        return record

    @cached_property
    def product(self) -> Callable[[int], Product]:
        """Return what looks a product of the release up by its row."""
        return lru_cache(CACHED_PRODUCTS)(lambda row: product_of(self.record(row)))

    def row_of(self, name: str) -> int | None:
        """Return the row of a product in the release."""
        rows = self.parts.products.rows_of([name]).rows
        return int(rows[0]) if len(rows) else None


def product_of(record: Record) -> Product:
    """Return a record as a product; what it does not say has its default."""
    known = {name: value for name, value in record.items() if value is not None}
    return msgspec.convert(known, Product)
