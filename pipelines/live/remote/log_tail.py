"""A log in a process that does not write it: follows the file, and forwards new items."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import Any, Generic, Protocol, TypeVar

from pipelines.durable.journal_file import Format, identity, in_parts, replay
from pipelines.live.remote.change_client import LogClient
from pipelines.live.remote.messages import Item, Outcome

LOOK_SECONDS = 0.02  # between two looks for new entries
RETRY_SECONDS = 1.0  # after a log that could not be read

log = logging.getLogger(__name__)


class Numbered(Protocol):
    """An entry of a log."""

    @property
    def sequence(self) -> int:
        """Its number."""
        ...


Entry = TypeVar("Entry", bound=Numbered)


class LogTail(Generic[Item, Entry, Outcome]):
    """What `Journal` is in the writing process, with the same methods, in the others.

    An item is done when it is on the disk and in the answers of this process; the other
    processes follow within LOOK_SECONDS.
    """

    def __init__(
        self,
        folder: Path,
        form: Format[Any, Any, Entry, Any],
        client: LogClient[Item, Outcome],
    ) -> None:
        """Follow the log of a folder, which is there; LiveError where it cannot be read."""
        self.folder = folder
        self._form = form
        self.id, self._last = identity(folder, form)
        self._client = client
        self._subscribers: tuple[Callable[[Sequence[Entry]], None], ...] = ()
        self._applying = Lock()
        self._applied = Condition()
        # Items that are written, and not applied here yet.
        self._written: list[tuple[int, Future[list[Outcome]], list[Outcome]]] = []
        self._look, self._closed = Event(), Event()
        Thread(target=self._follow, name=f"follow the {form.title}", daemon=True).start()

    @property
    def last(self) -> int:
        """The number of the newest entry that the subscribers have."""
        return self._last

    def submit(self, items: Sequence[Item]) -> Future[list[Outcome]]:
        """Return at once the future of the outcomes, which is done when they are applied here."""
        done: Future[list[Outcome]] = Future()
        done.set_running_or_notify_cancel()
        written = self._client.submit(items)
        written.add_done_callback(partial(self._on_written, done))
        return done

    def subscribe(
        self, prepare: object, apply: Callable[[Sequence[Entry]], None], after: int
    ) -> None:
        """Call `apply` with the entries after a number, and with each new one from here on.

        `prepare` is the writer's business.
        """
        with self._applying:
            for part in in_parts(self.replay(after, self._last)):
                apply(part)
            self._subscribers = (*self._subscribers, apply)

    def unsubscribe(self, apply: Callable[[Sequence[Entry]], None]) -> None:
        """Call this function no more."""
        self._subscribers = tuple(one for one in self._subscribers if one != apply)

    def replay(self, after: int = 0, upto: int | None = None) -> Iterator[Entry]:
        """Yield the entries with a number above `after` and at most `upto`, in order."""
        yield from replay(self.folder, self._form, after, upto)

    def wait_for(self, number: int, seconds: float) -> bool:
        """Return whether the entry of this number is applied within so many seconds."""
        self._look.set()
        with self._applied:
            return self._applied.wait_for(lambda: self._last >= number, seconds)

    def close(self) -> None:
        """Follow no more, and forward no more."""
        self._closed.set()
        self._look.set()
        self._client.close()

    def _on_written(self, done: Future[list[Outcome]], written: Future[list[Outcome]]) -> None:
        """Keep the outcomes until the entries are applied here."""
        if error := written.exception():
            done.set_exception(error)
            return
        newest = max((one for one in written.result() if isinstance(one, int)), default=0)
        with self._applied:
            self._written.append((newest, done, written.result()))
        self._pass_on()
        self._look.set()

    def _pass_on(self) -> None:
        """Hand out the outcomes of all entries that are applied."""
        with self._applied:
            ready = [one for one in self._written if one[0] <= self._last]
            self._written = [one for one in self._written if one[0] > self._last]
            self._applied.notify_all()
        for _, done, outcomes in ready:
            done.set_result(outcomes)

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                with closing(_watching(self.folder / self._form.file)) as connection:
                    self._follow_over(lambda: _version(connection))
            except Exception:  # of any kind: what is served goes on, and the log may be read again
                log.exception("%s: the %s cannot be followed", self.folder, self._form.title)
                self._closed.wait(RETRY_SECONDS)

    def _follow_over(self, version: Callable[[], int]) -> None:
        seen = -1
        while not self._closed.is_set():
            if (now := version()) != seen:
                self._apply_new()
                seen = now
            self._look.wait(LOOK_SECONDS)
            self._look.clear()

    def _apply_new(self) -> None:
        for part in in_parts(self.replay(self._last)):
            with self._applying:
                for apply in self._subscribers:
                    apply(part)
                self._last = part[-1].sequence
            self._pass_on()


def _watching(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=30, isolation_level=None)


def _version(connection: sqlite3.Connection) -> int:
    """Return a number that is another one after each commit of another connection."""
    [[version]] = connection.execute("PRAGMA data_version")
    return int(version)
