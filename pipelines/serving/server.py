"""Runs the HTTP server on granian: opens the port, then the release, and stops cleanly."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar import Litestar

from pipelines.config.sections import Config
from pipelines.engine.ranking_log import RankLog
from pipelines.errors import UserError
from pipelines.serving.admission import AdmissionControl, ServedEngine
from pipelines.serving.app import create_app

STOPS = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


Address = tuple[str, int]  # IP address and port


class EngineSource(Protocol):
    """Where the next engine comes from; its methods are called from a thread beside the loop."""

    def open_next(self) -> ServedEngine | None:
        """Return an engine to answer with from now on, opened; None: go on. UserError, once."""
        ...

    def promote(self, engine: Any) -> None:
        """Make `engine` the serving one: the server answers with it now."""
        ...


class Composition(NamedTuple):
    """The parts of one server, put together and not yet running."""

    app: Litestar
    open_engine: Callable[[], ServedEngine]
    successors: EngineSource | None
    follow_seconds: float  # between two looks for a successor

    @property
    def admission(self) -> AdmissionControl:
        """The admission control of the application."""
        admission: AdmissionControl = self.app.state.admission
        return admission


def serve(
    releases: Path, config: Config, *, host: str | None = None, port: int | None = None
) -> None:
    """Answer from the current release until SIGINT or SIGTERM; port 0 takes a free one.

    When another release becomes current it is opened beside the one that answers, and answers
    then; one that cannot be opened is reported, and the one before goes on.
    A port that is taken, and a release that cannot be opened, are a UserError.
    """
    with compose(releases, config) as server:
        run(server, listening_address(config, host, port))


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
    run(server, listening_address(config, host, port))


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
                _say(f"{log.dropped:,} rankings were not logged: the disk was slow or full")


def compose_over(
    open_engine: Callable[[], ServedEngine], config: Config, successors: EngineSource | None
) -> Composition:
    """Put together a server that opens its engine so."""
    app = create_app(None, config)
    return Composition(app, open_engine, successors, config.serve.follow_seconds)


def run(server: Composition, address: Address) -> None:
    """Serve until SIGINT or SIGTERM; an engine that cannot be opened is a UserError."""
    asyncio.run(_run(server, address))


def listening_address(config: Config, host: str | None, port: int | None) -> Address:
    """Return the address to listen on: these, else those of the configuration."""
    serve = config.serve
    return free_address(serve.host if host is None else host, serve.port if port is None else port)


def free_address(host: str, port: int) -> Address:
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


async def _run(server: Composition, address: Address) -> None:
    """Open the port, then the engine, and answer until a signal stops the server."""
    granian = _listener(server.app, address)
    stop: Callable[[], None] = granian.stop
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop)
    serving = asyncio.create_task(granian.serve())
    opening = asyncio.create_task(asyncio.to_thread(server.open_engine))
    await _until_it_listens(serving, address)
    _say(f"{_url(address)} is open; reading the release")
    try:
        await asyncio.wait({serving, opening}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            engine = server.admission.engine = await opening
            _say(f"{_url(address)} answers from release {engine.release}; Ctrl-C stops it")
            await _until_stopped(server, serving)
    finally:
        if opening.done() and opening.exception():
            stop()
        await serving


def _listener(app: Litestar, address: Address) -> Server:
    """Return granian on an address, not yet serving."""
    host, port = address
    return Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.error,
    )


async def _until_stopped(server: Composition, serving: "asyncio.Task[None]") -> None:
    """Follow the current release, where there are successors, while the port is open."""
    if server.successors is None or not server.follow_seconds:
        return
    following = asyncio.create_task(
        _follow(server.admission, server.successors, server.follow_seconds)
    )
    await serving
    following.cancel()


async def _follow(admission: AdmissionControl, successors: EngineSource, seconds: float) -> None:
    """Answer with the next engine as soon as there is one, for ever."""
    while True:
        await asyncio.sleep(seconds)
        serving = admission.opened().release
        try:
            engine = await asyncio.to_thread(successors.open_next)
            if engine is not None:
                admission.engine = engine
                _say(f"release {engine.release} answers now, after {serving}")
                await asyncio.to_thread(successors.promote, engine)
        except UserError as e:
            _say(f"{e}; release {serving} answers on")
        except Exception:  # of any kind: what answers goes on, and the next release may do better
            logger.exception("no other release follows; %s answers on", admission.opened().release)


async def _until_it_listens(serving: "asyncio.Task[None]", address: Address) -> None:
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(*address)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


def _url(address: Address) -> str:
    host, port = address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
