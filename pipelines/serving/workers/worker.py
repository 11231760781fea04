"""A process that answers: reads the log of changes that the writer writes, and forwards to it."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipelines.ads.ad_consent import AdConsent
from pipelines.ads.ad_serving import AdServing
from pipelines.ads.intake import AdForwarder
from pipelines.engine.engine import Engine
from pipelines.events.intake import EventForwarder
from pipelines.live.remote.change_client import ChangeClient, connect
from pipelines.live.remote.change_tail import ChangeTail
from pipelines.serving.answering import Answering, Composition, beside_the_loop
from pipelines.serving.app import create_app
from pipelines.serving.hot_swap import SOON_SECONDS, EngineReloader
from pipelines.serving.progress_reports import Reports
from pipelines.serving.ranking_logs import ranking_log
from pipelines.serving.workers.protocol import TURN, End, Task

WRITER_SECONDS = 3_600.0  # until the writer has opened its release; it ends us where it cannot


class InTurn:
    """Opens releases as EngineReloader does, one worker of a server at a time.

    Two releases are in the memory of the worker whose turn it is, and one in all others: a turn
    ends at the first look that finds the old release out of memory. The next turn is another's,
    where another waits.
    """

    def __init__(self, engines: EngineReloader, lock: Path) -> None:
        self._engines = engines
        self._lock = FileLock(lock, thread_local=False)
        self._waiting = False  # for the turn of another process to end

    def open_next(self) -> Engine | None:
        """Return the next engine, opened; None where there is none, or another has the turn.

        None, too, where the turn of this process has not ended: its old engine still answers.
        """
        if not self._engines.settle():
            return None
        if self._lock.is_locked:  # by a turn that ended
            self._lock.release()
            return None
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            self._waiting = True
            return None
        self._waiting, engine = False, None
        try:
            engine = self._engines.open_next()
        finally:
            if engine is None:
                self._lock.release()
        return engine

    def promote(self, engine: Engine) -> None:
        """Make `engine` the serving one; a later `open_next` leaves the turn to another process."""
        self._engines.promote(engine)

    def next_look(self, regular: float) -> float:
        """Return the seconds until `open_next` is due: less during a switch, here or elsewhere."""
        return min(SOON_SECONDS, regular) if self._waiting else self._engines.next_look(regular)


async def answer(
    task: Task, listener: socket.socket, reports: Reports, end: Callable[[], End]
) -> None:
    """Answer on a socket until `end`, called in a thread, returns."""
    with ranking_log(task.config, reports.say) as watch:
        if not task.config.serve.live:
            engines = EngineReloader(Path(task.releases), watch=watch, consent=task.config.consent)
            await _serve(task, engines, (None, None), listener, reports, end)
            return
        folder = Path(task.config.serve.live)
        events = EventForwarder(folder, task.events_path, task.people_path, task.config.people)
        ads = AdForwarder(folder, task.ads_path)
        serving = AdServing(ads, task.config, AdConsent(task.config.consent, events.profiles))
        engines = EngineReloader(
            Path(task.releases),
            watch=watch,
            live=partial(open_tail, task, ads),
            profiles=events.profiles,
            ads=serving,
            consent=task.config.consent,
        )
        with closing(events), closing(ads), closing(serving), closing(engines):
            await _serve(task, engines, (events, serving), listener, reports, end)


async def _serve(
    task: Task,
    engines: EngineReloader,
    live: tuple[EventForwarder | None, AdServing | None],
    listener: socket.socket,
    reports: Reports,
    end: Callable[[], End],
) -> None:
    server = Composition(
        create_app(None, task.config, *live),
        engines.open_first,
        InTurn(engines, Path(task.folder) / TURN),
        task.config.serve.follow_seconds,
    )
    answering = Answering(server, reports)

    async def end_when_told() -> None:
        await answering.end((await beside_the_loop(end, "control")).notice_seconds)

    ending: asyncio.Task[Any] = asyncio.create_task(end_when_told())
    try:
        await answering.serve(listener, port_first=task.port_first)
    finally:
        ending.cancel()


def open_tail(task: Task, ads: AdForwarder) -> ChangeTail:
    """Return the log of changes that the writer writes, once the writer has opened its logs."""
    connect(task.socket_path, WRITER_SECONDS).close()
    ads.follow()
    return ChangeTail(Path(task.config.serve.live), ChangeClient(task.socket_path))
