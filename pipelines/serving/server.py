"""Serves a folder of releases: puts the parts together, and ends at a signal."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.config.sections import Config
from pipelines.engine.ranking_log import RankLog
from pipelines.serving.admission import ServedEngine
from pipelines.serving.answering import Answering, Composition, EngineSource
from pipelines.serving.app import create_app
from pipelines.serving.connections.listening import bound_socket, listening_address, url_of

STOPS = (signal.SIGINT, signal.SIGTERM)


def serve(
    releases: Path, config: Config, *, host: str | None = None, port: int | None = None
) -> None:
    """Answer from the current release until SIGINT or SIGTERM; port 0 takes a free one.

    When another release becomes current it is opened beside the one that answers, and answers
    then; one that cannot be opened is reported, and the one before goes on.
    A port that is taken, and a release that cannot be opened, are a UserError.
    """
    with compose(releases, config) as server:
        run(server, bound_socket(listening_address(config, host, port)), config.serve.drain_seconds)


def serve_engine(
    open_engine: Callable[[], ServedEngine],
    config: Config,
    *,
    host: str | None = None,
    port: int | None = None,
    successors: EngineSource | None = None,
) -> None:
    """Answer from any engine; it is opened while the port already answers /healthz."""
    server = compose_over(open_engine, config, successors)
    run(server, bound_socket(listening_address(config, host, port)), config.serve.drain_seconds)


@contextmanager
def compose(releases: Path, config: Config) -> Iterator[Composition]:
    """Put together the server of a folder of releases, and close its logs at the end."""
    from pipelines.serving.hot_swap import EngineReloader  # loads torch and FAISS

    live = Path(config.serve.live) if config.serve.live else None
    log = RankLog(Path(config.serve.log)) if config.serve.log else None
    engines = EngineReloader(releases, watch=log.put if log else None, live=live)
    try:
        yield compose_over(engines.open_first, config, engines)
    finally:
        engines.close()
        if log:
            log.close()
            if log.dropped:
                lost = f"{log.dropped:,} rankings"
                say(f"{lost} were not logged: the disk was slow or full")


def compose_over(
    open_engine: Callable[[], ServedEngine], config: Config, successors: EngineSource | None
) -> Composition:
    """Put together a server that opens its engine so."""
    app = create_app(None, config)
    return Composition(app, open_engine, successors, config.serve.follow_seconds)


def run(server: Composition, listener: socket.socket, notice_seconds: float) -> None:
    """Serve until SIGINT or SIGTERM; an engine that cannot be opened is a UserError.

    After SIGTERM /readyz says 503 for `notice_seconds` before the port is closed, so that a load
    balancer sees it; a person who presses Ctrl-C does not wait for that.
    """
    asyncio.run(_run(Answering(server, Console(url_of(listener))), listener, notice_seconds))


async def _run(answering: Answering, listener: socket.socket, notice_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    ending: list[asyncio.Task[None]] = []

    def stop(number: signal.Signals) -> None:
        if ending:  # the second signal
            os._exit(128 + number)
        notice = 0.0 if number == signal.SIGINT else notice_seconds
        ending.append(loop.create_task(answering.end(notice)))

    for number in STOPS:
        loop.add_signal_handler(number, stop, number)
    await answering.serve(listener)


class Console:
    """Tells on standard output how far the server is."""

    def __init__(self, url: str) -> None:
        self._url = url

    def listens(self) -> None:
        """Say that the port is open."""
        self.say(f"{self._url} is open; reading the release")

    def answers(self, release: str) -> None:
        """Say that requests are answered."""
        self.say(f"{self._url} answers from release {release}; Ctrl-C stops it")

    def say(self, line: str) -> None:
        """Write a line."""
        say(line)


def say(line: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
