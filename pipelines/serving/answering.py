"""Answers in one process: opens the port, then the release, follows it, and ends when told to."""

import asyncio
import atexit
import logging
import os
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from litestar import Litestar

from pipelines.errors import UserError
from pipelines.serving.admission import AdmissionControl, ServedEngine
from pipelines.serving.connections.http_server import HttpServer
from pipelines.serving.progress_reports import Reports

ACCEPT_SECONDS = 0.3  # for connections that are being made when no more are
DRAIN_SECONDS = 3.0  # for the answers in progress, before the port is closed
THREAD = "opening"  # name of a thread that nobody waits for when the process ends

logger = logging.getLogger(__name__)
T = TypeVar("T")


class EngineSource(Protocol):
    """Where the next engine comes from; its methods are called from a thread beside the loop."""

    def open_next(self) -> ServedEngine | None:
        """Return an engine to answer with from now on, opened; None: go on. UserError, once."""
        ...

    def promote(self, engine: Any) -> None:
        """Make `engine` the serving one: the server answers with it now."""
        ...

    def next_look(self, regular: float) -> float:
        """Return the seconds until `open_next` is due, at most `regular`; it is quick."""
        ...


class Composition(NamedTuple):
    """The parts of one server, put together and not yet running."""

    app: Litestar
    open_engine: Callable[[], ServedEngine]
    successors: EngineSource | None
    follow_seconds: float  # between two looks for a successor, at most

    @property
    def admission(self) -> AdmissionControl:
        """The admission control of the application."""
        admission: AdmissionControl = self.app.state.admission
        return admission


class Answering:
    """One server that answers on one socket, within a running event loop."""

    def __init__(self, server: Composition, reports: Reports) -> None:
        self._server = server
        self._reports = reports
        self._http = HttpServer(server.app)
        self._stopped = asyncio.Event()

    async def serve(self, listener: socket.socket, *, port_first: bool = True) -> None:
        """Open the port and the engine, and answer until `end`; raise what opening raises.

        With `port_first` the port already answers /healthz while the engine is opened; without,
        other processes answer on it meanwhile.
        """
        opening = asyncio.create_task(self._open())
        stopping = asyncio.create_task(self._stopped.wait())
        if not port_first:
            await first_of(opening, stopping)
        serving = asyncio.create_task(self._http.serve(listener))
        try:
            await self._http.listening()
            self._reports.listens()
            await first_of(opening, serving, stopping)
            if not self._stopped.is_set():
                self._reports.answers(await opening)
                await self._until_ended(serving)
        finally:
            opening.cancel()
            stopping.cancel()
            self._http.stop()
            await serving
            leave_threads()

    async def end(self, notice_seconds: float) -> None:
        """End in order: not ready for so long, then no new connections, then the port is closed."""
        admission = self._server.admission
        admission.draining = True
        await asyncio.sleep(notice_seconds)
        self._http.refuse_connections()
        await asyncio.sleep(ACCEPT_SECONDS)
        last = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while admission.busy and asyncio.get_running_loop().time() < last:
            await asyncio.sleep(0.02)
        self._stopped.set()
        self._http.stop()

    async def _open(self) -> str:
        """Open the first engine and answer with it; return its release.

        Nothing else keeps the engine, which has to leave memory when another follows.
        """
        engine = await beside_the_loop(self._server.open_engine)
        self._server.admission.engine = engine
        return engine.release

    async def _until_ended(self, serving: "asyncio.Task[None]") -> None:
        """Follow the current release, where there are successors, while the port is open."""
        successors, seconds = self._server.successors, self._server.follow_seconds
        if successors is None or not seconds:
            await asyncio.wait({serving})
            return
        following = asyncio.create_task(self._follow(successors, seconds))
        await asyncio.wait({serving})
        following.cancel()

    async def _follow(self, successors: EngineSource, seconds: float) -> None:
        """Answer with the next engine as soon as there is one, for ever."""
        admission, say = self._server.admission, self._reports.say
        while True:
            await asyncio.sleep(successors.next_look(seconds))
            serving = admission.opened().release
            try:
                engine = await beside_the_loop(successors.open_next)
                if engine is not None:
                    admission.engine = engine
                    say(f"release {engine.release} answers now, after {serving}")
                    await beside_the_loop(partial(successors.promote, engine))
            except UserError as e:
                say(f"{e}; release {serving} answers on")
            except Exception:  # of any kind: what answers goes on, and the next may do better
                logger.exception("no other release follows; %s answers on", serving)


async def first_of(*futures: "asyncio.Future[Any]") -> None:
    """Wait until one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def beside_the_loop(work: Callable[[], T], name: str = THREAD) -> "asyncio.Future[T]":
    """Run `work` in a thread for which the end of the process does not wait."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(done: Callable[[], None]) -> None:
        if not result.done():
            done()

    def run() -> None:
        try:
            outcome = work()
        except BaseException as e:
            done = partial(result.set_exception, e)
        else:
            done = partial(result.set_result, outcome)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, done)

    threading.Thread(target=run, name=name, daemon=True).start()
    return result


def leave_threads() -> None:
    """End the process at its exit without those of our threads that are still in work.

    The interpreter would take away the ground under a thread that is within torch or FAISS.
    """
    if any(one.name.startswith(THREAD) for one in threading.enumerate()):
        atexit.register(os._exit, 0)
