"""The side of a process that does not write: sends items to the writer, and hears of them."""

import socket
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, Generic

from pipelines.live.change_log import LiveError, Outcome
from pipelines.live.changes import Change
from pipelines.live.remote.messages import CHANGES, Item, Wire, encode, read_message, write_message
from pipelines.live.remote.messages import Outcome as AnyOutcome

CONNECT_SECONDS = 5.0  # to a writer that is just being started again


class LogClient(Generic[Item, AnyOutcome]):
    """Sends items to the writer of a log; one connection, which is made again after a fault."""

    def __init__(self, path: Path, wire: Wire[Item, AnyOutcome]) -> None:
        self._path = path
        self._wire = wire
        self._lock = Lock()
        self._connection: socket.socket | None = None
        self._queue: SimpleQueue[tuple[Sequence[Item], Future[list[AnyOutcome]]] | None] = (
            SimpleQueue()
        )
        Thread(target=self._send, name=f"send {wire.title}", daemon=True).start()

    def submit(self, items: Sequence[Item]) -> Future[list[AnyOutcome]]:
        """Return at once the future of the outcomes; a LiveError in it where none was written."""
        future: Future[list[AnyOutcome]] = Future()
        self._queue.put((items, future))
        return future

    def close(self) -> None:
        """Send no more."""
        self._queue.put(None)

    def _send(self) -> None:
        waiting: deque[Future[list[AnyOutcome]]] = deque()
        while (item := self._queue.get()) is not None:
            items, future = item
            connection = self._connection
            try:
                if connection is None:
                    connection, waiting = self._connect()
                waiting.append(future)
                write_message(connection, encode(items))
            except OSError as e:
                self._end(
                    connection, waiting, f"the writer of {self._wire.title} does not answer: {e}"
                )
                _fail(future, f"the writer of {self._wire.title} does not answer: {e}")
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> tuple[socket.socket, deque[Future[list[AnyOutcome]]]]:
        connection = connect(self._path, CONNECT_SECONDS)
        waiting: deque[Future[list[AnyOutcome]]] = deque()
        self._connection = connection
        Thread(target=self._hear, args=(connection, waiting), daemon=True).start()
        return connection, waiting

    def _hear(self, connection: socket.socket, waiting: deque[Future[list[AnyOutcome]]]) -> None:
        reason = f"the writer of {self._wire.title} has ended"
        try:
            while (message := read_message(connection)) is not None:
                outcomes = self._wire.outcomes.decode(message)
                future = waiting.popleft()
                if isinstance(outcomes, str):
                    _fail(future, outcomes)
                elif future.set_running_or_notify_cancel():
                    future.set_result(outcomes)
        except (OSError, ValueError) as e:
            reason = f"{reason}: {e}"
        self._end(connection, waiting, reason)

    def _end(
        self,
        connection: socket.socket | None,
        waiting: deque[Future[list[AnyOutcome]]],
        reason: str,
    ) -> None:
        """Close a connection; whether the items on their way were written is not known."""
        with self._lock:
            if connection is not None and connection is self._connection:
                self._connection = None
        if connection is not None:
            connection.close()
        while waiting:
            with suppress(IndexError):
                _fail(waiting.popleft(), reason)


class ChangeClient(LogClient[Change, Outcome]):
    """Sends changes of products to the writer of their log."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, CHANGES)


def connect(path: Path, seconds: float) -> socket.socket:
    """Connect to a socket that may just be made; OSError after so many seconds."""
    end = monotonic() + seconds
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            if monotonic() > end:
                raise
            sleep(0.05)
        else:
            return connection


def _fail(future: Future[Any], reason: str) -> None:
    if future.done():  # somebody else told of it
        return
    with suppress(InvalidStateError, RuntimeError):  # or does just now
        future.set_running_or_notify_cancel()
        future.set_exception(LiveError(reason))
