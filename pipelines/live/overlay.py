"""What changed since a release was built, in memory: records, words and vectors over its rows.

A product of the release keeps its row when it changes, and with it its picture, its habits and its
place for the towers; a new product gets a row behind the last. What the release holds is never
touched.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64

from index import FewDocuments, Found
from index.filters import matching
from pipelines.encode import text_of, words_of
from pipelines.live.changes import Change, Delete, Refusal, Upsert
from pipelines.live.columns import LiveColumns
from pipelines.live.log import Encoded, Logged
from pipelines.live.records import Record, batch_of, edits_of, record_of
from pipelines.parts import Parts
from pipelines.remembered import Remembered
from pipelines.shop import PRODUCT_SCHEMA
from ranking.catalogue_words import ProductText
from retrieval.grown import GrownChannel, Segment, VectorSegment, WordSegment
from retrieval.query_encoder import QueryEncoder
from retrieval.retriever import Channel, Retriever

MOST_REWRITTEN = 100_000  # products with new words, all compared in each search
REMEMBERED_TEXTS = 4_096
REMEMBERED_FILTERS = 256
MOST_LISTS = 64  # that are remembered for their next pages
MOST_LISTED = 2_000_000  # rows in all of them
MOST_CHUNKS = 32
SLACK = 1_000  # replaced records and words that are carried along at least

Masks = dict[str, Bool[np.ndarray, "n"]]
TextVectors = dict[str, Float32[np.ndarray, "t"]]


class Base(NamedTuple):
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
        return text_of(record, self.fields)

    def words(self, record: Record) -> dict[str, str]:
        """Return what of a product is indexed, by field."""
        return {field: text_of(record, (field,)) for field in self.parts.lexical.weights}

    def record(self, row: int) -> Record:
        """Return a product as the release has it."""
        [record] = self.parts.products.records(np.array([row], np.int64))
        return record

    def row_of(self, name: str) -> int | None:
        """Return the row of a product in the release."""
        rows = self.parts.products.rows_of([name]).rows
        return int(rows[0]) if len(rows) else None


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


class View:
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
        self._allowed: Masks = {}
        self.sequence = changed.sequence
        self.columns = LiveColumns(
            base.parts.products, self._table, self._records.of, still=self.still
        )
        self.lists: Remembered[Any] = Remembered(MOST_LISTS, MOST_LISTED)

    @property
    def still(self) -> bool:
        """Whether everything is as it was built."""
        return self.size == self._base.size and not len(self._gone) and not len(self._records.rows)

    @property
    def num_products(self) -> int:
        """How many products there are."""
        return self.size - len(self._gone)

    def allowed(self, text: str) -> Bool[np.ndarray, "n"]:
        """Return which rows pass a filter, or FilterError; products that are gone pass none."""
        found = self._allowed.get(text)
        if found is None:
            if len(self._allowed) >= REMEMBERED_FILTERS:
                self._allowed.clear()
            found = self._allowed[text] = self._pass(text)
        return found

    def rows_of(self, ids: Sequence[str]) -> Found:
        """Return where these products stand, in the order asked, and which are not there."""
        found = self._base.parts.products.rows_of(list(ids))
        if self.still:
            return found
        absent = set(found.missing)
        rows = dict(zip((n for n in ids if n not in absent), found.rows.tolist(), strict=True))
        rows |= {n: row for n in absent if (row := self._new_rows.get(n, self.size)) < self.size}
        gone = set(self._gone.tolist()) if len(self._gone) else set()
        here = {name: row for name, row in rows.items() if row not in gone}
        kept = [here[name] for name in ids if name in here]
        return Found(np.array(kept, np.int64), tuple(name for name in ids if name not in here))

    def records(self, rows: Int64[np.ndarray, "k"]) -> list[Record]:
        """Return these products as dictionaries, in this order."""
        places = self._records.of(rows)
        built = iter(self._base.parts.products.records(rows[places < 0]))
        return [self._held[place] if place >= 0 else next(built) for place in places.tolist()]

    def ids_of(self, rows: Int64[np.ndarray, "k"]) -> list[str]:
        """Return the ids of these rows."""
        if self.still:
            return self._base.parts.products.ids_of(rows)
        return [str(record["id"]) for record in self.records(rows)]

    def vectors(self, rows: Int64[np.ndarray, "k"]) -> Float32[np.ndarray, "k d"]:
        """Return the vectors of these rows in the joined space."""
        places = self._contents.of(rows)
        vectors = np.array(self._base.parts.joined_vectors[np.minimum(rows, self._base.size - 1)])
        vectors[places >= 0] = self._vectors[places[places >= 0]]
        return vectors

    def prices(self, rows: Int64[np.ndarray, "c"]) -> Float32[np.ndarray, "c"]:
        """Return the prices of these rows; 0 where one is unknown."""
        places = self._records.of(rows)
        known = self._base.parts.catalogue.prices[np.minimum(rows, self._base.size - 1)]
        prices = np.array(known, np.float32)
        for i in np.flatnonzero(places >= 0).tolist():
            prices[i] = self._held[places[i]]["price"] or 0.0
        return prices

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
        if self.still:
            return retriever
        fresh = self._fresh()
        segments: dict[str, Segment] = {
            "semantic": VectorSegment(self._contents.rows, self._vectors, self._contents.places),
            "lexical": WordSegment(
                self._contents.rows, self._words, self._count, self._contents.places
            ),
        }

        def grown(channel: Channel) -> Channel:
            segment = segments.get(channel.name)
            return GrownChannel(channel, self._base.size, segment, fresh if segment else None)

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
        chosen = self._base.parts.products.allowed(text)
        if not self.still:
            mask = np.zeros(self.size, bool)
            mask[: self._base.size] = chosen
            mask[self._gone] = False
            mask[self._records.rows] = self._match(text)[self._records.places]
            chosen = mask
        chosen.setflags(write=False)  # others get it, too
        return chosen

    def _match(self, text: str) -> Bool[np.ndarray, "m"]:
        rows = self._table.num_rows
        return matching(self._table, text) if text.strip() and rows else np.ones(rows, bool)


class Store:
    """Records, vectors and words in the order in which they came; nothing in it is changed."""

    def __init__(self, base: Base) -> None:
        self.records: list[Record] = []
        self.vectors = np.empty((64, base.parts.joined_vectors.shape[1]), np.float32)
        self.words = FewDocuments(base.parts.lexical)
        self.stand_ins: dict[int, int] = {}  # by place of a new product's vector
        self._chunks: list[pa.RecordBatch] = []
        self._in_chunks = 0

    @property
    def count(self) -> int:
        """How many vectors there are, and texts as many."""
        return self.words.size

    def add_record(self, record: Record) -> int:
        """Keep a record and return its place."""
        self.records.append(record)
        return len(self.records) - 1

    def add_content(self, words: dict[str, str], vector: Float32[np.ndarray, "d"]) -> int:
        """Keep what is searched and return its place."""
        if self.count == len(self.vectors):
            self.vectors = np.concatenate([self.vectors, np.empty_like(self.vectors)])
        self.vectors[self.count] = vector
        return self.words.add(words)

    def table(self) -> pa.Table:
        """Return all records as a table."""
        fresh = self.records[self._in_chunks :]
        if fresh:
            self._chunks.append(batch_of(fresh))
            self._in_chunks += len(fresh)
        if len(self._chunks) > MOST_CHUNKS:
            whole = pa.Table.from_batches(self._chunks, PRODUCT_SCHEMA)
            self._chunks = whole.combine_chunks().to_batches()
        return pa.Table.from_batches(self._chunks, PRODUCT_SCHEMA)


class Overlay:
    """The changes of a log over one release. One thread applies them, any may take a view."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._store = Store(base)
        self._record_at: dict[int, int] = {}  # row: place
        self._content_at: dict[int, int] = {}
        self._gone: set[int] = set()
        self._new_rows: dict[str, int] = {}
        self._encoded: TextVectors = {}
        self._sequence = 0
        self._lock = Lock()
        self._view: View | None = None

    def view(self) -> View:
        """Return the products as they are now."""
        view = self._view
        if view is None:
            with self._lock:
                view = self._view = self._look()
        return view

    def prepare(self, changes: Sequence[Change]) -> list[Encoded | Refusal]:
        """Tell which changes can be made, one after the other, with vectors for new texts."""
        there: dict[str, bool] = {}
        refusals = [self._refusal(change, there) for change in changes]
        taken = [c for c, refusal in zip(changes, refusals, strict=True) if refusal is None]
        vectors = iter(self._text_vectors(taken))
        return [
            self._written(change, next(vectors)) if refusal is None else refusal
            for change, refusal in zip(changes, refusals, strict=True)
        ]

    def apply(self, logged: Sequence[Logged]) -> None:
        """Make changes that are in the log; from here on every view shows them."""
        mine = self._base.made_by
        foreign = [one.vector is None or one.encoder != mine for one in logged]
        made = iter(
            self._text_vectors([o.change for o, f in zip(logged, foreign, strict=True) if f])
        )
        vectors = [next(made) if f else o.vector for o, f in zip(logged, foreign, strict=True)]
        self._tidy()
        with self._lock:
            for one, vector in zip(logged, vectors, strict=True):
                self._make(one.change, vector)
                self._sequence = one.sequence
            self._view = None

    def _look(self) -> View:
        changed = Changed(
            np.array(sorted(self._gone), np.int64),
            _places(self._record_at),
            _places(self._content_at),
            self._new_rows,
            self._sequence,
        )
        return View(self._base, self._store, changed)

    def _refusal(self, change: Change, there: dict[str, bool]) -> Refusal | None:
        """Return why a change cannot be made after those before it, or note what it leaves."""
        known = there.get(change.id)
        if not isinstance(change, Upsert) and not (
            self._holds(change.id) if known is None else known
        ):
            return Refusal(404, "id", "is no product of this shop; look at its spelling")
        if isinstance(change, Upsert) and len(self._content_at) + len(there) >= MOST_REWRITTEN:
            return Refusal(
                507,
                "product",
                f"is one too many: {MOST_REWRITTEN:,} products have changed since the release was "
                "built; fold them with `vetrina build --live`",
            )
        there[change.id] = not isinstance(change, Delete)
        return None

    def _holds(self, name: str) -> bool:
        row = self._row(name)
        return row is not None and row not in self._gone

    def _row(self, name: str) -> int | None:
        row = self._base.row_of(name)
        return self._new_rows.get(name) if row is None else row

    def _written(self, change: Change, vector: Float32[np.ndarray, "t"] | None) -> Encoded:
        return Encoded(change, vector, "" if vector is None else self._base.made_by)

    def _text_vectors(self, changes: Sequence[Change]) -> list[Float32[np.ndarray, "t"] | None]:
        """Return the vector of each text that the release does not have for that product."""
        texts = [self._new_text(change) for change in changes]
        asked = dict.fromkeys(text for text in texts if text is not None)
        missing = [text for text in asked if text not in self._encoded]
        fresh = (
            dict(zip(missing, self._base.encoder.titles(missing), strict=True)) if missing else {}
        )
        found = [None if t is None else fresh.get(t, self._encoded.get(t)) for t in texts]
        if len(self._encoded) + len(fresh) > REMEMBERED_TEXTS:
            self._encoded.clear()
        self._encoded |= dict(list(fresh.items())[:REMEMBERED_TEXTS])
        return found

    def _new_text(self, change: Change) -> str | None:
        if not isinstance(change, Upsert):
            return None
        text, row = self._base.text(record_of(change)), self._base.row_of(change.id)
        return None if row is not None and self._base.text(self._base.record(row)) == text else text

    def _make(self, change: Change, vector: Float32[np.ndarray, "t"] | None) -> None:
        row = self._row(change.id)
        if isinstance(change, Upsert):
            if row is None:
                row = self._new_rows[change.id] = self._base.size + len(self._new_rows)
            self._gone.discard(row)
            self._rewrite(row, record_of(change), vector)
        elif row is None or row in self._gone:
            return  # a change of a product that this release does not have
        elif isinstance(change, Delete):
            self._gone.add(row)
            self._record_at.pop(row, None)
            self._content_at.pop(row, None)
        else:
            record = {**self._record(row), **edits_of(change)}
            self._record_at[row] = self._store.add_record(record)

    def _rewrite(self, row: int, record: Record, vector: Float32[np.ndarray, "t"] | None) -> None:
        """Put a record into the place of a row's, and its words and vector where they are new."""
        self._record_at[row] = self._store.add_record(record)
        words = self._base.words(record)
        if vector is None and words == self._base.words(self._base.record(row)):
            self._content_at.pop(row, None)
            return
        self._content_at[row] = self._store.add_content(words, self._joined(row, vector))

    def _joined(
        self, row: int, vector: Float32[np.ndarray, "t"] | None
    ) -> Float32[np.ndarray, "d"]:
        if vector is None:
            return np.asarray(self._base.parts.joined_vectors[row])
        pictures = self._base.parts.picture_vectors
        seen = None if pictures is None or row >= self._base.size else np.asarray(pictures[row])
        return self._base.encoder.joined(vector, seen)

    def _record(self, row: int) -> Record:
        place = self._record_at.get(row)
        return self._base.record(row) if place is None else self._store.records[place]

    def _tidy(self) -> None:
        """Leave behind what was replaced, once that is more than what is not.

        Views go on with the old store meanwhile: only this thread changes anything.
        """
        old = self._store
        if (
            len(old.records) <= 2 * len(self._record_at) + SLACK
            and old.count <= 2 * len(self._content_at) + SLACK
        ):
            return
        new = Store(self._base)
        contents = {
            row: new.add_content(self._base.words(self._record(row)), old.vectors[place])
            for row, place in self._content_at.items()
        }
        records = {row: new.add_record(old.records[at]) for row, at in self._record_at.items()}
        with self._lock:
            self._store, self._record_at, self._content_at = new, records, contents
            self._view = None


def _places(place_of: dict[int, int]) -> Places:
    rows = np.fromiter(place_of.keys(), np.int64, len(place_of))
    places = np.fromiter(place_of.values(), np.int64, len(place_of))
    order = np.argsort(rows)
    return Places(rows[order], places[order])
