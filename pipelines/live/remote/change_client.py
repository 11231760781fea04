"""The side of a process that does not write: sends changes to the writer, and hears of them."""

import socket
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic, sleep

from pipelines.live.change_log import LiveError, Outcome
from pipelines.live.changes import Change
from pipelines.live.remote.messages import (
    decode_outcomes,
    encode_changes,
    read_message,
    write_message,
)

CONNECT_SECONDS = 5.0  # to a writer that is just being started again

Outcomes = Future[list[Outcome]]


class ChangeClient:
    """Sends changes to the writer of a log; one connection, which is made again after a fault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._connection: socket.socket | None = None
        self._queue: SimpleQueue[tuple[Sequence[Change], Outcomes] | None] = SimpleQueue()
        Thread(target=self._send, name="send changes", daemon=True).start()

    def submit(self, changes: Sequence[Change]) -> Outcomes:
        """Return at once the future of the outcomes; a LiveError in it where none was written."""
        future: Outcomes = Future()
        self._queue.put((changes, future))
        return future

    def close(self) -> None:
        """Send no more."""
        self._queue.put(None)

    def _send(self) -> None:
        waiting: deque[Outcomes] = deque()
        while (item := self._queue.get()) is not None:
            changes, future = item
            connection = self._connection
            try:
                if connection is None:
                    connection, waiting = self._connect()
                waiting.append(future)
                write_message(connection, encode_changes(changes))
            except OSError as e:
                self._end(connection, waiting, f"the writer of changes does not answer: {e}")
                _fail(future, f"the writer of changes does not answer: {e}")
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> tuple[socket.socket, deque[Outcomes]]:
        connection = connect(self._path, CONNECT_SECONDS)
        waiting: deque[Outcomes] = deque()
        self._connection = connection
        Thread(target=self._hear, args=(connection, waiting), daemon=True).start()
        return connection, waiting

    def _hear(self, connection: socket.socket, waiting: deque[Outcomes]) -> None:
        reason = "the writer of changes has ended"
        try:
            while (message := read_message(connection)) is not None:
                outcomes = decode_outcomes(message)
                future = waiting.popleft()
                if isinstance(outcomes, str):
                    _fail(future, outcomes)
                elif future.set_running_or_notify_cancel():
                    future.set_result(outcomes)
        except (OSError, ValueError) as e:
            reason = f"{reason}: {e}"
        self._end(connection, waiting, reason)

    def _end(self, connection: socket.socket | None, waiting: deque[Outcomes], reason: str) -> None:
        """Close a connection; whether the changes on their way were written is not known."""
        with self._lock:
            if connection is not None and connection is self._connection:
                self._connection = None
        if connection is not None:
            connection.close()
        while waiting:
            with suppress(IndexError):
                _fail(waiting.popleft(), reason)


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


def _fail(future: Outcomes, reason: str) -> None:
    with suppress(InvalidStateError, RuntimeError):  # somebody else told of it
        future.set_running_or_notify_cancel()
        future.set_exception(LiveError(reason))
