"""What may be read of a shop's people: what silence means, and who withdrew or was erased."""

from collections.abc import Sequence
from datetime import tzinfo

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.config.sections import ConsentConfig
from pipelines.config.zones import local_time
from pipelines.people.people import People, names_of_stored
from pipelines.people.people_ledger import PURPOSES

_SECOND = pa.timestamp("s")


class Permission:
    """Leaves out acts that their shoppers withdrew from learning, and fills in unset consent."""

    def __init__(self, people: People | None, unset: ConsentConfig, zone: tzinfo) -> None:
        self._people = people
        self._unset = unset
        self._zone = zone
        self._ends: tuple[pa.Array, pa.Array] | None = None  # users, and until when nothing counts

    @property
    def has_entries(self) -> bool:
        """Whether anybody withdrew anything, so that `know` has to be called."""
        return self._people is not None and bool(self._people.ledger.entries)

    @property
    def mark(self) -> bytes:
        """What tells one permission from another; empty where everything may be read."""
        entries = () if self._people is None else self._people.ledger.entries
        if not entries and self._unset == ConsentConfig():
            return b""
        return msgspec.json.encode((entries, self._unset))

    def know(self, users: pa.Array) -> None:
        """Find which of these users the ledger has, so that `acts` leaves out theirs."""
        ended: dict[str, object] = {}
        if self._people is not None and (entries := self._people.ledger.entries):
            ledger, own = self._people.ledger, users.to_pylist()
            names = dict.fromkeys(name for entry in entries for name in entry.names)
            stored: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in names]
            kept = self._people.names
            stored += [(user, names_of_stored(kept, user)) for user in own]
            for user, known_as in stored:
                end = ledger.end_of("train", known_as)
                if end is not None:
                    ended[user] = local_time(end, self._zone).replace(microsecond=0)
        self._ends = (
            pa.array(list(ended), pa.string()),
            pa.array(list(ended.values()), _SECOND),
        )

    def acts(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the acts that may be learnt from; nobody withdrew whom `know` was not told of.

        `batch` has the columns `user` and `time`, and perhaps `consent`.
        """
        if self._ends is not None and len(self._ends[0]):
            users, ends = self._ends
            end = pc.take(ends, pc.index_in(batch.column("user"), value_set=users))
            over = pc.less_equal(batch.column("time").cast(_SECOND), end)
            batch = batch.filter(pc.invert(pc.fill_null(over, False)))
        return self._filled(batch)

    def users(self, table: pa.Table) -> pa.Table:
        """Return the users who are not erased."""
        if self._people is not None and self._people.ledger.entries:
            people = self._people
            erased = [
                people.ledger.erased_at(people.names.users(one)) is not None
                for one in table["id"].to_pylist()
            ]
            table = table.filter(pa.array([not one for one in erased], pa.bool_()))
        batches: Sequence[pa.RecordBatch] = [self._filled(one) for one in table.to_batches()]
        return pa.Table.from_batches(batches, table.schema)

    def _filled(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch in which unset consent says what it means."""
        place = batch.schema.get_field_index("consent")
        if place < 0:
            return batch
        consent = batch.column(place)
        filled = [
            pc.fill_null(pc.struct_field(consent, one), getattr(self._unset, one) == "granted")
            for one in PURPOSES
        ]
        whole = pa.StructArray.from_arrays(filled, PURPOSES)
        return batch.set_column(place, batch.schema.field(place), whole)
