"""Runs the door on granian: opens the port at once, the release behind it, and stops cleanly."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from pipelines.config import Config
from pipelines.engine.ranking_log import RankLog
from pipelines.errors import UserError
from pipelines.serving.admission import AdmissionControl, Answers
from pipelines.serving.app import create_app

STOPS = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


class EngineSource(Protocol):
    """Where the next engine comes from; its methods are called from a thread beside the loop."""

    def open_next(self) -> Answers | None:
        """Return an engine to answer with from now on, opened; None: go on. UserError, once."""
        ...

    def promote(self, engine: Any) -> None:
        """Hear that the server answers with this engine now."""
        ...


def serve(
    releases: Path, config: Config, *, host: str | None = None, port: int | None = None
) -> None:
    """Answer from the current release until SIGINT or SIGTERM; port 0 takes a free one.

    When another release becomes current it is opened beside the one that answers, and answers
    then; one that cannot be opened is told of, and the one before goes on.
    A port that is taken, and a release that cannot be opened, are a UserError.
    """
    from pipelines.serving.hot_swap import EngineReloader  # loads torch and FAISS

    live = Path(config.serve.live) if config.serve.live else None
    log = RankLog(Path(config.serve.log)) if config.serve.log else None
    engines = EngineReloader(releases, watch=log.put if log else None, live=live)
    try:
        serve_engine(engines.open_first, config, host=host, port=port, successors=engines)
    finally:
        engines.close()
        if log:
            log.close()
            if log.dropped:
                _say(f"{log.dropped:,} rankings were not logged: the disk was slow or full")


def serve_engine(
    open_engine: Callable[[], Answers],
    config: Config,
    *,
    host: str | None = None,
    port: int | None = None,
    successors: EngineSource | None = None,
) -> None:
    """The same for any engine; it is opened while the port already answers /healthz."""
    host, port = free_address(
        config.serve.host if host is None else host, config.serve.port if port is None else port
    )
    asyncio.run(_serve(open_engine, config, (host, port), successors))


def free_address(host: str, port: int) -> tuple[str, int]:
    """Return the IP address and port to listen on; UserError if nobody can listen there.

    Asked without SO_REUSEPORT, under which two servers would share a port without a word.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            address, chosen, *_ = probe.getsockname()
            return str(address), int(chosen)
    except OSError as e:
        raise UserError(
            f"cannot listen on {host}:{port}: {e.strerror or e}; stop what listens there, "
            "or choose another with --port (0: any free one)"
        ) from None


async def _serve(
    open_engine: Callable[[], Answers],
    config: Config,
    at: tuple[str, int],
    successors: EngineSource | None,
) -> None:
    host, port = at
    app = create_app(None, config)
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.error,
    )
    stop: Callable[[], None] = server.stop
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    serving = asyncio.create_task(server.serve())
    opening = asyncio.create_task(asyncio.to_thread(open_engine))
    await _until_it_listens(serving, host, port)
    _say(f"{address} is open; reading the release")
    try:
        await asyncio.wait({serving, opening}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            app.state.desk.engine = engine = await opening
            _say(f"{address} answers from release {engine.release}; Ctrl-C stops it")
            if successors is not None and config.serve.follow_seconds:
                following = asyncio.create_task(
                    _follow(app.state.desk, successors, config.serve.follow_seconds)
                )
                await serving
                following.cancel()
    finally:
        if opening.done() and opening.exception():
            stop()
        await serving


async def _follow(desk: AdmissionControl, successors: EngineSource, seconds: float) -> None:
    """Answer with the next engine as soon as there is one, for ever."""
    while True:
        await asyncio.sleep(seconds)
        served = desk.opened().release
        try:
            engine = await asyncio.to_thread(successors.open_next)
            if engine is not None:
                desk.engine = engine
                _say(f"release {engine.release} answers now, after {served}")
                await asyncio.to_thread(successors.promote, engine)
        except UserError as e:
            _say(f"{e}; release {served} answers on")
        except Exception:  # of any kind: what answers goes on, and the next release may do better
            logger.exception("no other release follows; %s answers on", desk.opened().release)


async def _until_it_listens(serving: asyncio.Task[None], host: str, port: int) -> None:
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
