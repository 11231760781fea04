"""Admission control: runs and queues a bounded number of requests, rejects the rest with 429."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from time import perf_counter
from typing import Any, Protocol

import msgspec

from pipelines.config.sections import ServeConfig
from pipelines.engine.answering import Answering
from pipelines.live.change_log import LiveError, Outcome
from pipelines.live.changes import Change
from retrieval import Query, Slate, Stage

QUEUED_PER_THREAD = 32  # at 15 ms an answer, the last in the queue waits half a second
MOST_WRITES = 256  # requests whose changes are on their way to the disk

log = logging.getLogger(__name__)


class ServedEngine(Answering, Protocol):
    """What the HTTP server needs of an engine. Its methods are called from several threads."""

    def change(self, changes: Sequence[Change]) -> "Future[list[Outcome]]":
        """Submit changes; the future has the number of each, or why it was rejected."""
        ...

    def picture(self, product_id: str) -> tuple[bytes, str] | None:
        """Return a product's picture and its media type, if there is one."""
        ...

    def shoppers(self, limit: int) -> list[str]:
        """Return some known shoppers."""
        ...

    def complete(self, text: str, k: int) -> list[str]:
        """Return searches that begin as this one does, the likeliest first."""
        ...

    def about(self) -> dict[str, Any]:
        """Return what the page says about the release."""
        ...


class Unavailable(Exception):
    """The server cannot answer this request now; trying again soon may help."""


class Overloaded(Exception):
    """More is asked of the server than it can do in time; trying again later helps."""

    def __init__(self, message: str, retry_seconds: int = 1) -> None:
        super().__init__(f"{message}; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class AdmissionControl:
    """Keeps the event loop free: every answer is computed in one of its threads."""

    def __init__(self, engine: ServedEngine | None, config: ServeConfig) -> None:
        self.engine = engine
        self.draining = False  # told to end: not ready any more, and every connection ends
        self._deadline_ms = config.deadline_ms
        self._threads = ThreadPoolExecutor(config.threads, thread_name_prefix="answer")
        self._in_progress = 0
        self.takes_changes = bool(config.live)
        self._writes = BoundedSemaphore(MOST_WRITES)
        self._places = BoundedSemaphore(config.threads * (1 + QUEUED_PER_THREAD))

    @property
    def busy(self) -> bool:
        """Return whether requests wait or are in work."""
        return self._in_progress > 0

    def opened(self) -> ServedEngine:
        """Return the engine, or Unavailable while the release is still being read."""
        if self.engine is None:
            raise Unavailable("the release is still being read; /readyz tells when it is open")
        return self.engine

    async def answer(self, query: Query, stage: Stage = Stage.RANKING) -> Slate:
        """Return the engine's answer, or Unavailable at once when too many are waiting.

        The time in the queue counts towards the deadline, and is among the timings as `wait`.
        """
        engine = self.opened()
        arrived = perf_counter()
        deadline_ms = min(query.deadline_ms, self._deadline_ms)
        if not self._places.acquire(blocking=False):
            raise Overloaded("too many requests are waiting")
        try:
            future = self._threads.submit(_answer, engine, query, stage, arrived, deadline_ms)
        except RuntimeError:  # the threads have been closed
            self._places.release()
            raise Unavailable("the server is stopping") from None
        future.add_done_callback(lambda _: self._places.release())
        self._in_progress += 1
        try:
            return await asyncio.wrap_future(future)
        finally:
            self._in_progress -= 1

    async def change(self, changes: Sequence[Change]) -> list[Outcome]:
        """Return the outcome of each change, once all are on the disk and in the answers.

        Unavailable at once when too many are waiting, and where they cannot be written.
        """
        engine = self.opened()
        if not self._writes.acquire(blocking=False):
            raise Overloaded("too many changes are waiting")
        try:
            return await asyncio.wrap_future(engine.change(changes))
        except LiveError as e:
            log.error("changes were not written: %s", e)
            raise Unavailable("changes cannot be written now; the server's log says why") from None
        finally:
            self._writes.release()

    def close(self) -> None:
        """Let the answers in progress end, and drop those that wait."""
        self._threads.shutdown(cancel_futures=True)


def _answer(
    engine: ServedEngine, query: Query, stage: Stage, arrived: float, deadline_ms: int
) -> Slate:
    waited_ms = 1_000 * (perf_counter() - arrived)
    left_ms = int(deadline_ms - waited_ms)
    if left_ms < 1:
        raise Overloaded(
            f"waited {waited_ms:,.0f} ms for a free thread, longer than the deadline of "
            f"{deadline_ms:,} ms"
        )
    slate = engine.answer(msgspec.structs.replace(query, deadline_ms=left_ms), stage)
    timings_ms = {"wait": round(waited_ms, 3)} | slate.timings_ms
    return msgspec.structs.replace(slate, timings_ms=timings_ms)
