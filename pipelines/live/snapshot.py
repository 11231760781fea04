"""The products as they are at one moment: a release with the changes so far."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import RowLookup
from index.columns.bounded_cache import BoundedCache
from index.columns.filter_masks import matching
from pipelines.live.base import Base, product_of
from pipelines.live.overlay_columns import LiveColumns
from pipelines.live.records import Record
from pipelines.live.store import Store
from pipelines.shop.product_text import words_of
from ranking.features.catalogue_words import ProductText
from ranking.features.request import Now
from retrieval.channels.overlaid import (
    OverlaidChannel,
    OverlaidWordChannel,
    VectorSegment,
    WordSegment,
)
from retrieval.channels.types import Channel, WordChannel
from retrieval.retriever import Retriever
from retrieval.types import Product

REMEMBERED_FILTERS = 256
MASK_BYTES = 1 << 28  # of all remembered masks, a byte a product
MOST_LISTS = 64  # that are remembered for their next pages
MOST_LISTED = 2_000_000  # rows in all of them
Mask = Bool[np.ndarray, "n"]


class Places(NamedTuple):
    """Rows, ascending, and where what belongs to each stands."""

    rows: Int64[np.ndarray, "m"]
    places: Int64[np.ndarray, "m"]

    def of(self, rows: Int64[np.ndarray, "c"]) -> Int64[np.ndarray, "c"]:
        """Return the place of each row; -1 where it has none."""
        if not len(self.rows):
            return np.full(len(rows), -1, np.int64)
        at = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        return np.where(self.rows[at] == rows, self.places[at], -1)


class Changed(NamedTuple):
    """Which rows are not as the release has them."""

    gone: Int64[np.ndarray, "g"]  # ascending
    records: Places  # in a store
    contents: Places
    new_rows: dict[str, int]  # by id, behind those of the release
    sequence: int = 0  # the number of the newest change


class CatalogueSnapshot:
    """The products as they are at one moment; what changes later does not change it."""

    def __init__(self, base: Base, store: "Store", changed: Changed) -> None:
        self.size = base.size + len(changed.new_rows)
        self._base = base
        self._gone = changed.gone
        self._records = changed.records
        self._contents = changed.contents
        self._table = store.table()
        self._held = store.records
        self._vectors = store.vectors[: store.count]
        self._words = store.words
        self._count = store.count
        self._stand_ins = store.stand_ins
        self._new_rows = changed.new_rows
        self._allowed: BoundedCache[Mask] = BoundedCache(REMEMBERED_FILTERS, MASK_BYTES)
        self.sequence = changed.sequence
        self.columns = LiveColumns(
            base.parts.products, self._table, self._records.of, still=self.unchanged
        )
        self.lists: BoundedCache[Any] = BoundedCache(MOST_LISTS, MOST_LISTED)

    @property
    def unchanged(self) -> bool:
        """Whether everything is as it was built."""
        return self.size == self._base.size and not len(self._gone) and not len(self._records.rows)

    @property
    def num_products(self) -> int:
        """How many products there are."""
        return self.size - len(self._gone)

    def allowed(self, text: str) -> Bool[np.ndarray, "n"]:
        """Return which rows pass a filter, or FilterError; products that are gone pass none."""
        return self._allowed.of(text, lambda: self._pass(text), lambda mask: mask.nbytes)

    def rows_of(self, ids: Sequence[str]) -> RowLookup:
        """Return where these products stand, in the order asked, and which are not there."""
        found = self._base.parts.products.rows_of(list(ids))
        if self.unchanged:
            return found
        absent = set(found.missing)
        rows = dict(zip((n for n in ids if n not in absent), found.rows.tolist(), strict=True))
        rows |= {n: row for n in absent if (row := self._new_rows.get(n, self.size)) < self.size}
        gone = set(self._gone.tolist()) if len(self._gone) else set()
        here = {name: row for name, row in rows.items() if row not in gone}
        kept = [here[name] for name in ids if name in here]
        return RowLookup(np.array(kept, np.int64), tuple(name for name in ids if name not in here))

    def records(self, rows: Int64[np.ndarray, "k"]) -> list[Record]:
        """Return these products as dictionaries, in this order."""
        places = self._records.of(rows)
        built = iter(self._base.parts.products.records(rows[places < 0]))
        return [self._held[place] if place >= 0 else next(built) for place in places.tolist()]

    def products(self, rows: Int64[np.ndarray, "k"]) -> list[Product]:
        """Return these products, in this order."""
        places = self._records.of(rows).tolist()
        return [
            product_of(self._held[place]) if place >= 0 else self._base.product(row)
            for row, place in zip(rows.tolist(), places, strict=True)
        ]

    def ids_of(self, rows: Int64[np.ndarray, "k"]) -> list[str]:
        """Return the ids of these rows."""
        if self.unchanged:
            return self._base.parts.products.ids_of(rows)
        return [str(record["id"]) for record in self.records(rows)]

    def vectors(self, rows: Int64[np.ndarray, "k"]) -> Float32[np.ndarray, "k d"]:
        """Return the vectors of these rows in the joined space."""
        places = self._contents.of(rows)
        vectors = np.array(self._base.parts.joined_vectors[np.minimum(rows, self._base.size - 1)])
        vectors[places >= 0] = self._vectors[places[places >= 0]]
        return vectors

    def rewritten(self, rows: Int64[np.ndarray, "c"]) -> dict[int, ProductText]:
        """Return the texts of those of these rows that the release has not, by place among them."""
        places = np.flatnonzero(self._contents.of(rows) >= 0)
        records = self.records(rows[places])
        return dict(zip(places.tolist(), map(words_of, records), strict=True))

    def known_rows(self, rows: Int64[np.ndarray, "c"]) -> Int64[np.ndarray, "c"]:
        """Return these rows, in place of each new one the product that is most like it."""
        new = rows >= self._base.size
        if not new.any():
            return rows
        places = self._contents.of(rows[new])
        unknown = np.array([p for p in places.tolist() if p not in self._stand_ins], np.int64)
        if len(unknown):
            found = self._base.parts.joined_index.search(self._vectors[unknown], 1)
            for place, hits in zip(unknown.tolist(), found, strict=True):
                self._stand_ins[place] = int(hits.rows[0])
        rows = rows.copy()
        rows[new] = [self._stand_ins[place] for place in places.tolist()]
        return rows

    def over(self, retriever: Retriever) -> Retriever:
        """Return the first stage as it answers at this moment."""
        if self.unchanged:
            return retriever
        fresh = self._fresh()
        changed = self._contents
        vectors = VectorSegment(changed.rows, self._vectors, changed.places)
        words = WordSegment(changed.rows, self._words, self._count, changed.places)

        def grown(channel: Channel) -> Channel:
            if isinstance(channel, WordChannel):
                size = self._base.size
                return OverlaidWordChannel(channel, size, words, fresh, num_rows=self.size)
            segment = vectors if channel.name == "semantic" else None
            return OverlaidChannel(channel, self._base.size, segment, fresh if segment else None)

        return retriever.over(grown)

    def _fresh(self) -> Bool[np.ndarray, "n"] | None:
        """Return which rows have the words of the release; None: all."""
        stale = self._contents.rows[self._contents.rows < self._base.size]
        if not len(stale):
            return None
        fresh = np.ones(self._base.size, bool)
        fresh[stale] = False
        return fresh

    def _pass(self, text: str) -> Bool[np.ndarray, "n"]:
        chosen = self._base.parts.products.allowed(text, self._table)
        if not self.unchanged:
            mask = np.zeros(self.size, bool)
            mask[: self._base.size] = chosen
            mask[self._gone] = False
            mask[self._records.rows] = self._match(text)[self._records.places]
            chosen = mask
        chosen.setflags(write=False)  # others get it, too
        return chosen

    def _match(self, text: str) -> Bool[np.ndarray, "m"]:
        rows = self._table.num_rows
        if not text.strip() or not rows:
            return np.ones(rows, bool)
        return matching(self._table, text, strict=False)


def _places(place_of: dict[int, int]) -> Places:
    rows = np.fromiter(place_of.keys(), np.int64, len(place_of))
    places = np.fromiter(place_of.values(), np.int64, len(place_of))
    order = np.argsort(rows)
    return Places(rows[order], places[order])


def now_of(
    view: CatalogueSnapshot, rows: Int64[np.ndarray, "c"], known: Int64[np.ndarray, "c"]
) -> Now | None:
    """Return what changed of these rows, the tables' rows being `known`; None: nothing can have."""
    if view.unchanged:
        return None
    return Now(known, known != rows, view.rewritten(rows))
