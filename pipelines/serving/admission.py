"""Lets a few requests into the engine at once, a few wait, and turns the rest away."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from time import perf_counter
from typing import Any, Protocol

import msgspec

from pipelines.config import ServeConfig
from pipelines.live.change_log import LiveError, Outcome
from pipelines.live.changes import Change
from retrieval import Query, Slate, Stage

WAITING_PER_THREAD = 32  # at 15 ms an answer, the last in the queue waits half a second
MOST_WRITING = 256  # requests whose changes are on their way to the disk

log = logging.getLogger(__name__)


class Answers(Protocol):
    """What the shop window asks of an engine; its methods are called from several threads."""

    release: str

    def answer(self, query: Query, stage: Stage = Stage.RANKING) -> Slate:
        """Return a page for this request, or RequestError."""
        ...

    def change(self, changes: Sequence[Change]) -> "Future[list[Outcome]]":
        """Take changes; what comes is the number of each, or why it was not taken."""
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
    """Nobody can answer this request now; trying again soon may help."""


class AdmissionControl:
    """Keeps the event loop free: every answer is made in one of its threads."""

    def __init__(self, engine: Answers | None, config: ServeConfig) -> None:
        self.engine = engine
        self._deadline_ms = config.deadline_ms
        self._threads = ThreadPoolExecutor(config.threads, thread_name_prefix="answer")
        self.takes_changes = bool(config.live)
        self._writing = BoundedSemaphore(MOST_WRITING)
        self._places = BoundedSemaphore(config.threads * (1 + WAITING_PER_THREAD))

    def opened(self) -> Answers:
        """Return the engine, or Unavailable while the release is still being read."""
        if self.engine is None:
            raise Unavailable("the release is still being read; /readyz tells when it is open")
        return self.engine

    async def answer(self, query: Query, stage: Stage = Stage.RANKING) -> Slate:
        """Return the engine's answer, or Unavailable at once when too many are waiting.

        The time in the queue counts towards the deadline, and is told as the stage `wait`.
        """
        engine = self.opened()
        arrived = perf_counter()
        deadline_ms = min(query.deadline_ms, self._deadline_ms)
        if not self._places.acquire(blocking=False):
            raise Unavailable("too many requests are waiting; try again in a second")
        try:
            future = self._threads.submit(_work, engine, query, stage, arrived, deadline_ms)
        except RuntimeError:  # the threads have been closed
            self._places.release()
            raise Unavailable("the server is stopping") from None
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    async def change(self, changes: Sequence[Change]) -> list[Outcome]:
        """Return what became of these changes, once they are on the disk and in the answers.

        Unavailable at once when too many are waiting, and where they cannot be written.
        """
        engine = self.opened()
        if not self._writing.acquire(blocking=False):
            raise Unavailable("too many changes are waiting; try again in a second")
        try:
            return await asyncio.wrap_future(engine.change(changes))
        except LiveError as e:
            log.error("changes were not written: %s", e)
            raise Unavailable("changes cannot be written now; the server's log says why") from None
        finally:
            self._writing.release()

    def close(self) -> None:
        """Let the answers in progress end, and drop those that wait."""
        self._threads.shutdown(cancel_futures=True)


def _work(engine: Answers, query: Query, stage: Stage, arrived: float, deadline_ms: int) -> Slate:
    waited_ms = 1_000 * (perf_counter() - arrived)
    left_ms = int(deadline_ms - waited_ms)
    if left_ms < 1:
        raise Unavailable(
            f"waited {waited_ms:,.0f} ms for a free thread, longer than the deadline of "
            f"{deadline_ms:,} ms; try again in a second"
        )
    slate = engine.answer(msgspec.structs.replace(query, deadline_ms=left_ms), stage)
    timings_ms = {"wait": round(waited_ms, 3)} | slate.timings_ms
    return msgspec.structs.replace(slate, timings_ms=timings_ms)
