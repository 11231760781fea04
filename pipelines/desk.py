"""Lets a few requests into the engine at once, a few wait, and turns the rest away."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from time import perf_counter
from typing import Any, Protocol

import msgspec

from pipelines.config import ServeConfig
from retrieval import Query, Slate, Stage

WAITING_PER_THREAD = 32  # at 15 ms an answer, the last in the queue waits half a second


class Answers(Protocol):
    """What the shop window asks of an engine; its methods are called from several threads."""

    release: str

    def answer(self, query: Query, stage: Stage = Stage.RANKING) -> Slate:
        """Return a page for this request, or RequestError."""
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


class Desk:
    """Keeps the event loop free: every answer is made in one of its threads."""

    def __init__(self, engine: Answers | None, config: ServeConfig) -> None:
        self.engine = engine
        self._deadline_ms = config.deadline_ms
        self._threads = ThreadPoolExecutor(config.threads, thread_name_prefix="answer")
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
