"""The writer's side: takes items from other processes over a local socket."""

import logging
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Lock, Thread
from typing import Generic

from pipelines.errors import UserError
from pipelines.live.change_log import Outcome
from pipelines.live.changes import Change
from pipelines.live.remote.messages import CHANGES, Item, Wire, encode, read_message, write_message
from pipelines.live.remote.messages import Outcome as AnyOutcome

WAITING = 1_024  # messages of one connection whose outcomes are to come

log = logging.getLogger(__name__)


class LogServer(Generic[Item, AnyOutcome]):
    """Submits what arrives on a socket, and sends the outcomes back in the same order."""

    def __init__(
        self,
        path: Path,
        submit: Callable[[Sequence[Item]], Future[list[AnyOutcome]]],
        wire: Wire[Item, AnyOutcome],
    ) -> None:
        """Listen at `path`, in a folder that nobody else may read."""
        self._submit = submit
        self._wire = wire
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)  # of a writer that was killed
        self._listener.bind(str(path))
        self._listener.listen()
        Thread(target=self._accept, name=wire.title, daemon=True).start()

    def replace(self, submit: Callable[[Sequence[Item]], Future[list[AnyOutcome]]]) -> None:
        """Submit with another function from here on."""
        self._submit = submit

    def close(self) -> None:
        """Take no more items; what was submitted is still answered."""
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
            outcomes: Queue[Future[list[AnyOutcome]] | None] = Queue(WAITING)
            Thread(target=self._read, args=(connection, outcomes), daemon=True).start()
            Thread(target=self._answer, args=(connection, outcomes), daemon=True).start()

    def _read(
        self, connection: socket.socket, outcomes: "Queue[Future[list[AnyOutcome]] | None]"
    ) -> None:
        try:
            while (message := read_message(connection)) is not None:
                outcomes.put(self._begin(message))
        except OSError:
            pass  # the other process has ended
        except Exception:
            log.exception("a message of another process cannot be read; its connection ends")
        finally:
            outcomes.put(None)

    def _begin(self, message: bytes) -> Future[list[AnyOutcome]]:
        try:
            return self._submit(self._wire.items.decode(message))
        except UserError as e:  # the log is closed
            failed: Future[list[AnyOutcome]] = Future()
            failed.set_exception(e)
            return failed

    def _answer(
        self, connection: socket.socket, outcomes: "Queue[Future[list[AnyOutcome]] | None]"
    ) -> None:
        while (future := outcomes.get()) is not None:
            result = _result(future)
            with suppress(OSError):  # what was submitted is in the log, whoever hears of it
                write_message(connection, encode(result))
        with self._lock:
            self._open.discard(connection)
        connection.close()


class ChangeServer(LogServer[Change, Outcome]):
    """Submits changes of products."""

    def __init__(
        self, path: Path, submit: Callable[[Sequence[Change]], Future[list[Outcome]]]
    ) -> None:
        super().__init__(path, submit, CHANGES)


def _result(future: Future[list[AnyOutcome]]) -> list[AnyOutcome] | str:
    try:
        return future.result()
    except Exception as e:
        return str(e) or type(e).__name__
