"""Erases people from the log of acts, the profiles and the archive, so that no byte is left."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.durable.files import replaced_file
from pipelines.events.event_log import EVENTS
from pipelines.events.kept_act import KeptAct
from pipelines.events.profiles import sqlite_profiles
from pipelines.people.people import VISITOR
from pipelines.people.people_ledger import LedgerEntry
from pipelines.shop.archive import parts_of

CHECKPOINT_SECONDS = 10.0  # in which readers leave a write-ahead log
READ_AT_ONCE = 1 << 24
MARKS = "CREATE TABLE IF NOT EXISTS erased (entries INTEGER NOT NULL)"


def visitors_of(log_folder: Path, archive: Path, users: Iterable[str]) -> set[str]:
    """Return the visitors as whom these users acted, as the log and the archive have them."""
    names = set(users)
    found = {
        kept.act.visitor
        for name in names
        for _, kept in _acts_with(log_folder, name)
        if kept.act.user in names and kept.act.visitor
    }
    value_set = pa.array(sorted(names), pa.string())
    for path in _files(archive):
        table = pq.read_table(path, columns=["user", "visitor"], partitioning=None)
        table = table.filter(pc.is_in(table["user"], value_set=value_set))
        found |= {one for one in table["visitor"].unique().to_pylist() if one}
    return found


def erase_from_log(folder: Path, entries: Sequence[LedgerEntry]) -> int:
    """Remove the acts of people from the log; return how many.

    An act that another user did as one of their visitors stays, without the visitor.
    """
    removed = 0
    with closing(_connect(folder / EVENTS.file)) as log:
        for entry in entries:
            for name in entry.names:
                for sequence, kept in list(_acts_with(folder, name.removeprefix(VISITOR))):
                    removed += _erase_act(log, sequence, kept, entry)
        leave_nothing(log)
    return removed


def erase_from_profiles(folder: Path, entries: Sequence[LedgerEntry]) -> int:
    """Remove the lines of people from the profiles; return how many."""
    removed = 0
    with closing(_connect(folder / sqlite_profiles.FILE)) as profiles:
        for entry in entries:
            upto = round(entry.at.timestamp() * 1_000)
            for name in entry.names:
                who, kept = _column(name)
                nobody = " AND user = ''" if who == "visitor" else ""
                removed += profiles.execute(
                    f"DELETE FROM lines WHERE {who} = ? AND {who} <> '' AND at_ms <= ?{nobody}",
                    (kept, upto),
                ).rowcount
                if who == "visitor":
                    profiles.execute(
                        "UPDATE lines SET visitor = '' WHERE visitor = ? AND visitor <> '' "
                        "AND at_ms <= ?",
                        (kept, upto),
                    )
        leave_nothing(profiles)
    return removed


def erase_from_archive(archive: Path, entries: Sequence[LedgerEntry]) -> int:
    """Write the files that have acts of people anew, without them; return how many rows went."""
    return sum(_erase_from_file(path, entries) for path in _files(archive))


def erased_entries(folder: Path, *, mark: int | None = None) -> int:
    """Return how many entries of the ledger the log has obeyed; `mark` writes down another number.

    It is in the log itself, so that a log that was restored says what it has obeyed.
    """
    with closing(_connect(folder / EVENTS.file)) as log:
        log.execute(MARKS)
        if mark is not None:
            log.execute("BEGIN IMMEDIATE")
            log.execute("DELETE FROM erased")
            log.execute("INSERT INTO erased VALUES (?)", (mark,))
            log.execute("COMMIT")
        rows = log.execute("SELECT entries FROM erased").fetchall()
    return int(rows[0][0]) if rows else 0


def is_found(folder: Path, names: Sequence[str]) -> bool:
    """Tell whether a file of the log or of the profiles holds a name, in any page of it."""
    wanted = [name.removeprefix(VISITOR).encode() for name in names]
    files = (EVENTS.file, sqlite_profiles.FILE)
    paths = [path for file in files for path in folder.glob(f"{file}*")]
    return any(_holds(path, wanted) for path in paths)


def rewrite(folder: Path) -> None:
    """Write the log and the profiles anew, page by page."""
    for file in (EVENTS.file, sqlite_profiles.FILE):
        with closing(_connect(folder / file)) as connection:
            connection.execute("VACUUM")
            leave_nothing(connection)


def _erase_act(log: sqlite3.Connection, sequence: int, kept: KeptAct, entry: LedgerEntry) -> int:
    act = kept.act
    if act.at is not None and act.at > entry.at:
        return 0
    if act.user is None or act.user in entry.names:
        return log.execute("DELETE FROM events WHERE sequence = ?", (sequence,)).rowcount
    others = msgspec.structs.replace(kept, act=msgspec.structs.replace(act, visitor=None))
    log.execute(
        "UPDATE events SET body = ? WHERE sequence = ?", (msgspec.json.encode(others), sequence)
    )
    return 0


def _erase_from_file(path: Path, entries: Sequence[LedgerEntry]) -> int:
    columns = ["user", "visitor", "at"]
    about = pq.read_table(path, columns=columns, partitioning=None)
    gone, unnamed = pa.repeat(False, len(about)), pa.repeat(False, len(about))
    for entry in entries:
        before = pc.less_equal(about["at"], pa.scalar(entry.at, about["at"].type))
        visitors = [kept for who, kept in map(_column, entry.names) if who == "visitor"]
        users = pa.array(list(entry.names), pa.string())
        gone = pc.or_(gone, pc.and_(before, pc.is_in(about["user"], value_set=users)))
        named = pc.is_in(about["visitor"], value_set=pa.array(visitors, pa.string()))
        unnamed = pc.or_(unnamed, pc.and_(before, named))
    if not pc.any(pc.or_(gone, unnamed), min_count=0).as_py():
        return 0
    table = pq.read_table(path, partitioning=None)
    place = table.schema.get_field_index("visitor")
    visitor = pc.if_else(unnamed, "", table["visitor"])
    left = table.set_column(place, table.schema.field(place), visitor).filter(pc.invert(gone))
    with replaced_file(path) as draft:
        pq.write_table(left, draft, compression="zstd")
    return len(table) - len(left)


def _column(name: str) -> tuple[str, str]:
    """Return the column of a person's name, and what it holds."""
    return ("visitor" if name.startswith(VISITOR) else "user"), name.removeprefix(VISITOR)


def _acts_with(folder: Path, name: str) -> Iterator[tuple[int, KeptAct]]:
    """Yield the acts of the log that have a name in them."""
    with closing(_connect(folder / EVENTS.file)) as log:
        rows = log.execute(
            "SELECT sequence, body FROM events WHERE instr(body, CAST(? AS BLOB)) > 0", (name,)
        )
        for sequence, body in rows:
            yield sequence, msgspec.json.decode(body, type=KeptAct)


def _files(archive: Path) -> list[Path]:
    return [p.path for bucket in archive.glob("day=*/bucket=*") for p in parts_of(bucket)]


def _holds(path: Path, wanted: Sequence[bytes]) -> bool:
    longest = max(map(len, wanted), default=1)
    with path.open("rb") as file:
        before = b""
        while block := file.read(READ_AT_ONCE):
            if any(name in before + block for name in wanted):
                return True
            before = block[-longest:]
    return False


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file; what is deleted is overwritten with zeros."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def leave_nothing(connection: sqlite3.Connection) -> None:
    """Empty the write-ahead log, as soon as nobody reads it."""
    end = monotonic() + CHECKPOINT_SECONDS
    while True:
        [[busy, _, _]] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if not busy or monotonic() > end:
            return
        sleep(0.05)
