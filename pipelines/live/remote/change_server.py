"""The writer's side: takes changes from other processes over a local socket."""

import logging
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Lock, Thread

from pipelines.errors import UserError
from pipelines.live.change_log import Outcome
from pipelines.live.changes import Change
from pipelines.live.remote.messages import (
    decode_changes,
    encode_outcomes,
    read_message,
    write_message,
)

WAITING = 1_024  # messages of one connection whose outcomes are to come

log = logging.getLogger(__name__)
Outcomes = Future[list[Outcome]]
Submit = Callable[[Sequence[Change]], Outcomes]


class ChangeServer:
    """Submits what arrives on a socket, and sends the outcomes back in the same order."""

    def __init__(self, path: Path, submit: Submit) -> None:
        """Listen at `path`, in a folder that nobody else may read."""
        self._submit = submit
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)  # of a writer that was killed
        self._listener.bind(str(path))
        self._listener.listen()
        Thread(target=self._accept, name="changes", daemon=True).start()

    def replace(self, submit: Submit) -> None:
        """Submit with another function from here on."""
        self._submit = submit

    def close(self) -> None:
        """Take no more changes; what was submitted is still answered."""
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            with self._lock:
                self._open.add(connection)
            outcomes: Queue[Outcomes | None] = Queue(WAITING)
            Thread(target=self._read, args=(connection, outcomes), daemon=True).start()
            Thread(target=self._answer, args=(connection, outcomes), daemon=True).start()

    def _read(self, connection: socket.socket, outcomes: "Queue[Outcomes | None]") -> None:
        try:
            while (message := read_message(connection)) is not None:
                outcomes.put(self._begin(message))
        except OSError:
            pass  # the other process has ended
        except Exception:
            log.exception("a message of another process cannot be read; its connection ends")
        finally:
            outcomes.put(None)

    def _begin(self, message: bytes) -> Outcomes:
        try:
            return self._submit(decode_changes(message))
        except UserError as e:  # the log is closed
            failed: Outcomes = Future()
            failed.set_exception(e)
            return failed

    def _answer(self, connection: socket.socket, outcomes: "Queue[Outcomes | None]") -> None:
        while (future := outcomes.get()) is not None:
            with suppress(OSError):  # what was submitted is in the log, whoever hears of it
                write_message(connection, encode_outcomes(_result(future)))
        with self._lock:
            self._open.discard(connection)
        connection.close()


def _result(future: Outcomes) -> list[Outcome] | str:
    try:
        return future.result()
    except Exception as e:
        return str(e) or type(e).__name__
