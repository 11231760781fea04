"""Applies changes over a release that is never touched, and hands out snapshots."""

from collections.abc import Sequence
from threading import Lock

import numpy as np
from jaxtyping import Float32

from pipelines.live.base import Base
from pipelines.live.change_log import Encoded, Logged
from pipelines.live.changes import Change, Delete, RejectedChange, Upsert, cleaned
from pipelines.live.records import Record, edits_of, record_of
from pipelines.live.snapshot import CatalogueSnapshot, Changed, _places
from pipelines.live.store import Store

MOST_REWRITTEN = 100_000  # products with new words, all compared in each search
REMEMBERED_TEXTS = 4_096
SLACK = 1_000  # replaced records and words that are carried along at least
TextVectors = dict[str, Float32[np.ndarray, "t"]]


class Overlay:
    """The changes of a log over one release. One thread applies them, any may take a snapshot."""

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
        self._snapshot: CatalogueSnapshot | None = None

    @property
    def sequence(self) -> int:
        """The number of the newest change that every snapshot from now on shows; 0: none yet."""
        with self._lock:
            return self._sequence

    def snapshot(self) -> CatalogueSnapshot:
        """Return the products as they are now."""
        snapshot = self._snapshot
        if snapshot is None:
            with self._lock:
                snapshot = self._snapshot = self._new_snapshot()
        return snapshot

    def prepare(self, changes: Sequence[Change]) -> list[Encoded | RejectedChange]:
        """Tell which changes can be made, one after the other, with vectors for new texts."""
        there: dict[str, bool] = {}
        checked = [cleaned(change) for change in changes]
        refusals = [
            one if isinstance(one, RejectedChange) else self._refusal(one, there) for one in checked
        ]
        changes = [
            change if isinstance(one, RejectedChange) else one
            for change, one in zip(changes, checked, strict=True)
        ]
        taken = [c for c, refusal in zip(changes, refusals, strict=True) if refusal is None]
        vectors = iter(self._text_vectors(taken))
        return [
            self._written(change, next(vectors)) if refusal is None else refusal
            for change, refusal in zip(changes, refusals, strict=True)
        ]

    def apply(self, logged: Sequence[Logged]) -> None:
        """Make changes that are in the log; from here on every snapshot shows them."""
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
            self._snapshot = None

    def _new_snapshot(self) -> CatalogueSnapshot:
        changed = Changed(
            np.array(sorted(self._gone), np.int64),
            _places(self._record_at),
            _places(self._content_at),
            self._new_rows,
            self._sequence,
        )
        return CatalogueSnapshot(self._base, self._store, changed)

    def _refusal(self, change: Change, there: dict[str, bool]) -> RejectedChange | None:
        """Return why a change cannot be made after those before it, or note what it leaves."""
        known = there.get(change.id)
        if not isinstance(change, Upsert) and not (
            self._holds(change.id) if known is None else known
        ):
            return RejectedChange(404, "id", "is no product of this shop; look at its spelling")
        if isinstance(change, Upsert) and len(self._content_at) + len(there) >= MOST_REWRITTEN:
            return RejectedChange(
                507,
                "product",
                f"is one too many: {MOST_REWRITTEN:,} products have new words since the release "
                "was built; fold them with `vetrina build --live`",
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

        Snapshots go on with the old store meanwhile: only this thread changes anything.
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
            self._snapshot = None
