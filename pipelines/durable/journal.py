"""A numbered log in SQLite with group commit: one thread writes, one flush serves many."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, NamedTuple, cast

from filelock import FileLock, Timeout

from pipelines.durable.files import is_in_place
from pipelines.durable.journal_file import (
    Entry,
    Format,
    Item,
    Record,
    Refusal,
    begin,
    connect,
    identity,
    in_parts,
    last_number,
    replay,
    used_bytes,
)
from pipelines.durable.locks import lock_file

LOCK = ".lock"
MOST_IN_GROUP = 1_000  # items that share a flush
MOST_BYTES = 8 << 30  # of the database; past it items are refused

log = logging.getLogger(__name__)


class _Batch(NamedTuple, Generic[Item, Refusal]):
    """Items that were submitted together, and who waits for their outcomes."""

    items: Sequence[Item]
    outcomes: "Future[list[int | Refusal]]"


class _Subscription(NamedTuple):
    """What a new subscriber does between two groups."""

    work: Callable[[], None]
    done: "Future[None]"


class Journal(Generic[Item, Record, Entry, Refusal]):
    """Entries in the order of their numbers; one process writes, any may read.

    What `append` returned is on the disk. Appends that wait at the same time share one
    transaction, so a flush is paid once for all of them. Where entries were written that a
    subscriber could not apply, or it is in doubt what was written, nothing more is taken: who
    waits and who comes later gets an error with the reason.
    """

    def __init__(
        self,
        folder: Path,
        form: Format[Item, Record, Entry, Refusal],
        *,
        prepare: Callable[[Sequence[Item]], Sequence[Record | Refusal]],
        apply: Callable[[Sequence[Entry]], None],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Open the journal of a folder to write, or begin one; an error where another one writes.

        `prepare` returns a record or a refusal for each item, before any is written; `apply` is
        called with the entries before `append` returns. Both are called in one thread, in the
        order of the journal.
        """
        self.folder = folder
        self._form = form
        self._path = folder / form.file
        self._inode = 0  # of the file that is written
        self._prepare = prepare
        self._subscribers: tuple[Callable[[Sequence[Entry]], None], ...] = (apply,)
        self._most_bytes = most_bytes
        self._closing = Lock()
        self._closed = False
        self._fault = ""  # why it was closed from within
        self._queue: SimpleQueue[_Batch[Item, Refusal] | _Subscription | None] = SimpleQueue()
        self._next_subscription: _Subscription | None = None  # behind the group in work
        self._lock = _locked(folder, form)
        try:
            begin(folder, form)
            self.id, self._last = identity(folder, form)
        except BaseException:
            self._lock.release()
            raise
        self._thread = Thread(target=self._write, name=form.title, daemon=True)
        self._thread.start()

    @property
    def last(self) -> int:
        """The number of the newest entry; before the first, the number below it."""
        return self._last

    def append(self, items: Sequence[Item]) -> list[int | Refusal]:
        """Return for each item its number, once it is on the disk, or a refusal."""
        return self.submit(items).result()

    def submit(self, items: Sequence[Item]) -> "Future[list[int | Refusal]]":
        """Return at once what `append` returns, to come.

        Items whose future is cancelled before their group is written are not written.
        """
        batch = _Batch[Item, Refusal](items, Future())
        self._put(batch)
        return batch.outcomes

    def subscribe(
        self,
        prepare: Callable[[Sequence[Item]], Sequence[Record | Refusal]],
        apply: Callable[[Sequence[Entry]], None],
        after: int,
    ) -> None:
        """Prepare with another function from here on, and call another `apply`, too.

        `apply` is called at once with the entries after number `after`. The change happens between
        two groups, so `apply` sees each entry once, and in order. Earlier subscribers stay, until
        `unsubscribe`.
        """
        subscription = _Subscription(partial(self._subscribe, prepare, apply, after), Future())
        self._put(subscription)
        subscription.done.result()

    def between_groups(self, work: Callable[[], None]) -> None:
        """Call a function when what was submitted before is written, and nothing after it."""
        subscription = _Subscription(work, Future())
        self._put(subscription)
        subscription.done.result()

    def unsubscribe(self, apply: Callable[[Sequence[Entry]], None]) -> None:
        """Call this function no more."""
        self._subscribers = tuple(one for one in self._subscribers if one != apply)

    def replay(self, after: int = 0, upto: int | None = None) -> Iterator[Entry]:
        """Yield the entries with a number above `after` and at most `upto`, in order."""
        yield from replay(self.folder, self._form, after, upto)

    def close(self) -> None:
        """Write what waits, and let others write."""
        with self._closing:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._lock.release()

    def _put(self, item: _Batch[Item, Refusal] | _Subscription) -> None:
        with self._closing:
            if self._closed:
                raise self._closed_error()
            self._queue.put(item)

    def _closed_error(self) -> Exception:
        reason = f": {self._fault}; start the server again" if self._fault else ""
        return self._form.error(f"{self.folder}: the {self._form.title} is closed{reason}")

    def _close_because(self, fault: str) -> None:
        """Take nothing more, and say why."""
        log.error("%s: the %s takes no more: %s", self.folder, self._form.title, fault)
        with self._closing:
            self._closed, self._fault = True, fault

    def _subscribe(
        self,
        prepare: Callable[[Sequence[Item]], Sequence[Record | Refusal]],
        apply: Callable[[Sequence[Entry]], None],
        after: int,
    ) -> None:
        for part in in_parts(self.replay(after, self._last)):
            apply(part)
        self._prepare, self._subscribers = prepare, (*self._subscribers, apply)

    def _write(self) -> None:
        """Write until the end comes; a fault is told to everyone who waits, then and later."""
        try:
            with closing(connect(self.folder, self._form)) as connection:
                self._inode = self._path.stat().st_ino
                while item := self._next():
                    self._handle(connection, item)
        except BaseException as e:
            self._close_because(f"its thread failed: {e!r}")
            while item := self._next():
                _fail(item, self._closed_error())

    def _handle(
        self, connection: sqlite3.Connection, item: "_Batch[Item, Refusal] | _Subscription"
    ) -> None:
        if self._fault:
            _fail(item, self._closed_error())
        elif isinstance(item, _Subscription):
            _run(item)
        else:
            self._commit_group(connection, self._group(item))

    def _next(self) -> _Batch[Item, Refusal] | _Subscription | None:
        """Return what comes next; None at the end."""
        if self._next_subscription is not None:
            subscription, self._next_subscription = self._next_subscription, None
            return subscription
        return self._queue.get()

    def _group(self, first: _Batch[Item, Refusal]) -> list[_Batch[Item, Refusal]]:
        """Group commit: return `first` and everything queued behind it.

        A group ends at MOST_IN_GROUP items, or at a subscription, which is done behind it.
        """
        group, count = [first], len(first.items)
        while count < MOST_IN_GROUP:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if isinstance(more, _Subscription):
                self._next_subscription = more
                break
            if more is None:
                self._queue.put(None)  # nothing comes behind the end
                break
            group.append(more)
            count += len(more.items)
        return group

    def _commit_group(
        self, connection: sqlite3.Connection, group: list[_Batch[Item, Refusal]]
    ) -> None:
        """Write a group but for what was cancelled; give who waits the outcomes or the error."""
        group = [batch for batch in group if batch.outcomes.set_running_or_notify_cancel()]
        try:
            items = [item for batch in group for item in batch.items]
            outcomes = iter(self._outcomes(connection, items) if items else [])
            shares = [list(islice(outcomes, len(batch.items))) for batch in group]
        except BaseException as e:  # a panic of a Rust library is no Exception
            for batch in group:
                batch.outcomes.set_exception(_as_exception(e))
            return
        for batch, share in zip(group, shares, strict=True):
            batch.outcomes.set_result(share)

    def _outcomes(
        self, connection: sqlite3.Connection, items: Sequence[Item]
    ) -> list[int | Refusal]:
        prepared = self._prepared(items)
        outcomes: list[int | Refusal] = []
        records: list[Record] = []
        for one in prepared:
            if isinstance(one, self._form.refusal):
                outcomes.append(one)
            else:
                records.append(cast(Record, one))
                outcomes.append(self._last + len(records))
        if records:
            self._commit(connection, records)
        return outcomes

    def _prepared(self, items: Sequence[Item]) -> list[Record | Refusal]:
        """Refuse what can never be written, and prepare the rest together."""
        refusals = [self._form.check(item) for item in items]
        fit = [item for item, why in zip(items, refusals, strict=True) if why is None]
        prepared = self._prepare(fit)
        if len(prepared) != len(fit):
            raise ValueError(
                f"{len(fit)} {self._form.entry}s were prepared as {len(prepared)}; expected as many"
            )
        records = iter(prepared)
        return [next(records) if why is None else why for why in refusals]

    def _commit(self, connection: sqlite3.Connection, records: Sequence[Record]) -> None:
        """Write records on the disk, number them, and call every subscriber.

        A subscriber that fails has not seen what is on the disk, so the journal is closed.
        """
        numbers = range(self._last + 1, self._last + 1 + len(records))
        rows = [(n, *self._form.row(one)) for n, one in zip(numbers, records, strict=True)]
        self._insert(connection, rows)
        self._last = numbers[-1]
        entries = [self._form.number(n, one) for n, one in zip(numbers, records, strict=True)]
        faults = [fault for apply in self._subscribers if (fault := _fault_of(apply, entries))]
        if faults:
            self._close_because(
                f"{self._form.entry}s up to {self._last} are written, but were not applied: "
                f"{faults[0]!r}"
            )
            raise self._closed_error() from faults[0]

    def _insert(self, connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
        form = self._form
        if not is_in_place(self._path, self._inode):
            self._close_because(f"{self._path.name} was removed or replaced")
            raise self._closed_error()
        if used_bytes(connection) > self._most_bytes:
            raise form.error(
                f"{self.folder} holds more than {self._most_bytes:,} bytes of {form.entry}s; "
                f"{form.full}"
            )
        marks = ", ".join("?" * len(rows[0]))
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(f"INSERT INTO {form.table} VALUES ({marks})", rows)
            connection.execute("COMMIT")
        except sqlite3.Error as e:
            self._undo(connection)
            raise form.error(f"{self.folder}: the {form.entry}s were not written: {e}") from None

    def _undo(self, connection: sqlite3.Connection) -> None:
        """Go back to the last commit; where that is in doubt, write nothing more."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            certain = last_number(connection, self._form.table) == self._last
        except sqlite3.Error:
            certain = False
        if not certain:
            self._close_because(f"it is in doubt which {self._form.entry}s were written")


def _fault_of(
    apply: Callable[[Sequence[Entry]], None], entries: Sequence[Entry]
) -> BaseException | None:
    """Call a subscriber, and return what it raises."""
    try:
        apply(entries)
    except BaseException as e:
        return e
    return None


def _run(subscription: _Subscription) -> None:
    """Do what was asked for, and give who waits the result or the error."""
    try:
        subscription.work()
    except BaseException as e:
        subscription.done.set_exception(_as_exception(e))
    else:
        subscription.done.set_result(None)


def _fail(item: _Batch[Item, Refusal] | _Subscription, error: Exception) -> None:
    """Give who waits an error, unless it waits no longer."""
    future: Future[Any] = item.done if isinstance(item, _Subscription) else item.outcomes
    if future.set_running_or_notify_cancel():
        future.set_exception(error)


def _as_exception(error: BaseException) -> Exception:
    """Return an error that any thread may raise: one that ends a program must not end another."""
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


def _locked(folder: Path, form: Format[Item, Record, Entry, Refusal]) -> FileLock:
    lock = lock_file(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise form.error(
            f"{folder}: another process takes {form.entry}s here; one log has one writer"
        ) from None
    except OSError as e:
        raise form.error(f"{folder} cannot be written: {e.strerror}") from None
    return lock
