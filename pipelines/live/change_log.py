"""The durable log of changes: SQLite, one thread that writes, one flush for many that wait."""

import fcntl
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import IO, NamedTuple

import numpy as np
from jaxtyping import Float32

from pipelines.durable import flush
from pipelines.errors import UserError
from pipelines.live.changes import (
    LARGEST_CHANGE,
    Change,
    RejectedChange,
    read_change,
    too_large,
    written,
)

FORMAT = 1
OURS = 0x56_4C_4F_47  # "VLOG", so that nobody else's database is taken for a log
FILE = "changes.sqlite"
LOCK = ".lock"
MOST_IN_GROUP = 1_000  # changes that share a flush
MOST_BYTES = 8 << 30  # of the database; past it changes are refused
READ_AT_ONCE = 1_000
SCHEMA = """
CREATE TABLE changes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL,
    vector BLOB,
    encoder TEXT NOT NULL
);
CREATE TABLE about (id TEXT NOT NULL);
"""


class LiveError(UserError):
    """A log of changes that cannot be used; names its folder."""


class Encoded(NamedTuple):
    """A change that may be written, with the vector of its text where it brings a new one."""

    change: Change
    vector: Float32[np.ndarray, "t"] | None = None
    encoder: str = ""  # fingerprint of what made the vector


class Logged(NamedTuple):
    """A change as it lies in the log."""

    sequence: int
    change: Change
    vector: Float32[np.ndarray, "t"] | None
    encoder: str


Outcome = int | RejectedChange  # its sequence number, or why it was not taken
Prepare = Callable[[Sequence[Change]], Sequence[Encoded | RejectedChange]]
Apply = Callable[[Sequence[Logged]], None]


def as_they_are(changes: Sequence[Change]) -> Sequence[Encoded | RejectedChange]:
    """Take every change, without a vector."""
    return [Encoded(change) for change in changes]


def nobody(_: Sequence[Logged]) -> None:
    """Tell nobody what was written."""


class _Waiting(NamedTuple):
    changes: Sequence[Change]
    outcome: "Future[list[Outcome]]"


class _Subscription(NamedTuple):
    """Something that is done between two groups of changes."""

    work: Callable[[], None]
    done: "Future[None]"


class ChangeLog:
    """Changes in the order of their sequence numbers; one process writes, any may read.

    What `append` returned is on the disk. Appends that wait at the same time share one
    transaction, so a flush is paid once for all of them.
    """

    def __init__(
        self,
        folder: Path,
        lock: IO[bytes],
        *,
        prepare: Prepare = as_they_are,
        apply: Apply = nobody,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.folder = folder
        self._lock = lock
        self._prepare = prepare
        self._told: tuple[Apply, ...] = (apply,)
        self._most_bytes = most_bytes
        self._closing = Lock()
        self._closed = False
        self._queue: SimpleQueue[_Waiting | _Subscription | None] = SimpleQueue()
        self._aside: _Subscription | None = None  # a turn that comes behind the group in work
        self.id, self._last = _identity(folder)
        self._thread = Thread(target=self._write, name="change log", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        prepare: Prepare = as_they_are,
        apply: Apply = nobody,
        most_bytes: int = MOST_BYTES,
    ) -> "ChangeLog":
        """Open the log of a folder to write, or begin one; LiveError where another process does.

        `prepare` decides which changes are taken, before they are written; `apply` is told what
        was, before `append` returns. Both are called in one thread, in the order of the log.
        """
        lock = _locked(folder)
        try:
            _begin(folder)
            return cls(folder, lock, prepare=prepare, apply=apply, most_bytes=most_bytes)
        except sqlite3.Error as e:
            lock.close()
            raise _unfit(folder, e) from None
        except LiveError:
            lock.close()
            raise

    @property
    def last(self) -> int:
        """The sequence number of the newest change; 0 before the first."""
        return self._last

    def append(self, changes: Sequence[Change]) -> list[Outcome]:
        """Return for each change its sequence number, once it is on the disk, or a refusal."""
        return self.submit(changes).result()

    def submit(self, changes: Sequence[Change]) -> "Future[list[Outcome]]":
        """Return at once what `append` returns, to come."""
        waiting = _Waiting(changes, Future())
        self._put(waiting)
        return waiting.outcome

    def subscribe(self, prepare: Prepare, apply: Apply, after: int) -> None:
        """Let another `prepare` decide from here on, and tell another `apply`, too.

        `apply` is told at once of what came after number `after`. It happens between two changes,
        so it is told of each once, and in order. Who was told before is told on, until `leave`.
        """
        turn = _Subscription(partial(self._subscribe, prepare, apply, after), Future())
        self._put(turn)
        turn.done.result()

    def unsubscribe(self, apply: Apply) -> None:
        """Tell this one no more."""
        self._told = tuple(one for one in self._told if one != apply)

    def _put(self, item: _Waiting | _Subscription) -> None:
        with self._closing:
            if self._closed:
                raise LiveError(f"{self.folder}: the log of changes is closed")
            self._queue.put(item)

    def _subscribe(self, prepare: Prepare, apply: Apply, after: int) -> None:
        for part in in_parts(self.replay(after, self._last)):
            apply(part)
        self._prepare, self._told = prepare, (*self._told, apply)

    def replay(self, after: int = 0, upto: int | None = None) -> Iterator[Logged]:
        """Yield the changes with a number above `after` and at most `upto`, in order."""
        yield from replay(self.folder, after, upto)

    def close(self) -> None:
        """Write what waits, and let others write."""
        with self._closing:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._lock.close()

    def _write(self) -> None:
        connection = _connect(self.folder)
        try:
            while item := self._next():
                if isinstance(item, _Subscription):
                    _take(item)
                else:
                    self._commit_group(connection, self._group(item))
        finally:
            connection.close()

    def _next(self) -> _Waiting | _Subscription | None:
        """Return what comes next; None at the end."""
        if self._aside is not None:
            turn, self._aside = self._aside, None
            return turn
        return self._queue.get()

    def _group(self, first: _Waiting) -> list[_Waiting]:
        """Return all that wait now, up to a bound and before the next turn."""
        group, count = [first], len(first.changes)
        while count < MOST_IN_GROUP:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if isinstance(more, _Subscription):
                self._aside = more
                break
            if more is None:
                self._queue.put(None)  # nothing comes behind the end
                break
            group.append(more)
            count += len(more.changes)
        return group

    def _commit_group(self, connection: sqlite3.Connection, group: list[_Waiting]) -> None:
        """Write a group and tell those that wait, whatever happens."""
        try:
            outcomes = iter(self._taken(connection, [c for one in group for c in one.changes]))
        except Exception as e:
            for one in group:
                one.outcome.set_exception(e)
            return
        for one in group:
            one.outcome.set_result([next(outcomes) for _ in one.changes])

    def _taken(self, connection: sqlite3.Connection, changes: Sequence[Change]) -> list[Outcome]:
        prepared = self._fit(changes)
        numbers = iter(range(self._last + 1, self._last + 1 + len(changes)))
        outcomes = [one if isinstance(one, RejectedChange) else next(numbers) for one in prepared]
        logged = [
            Logged(number, *one)
            for number, one in zip(outcomes, prepared, strict=True)
            if isinstance(number, int) and isinstance(one, Encoded)
        ]
        if logged:
            self._commit(connection, logged)
            self._last = logged[-1].sequence
            for apply in self._told:
                apply(logged)
        return outcomes

    def _fit(self, changes: Sequence[Change]) -> list[Encoded | RejectedChange]:
        """Refuse what is too large, and ask about the rest."""
        sizes = [len(written(change)) for change in changes]
        small = [c for c, size in zip(changes, sizes, strict=True) if size <= LARGEST_CHANGE]
        prepared = iter(self._prepare(small))
        return [next(prepared) if size <= LARGEST_CHANGE else too_large(size) for size in sizes]

    def _commit(self, connection: sqlite3.Connection, logged: Sequence[Logged]) -> None:
        if _bytes(connection) > self._most_bytes:
            raise LiveError(
                f"{self.folder} holds more than {self._most_bytes:,} bytes of changes; import "
                "the shop anew from a source that has them, and begin a new log for those that come"
            )
        rows = [
            (one.sequence, written(one.change), _blob(one.vector), one.encoder) for one in logged
        ]
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO changes VALUES (?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        except sqlite3.Error as e:
            self._undo(connection)
            raise LiveError(f"{self.folder}: the changes were not written: {e}") from None

    def _undo(self, connection: sqlite3.Connection) -> None:
        """Go back to the last commit; where that is in doubt, take nothing more."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            certain = _last(connection) == self._last
        except sqlite3.Error:
            certain = False
        if not certain:
            with self._closing:
                self._closed = True


def in_parts(changes: Iterator[Logged]) -> Iterator[list[Logged]]:
    """Yield changes by the thousand."""
    while part := list(islice(changes, READ_AT_ONCE)):
        yield part


def _take(turn: _Subscription) -> None:
    """Do what was asked for, and tell who waits for it how it went."""
    try:
        turn.work()
    except Exception as e:
        turn.done.set_exception(e)
    else:
        turn.done.set_result(None)


def replay(folder: Path, after: int = 0, upto: int | None = None) -> Iterator[Logged]:
    """Yield what a log holds above `after` and at most `upto`, in order, while others may write."""
    _check(folder)
    connection = _connect(folder)
    try:
        found = connection.execute(
            "SELECT sequence, body, vector, encoder FROM changes "
            "WHERE sequence > ? AND sequence <= ? ORDER BY sequence",
            (after, 2**62 if upto is None else upto),
        )
        while rows := found.fetchmany(READ_AT_ONCE):
            for sequence, body, vector, encoder in rows:
                yield Logged(sequence, _change(folder, sequence, body), _array(vector), encoder)
    except sqlite3.Error as e:
        raise _unfit(folder, e) from None
    finally:
        connection.close()


def identity(folder: Path) -> tuple[str, int]:
    """Return the id of a log and the number of its newest change; LiveError where there is none."""
    _check(folder)
    return _identity(folder)


def _check(folder: Path) -> None:
    if not (folder / FILE).is_file():
        raise LiveError(f"{folder} holds no log of changes; `vetrina serve --live` begins one")


def _identity(folder: Path) -> tuple[str, int]:
    connection = _connect(folder)
    try:
        [[name]] = connection.execute("SELECT id FROM about").fetchall()
        return str(name), _last(connection)
    except (sqlite3.Error, ValueError) as e:
        raise _unfit(folder, e) from None
    finally:
        connection.close()


def _last(connection: sqlite3.Connection) -> int:
    rows = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchall()
    return int(rows[0][0]) if rows else 0


def _locked(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("wb")
    except OSError as e:
        raise LiveError(f"{folder} cannot be written: {e.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise LiveError(
            f"{folder}: another process takes changes here; one log has one writer"
        ) from None
    return lock


def _begin(folder: Path) -> None:
    """Make the tables of a new log in one transaction; leave one that is there as it is."""
    connection = _connect(folder)
    try:
        [[application]] = connection.execute("PRAGMA application_id")
        [[version]] = connection.execute("PRAGMA user_version")
        if (application, version) == (OURS, FORMAT):
            return
        [[tables]] = connection.execute("SELECT count(*) FROM sqlite_master")
        if tables or application or version:
            raise LiveError(
                f"{folder / FILE} is not a log of changes of format {FORMAT}; choose another folder"
            )
        connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} INSERT INTO about VALUES ('{secrets.token_hex(16)}');"
            f"PRAGMA application_id = {OURS}; PRAGMA user_version = {FORMAT}; COMMIT;"
        )
    finally:
        connection.close()
    flush(folder)


def _connect(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / FILE, timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit waits for the disk
    except sqlite3.Error as e:
        connection.close()
        raise _unfit(folder, e) from None
    return connection


def _bytes(connection: sqlite3.Connection) -> int:
    [[pages]] = connection.execute("PRAGMA page_count")
    [[size]] = connection.execute("PRAGMA page_size")
    return int(pages * size)


def _change(folder: Path, sequence: int, body: bytes) -> Change:
    change = read_change(body)
    if isinstance(change, RejectedChange):
        raise LiveError(f"{folder}: change {sequence} {change.message}; the log is damaged")
    return change


def _blob(vector: Float32[np.ndarray, "t"] | None) -> bytes | None:
    return None if vector is None else vector.astype("<f4").tobytes()


def _array(blob: bytes | None) -> Float32[np.ndarray, "t"] | None:
    return None if blob is None else np.frombuffer(blob, "<f4").astype(np.float32)


def _unfit(folder: Path, error: Exception) -> LiveError:
    return LiveError(f"{folder / FILE} cannot be used as a log of changes: {error}")
