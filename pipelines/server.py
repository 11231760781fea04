"""Runs the door on granian: opens the port at once, the release behind it, and stops cleanly."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from pipelines.config import Config
from pipelines.desk import Answers
from pipelines.errors import UserError
from pipelines.http import create_app
from pipelines.rank_log import RankLog

STOPS = (signal.SIGINT, signal.SIGTERM)


def serve(
    releases: Path, config: Config, *, host: str | None = None, port: int | None = None
) -> None:
    """Answer from the current release until SIGINT or SIGTERM; port 0 takes a free one.

    A port that is taken, and a release that cannot be opened, are a UserError.
    """
    from pipelines.engine import Engine  # loads torch and FAISS

    live = Path(config.serve.live) if config.serve.live else None
    opened: list[Engine] = []

    def open_engine() -> Engine:
        opened.append(Engine.open(releases, watch=watch, live=live))
        return opened[0]

    log = RankLog(Path(config.serve.log)) if config.serve.log else None
    watch = log.put if log else None
    try:
        serve_engine(open_engine, config, host=host, port=port)
    finally:
        for engine in opened:
            engine.close()
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
) -> None:
    """The same for any engine; it is opened while the port already answers /healthz."""
    host, port = free_address(
        config.serve.host if host is None else host, config.serve.port if port is None else port
    )
    asyncio.run(_serve(open_engine, config, host, port))


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


async def _serve(open_engine: Callable[[], Answers], config: Config, host: str, port: int) -> None:
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
    finally:
        if opening.done() and opening.exception():
            stop()
        await serving


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
