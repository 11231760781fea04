"""Writes acts from the log into an archive of Parquet files, by day and bucket of people."""

import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from time import time
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.durable.files import flush, replaced_file
from pipelines.events.erasure import erase_from_archive
from pipelines.events.event_log import LoggedAct, identity, replay
from pipelines.events.kept_act import PURPOSES, KeptAct
from pipelines.live.change_log import LiveError
from pipelines.people.people_ledger import LedgerEntry
from pipelines.shop.archive import (
    BUCKETS,
    INDEX,
    ArchiveIndex,
    Part,
    parts_of,
    read_index,
    whole,
)
from pipelines.shop.schemas import EVENT_SCHEMA
from retrieval import EventType
from retrieval.types import ActLine

ARCHIVE = "archive"  # inside the folder of the log
KEY = "bucket.key"
ACTS_AT_ONCE = 50_000
MOST_PARTS = 8  # of a bucket and day, before they become one
KEPT_SECONDS = 86_400.0  # that a file which is in another one stays, for who reads it now
MICROS = 1_000_000

_INSTANT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        *EVENT_SCHEMA,
        ("key", pa.string()),
        ("line", pa.int32()),
        ("visitor", pa.string()),
        ("order", pa.string()),
        ("price_micros", pa.int64()),
        ("discount_micros", pa.int64()),
        ("value_micros", pa.int64()),
        ("currency", pa.string()),
        ("answer", pa.string()),
        ("list", pa.string()),
        ("filter", pa.string()),
        ("experiment", pa.string()),
        ("release", pa.string()),
        ("stage", pa.string()),
        ("at", _INSTANT),
        ("received_at", _INSTANT),
        ("clamped", pa.bool_()),
        ("sequence", pa.int64()),
    ]
)


class ArchiveWriter:
    """Brings the archive of one log up to date; one process does, one thread at a time.

    Files are written and flushed before the index names their acts, so a process that is killed
    leaves files that nobody reads, and the next write replaces them.
    """

    def __init__(self, log_folder: Path, key_ids: Sequence[str] = ("",)) -> None:
        """Write beside a log; LiveError where none of the keys made the names in the archive."""
        self._source = log_folder
        self._folder = log_folder / ARCHIVE
        self._folder.mkdir(exist_ok=True)
        self._key = _key(self._folder / KEY)
        if not (self._folder / INDEX).exists():
            self._put(ArchiveIndex(key=key_ids[0]))
        if read_index(self._folder).key not in ("", *key_ids):
            raise LiveError(
                f"{self._folder} names its shoppers by another key than people.key; bring that "
                "key back, or add it to the file as a further line"
            )
        self._key_id = key_ids[0]
        self._cut_off = True  # perhaps, by whoever wrote before

    def write(self) -> int:
        """Archive the acts that are new; return the number of the newest that is archived."""
        log, last = identity(self._source)
        index = read_index(self._folder)
        if self._cut_off:
            self._remove_cut_off(index)
        upto = index.logs.get(log, 0)
        acts = replay(self._source, upto, last)
        while part := list(islice(acts, ACTS_AT_ONCE)):
            self._cut_off = True
            for bucket in self._write_part(log, part):
                self._join(bucket, index)
            upto = part[-1].sequence
            logs = {**index.logs, log: upto}
            robots = index.robots + sum(one.kept.robot for one in part)
            index = msgspec.structs.replace(index, logs=logs, key=self._key_id, robots=robots)
            self._put(index)
            self._cut_off = False
        return upto

    def erase(self, entries: Sequence[LedgerEntry]) -> int:
        """Obey the entries of the ledger that are new; return how many rows were removed."""
        index = read_index(self._folder)
        new = [entry for entry in entries[index.erased :] if entry.erased]
        removed = erase_from_archive(self._folder, new) if new else 0
        self._put(msgspec.structs.replace(index, erased=len(entries)))
        return removed

    def _write_part(self, log: str, acts: list[LoggedAct]) -> list[Path]:
        """Write the acts that may be learnt from; return the folders that have a file more."""
        rows: dict[Path, list[dict[str, Any]]] = defaultdict(list)
        for one in acts:
            if "train" in one.kept.purposes and not one.kept.robot:
                rows[self._bucket(one.kept)] += _rows(one)
        name = f"part-{log}-{acts[0].sequence}-{acts[-1].sequence}.parquet"
        for folder, records in rows.items():
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / name, pa.Table.from_pylist(records, SCHEMA))
        for day in {folder.parent for folder in rows}:
            flush(day)
        flush(self._folder)
        return list(rows)

    def _bucket(self, kept: KeptAct) -> Path:
        digest = blake2b(kept.person.encode(), digest_size=8, key=self._key).digest()
        number = int.from_bytes(digest, "big") % BUCKETS
        return self._folder / f"day={kept.local_at:%Y-%m-%d}" / f"bucket={number:02}"

    def _join(self, bucket: Path, index: ArchiveIndex) -> None:
        """Make one file of many; those that it holds are removed once nobody reads them."""
        by_log: dict[str, list[Part]] = defaultdict(list)
        for part in whole(bucket, index):
            by_log[part.log].append(part)
        for log, parts in by_log.items():
            if len(parts) >= MOST_PARTS:
                tables = [pq.read_table(part.path, partitioning=None) for part in parts]
                first, last = parts[0].first, parts[-1].last
                name = f"part-{log}-{first}-{last}.parquet"
                _write(bucket / name, pa.concat_tables(tables))
        old = time() - KEPT_SECONDS
        counted = whole(bucket, index)
        for part in parts_of(bucket):
            in_another = next((one for one in counted if one.holds(part)), None)
            if in_another is not None and in_another.path.stat().st_mtime < old:
                part.path.unlink(missing_ok=True)

    def _remove_cut_off(self, index: ArchiveIndex) -> None:
        """Remove the files of a write that did not come to its end, and drafts of files."""
        for draft in self._folder.glob("day=*/bucket=*/*.draft"):
            draft.unlink()
        for bucket in self._folder.glob("day=*/bucket=*"):
            for part in parts_of(bucket):
                if part.last > index.logs.get(part.log, 0):
                    part.path.unlink()

    def _put(self, index: ArchiveIndex) -> None:
        with replaced_file(self._folder / INDEX) as draft:
            draft.write_bytes(msgspec.json.encode(index))


def _key(path: Path) -> bytes:
    """Return the key of the buckets, made once: nobody can tell a bucket from an id alone."""
    if not path.exists():
        with replaced_file(path) as draft:
            draft.touch(mode=0o600)
            draft.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


def _write(path: Path, table: pa.Table) -> None:
    ordered = table.sort_by([(name, "ascending") for name in ("at", "key", "line")])
    with replaced_file(path) as draft:
        pq.write_table(ordered, draft, compression="zstd")


def _rows(logged: LoggedAct) -> Iterator[dict[str, Any]]:
    """Yield the lines of an act as rows; one that names no product is one row."""
    act = logged.kept.act
    about = _about(logged)
    if not act.lines:
        yield about
    for place, line in enumerate(act.lines):
        yield about | _line(line, place, about["value"])


def _about(logged: LoggedAct) -> dict[str, Any]:
    """Return what all lines of an act share."""
    kept, act = logged.kept, logged.kept.act
    rating = act.type is EventType.RATING and act.value_micros is not None
    same = ("text", "placement", "currency", "answer", "list", "filter", "experiment")
    return {name: getattr(act, name) for name in same} | {
        "type": str(act.type),
        "user": kept.person,
        "session": kept.visit,
        "time": kept.local_at,
        "quantity": 1.0,
        "value": act.value_micros / MICROS if rating and act.value_micros is not None else None,
        "consent": {one: one in kept.purposes for one in PURPOSES},
        "key": kept.key,
        "line": 0,
        "visitor": act.visitor or "",
        "order": act.order,
        "value_micros": act.value_micros,
        "release": act.release,
        "stage": act.stage,
        "at": act.at,
        "received_at": kept.received_at,
        "clamped": kept.clamped,
        "sequence": logged.sequence,
    }


def _line(line: ActLine, place: int, rating: float | None) -> dict[str, Any]:
    """Return what a line says of its own; `value` is what was paid for all its pieces."""
    paid = rating
    if line.price_micros is not None:
        whole_micros = line.price_micros * line.quantity - (line.discount_micros or 0)
        paid = max(whole_micros, 0) / MICROS
    return {
        "line": place,
        "product": line.product,
        "quantity": line.quantity,
        "value": paid,
        "position": line.position,
        "propensity": line.propensity,
        "price_micros": line.price_micros,
        "discount_micros": line.discount_micros,
    }
