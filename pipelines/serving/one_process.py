"""A server in this process alone: from a folder of releases, or from any engine."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from pipelines.ads.ad_consent import AdConsent
from pipelines.ads.ad_serving import AdServing
from pipelines.ads.intake import AdWriter
from pipelines.config.sections import Config
from pipelines.events.intake import EventIntake, event_writer
from pipelines.serving.admission import ServedEngine
from pipelines.serving.answering import Answering, Composition, EngineSource
from pipelines.serving.app import create_app
from pipelines.serving.connections.listening import bound_socket, listening_address
from pipelines.serving.console import Console, say
from pipelines.serving.progress_reports import Reports
from pipelines.serving.ranking_logs import ranking_log
from pipelines.serving.stopping import on_stop_signals


def serve_releases(
    releases: Path, config: Config, listener: socket.socket, reports: Reports
) -> None:
    """Answer from the current release of a folder, and follow it."""
    with compose(releases, config) as server:
        run(server, listener, reports, config.serve.drain_seconds)


def serve_engine(
    open_engine: Callable[[], ServedEngine],
    config: Config,
    *,
    host: str | None = None,
    port: int | None = None,
    successors: EngineSource | None = None,
) -> None:
    """Answer from any engine, in this process; the port answers /healthz while it is opened."""
    listener = bound_socket(listening_address(config, host, port))
    server = compose_over(open_engine, config, successors)
    run(server, listener, Console(listener), config.serve.drain_seconds)


@contextmanager
def compose(releases: Path, config: Config) -> Iterator[Composition]:
    """Put together the server of a folder of releases, and close its logs at the end."""
    from pipelines.serving.hot_swap import EngineReloader, current_place  # loads FAISS

    live = Path(config.serve.live) if config.serve.live else None
    with ExitStack() as stack:
        events, serving = None, None
        if live is not None:
            ads = stack.enter_context(closing(AdWriter(live, current_place(releases).zone)))
            events = stack.enter_context(closing(event_writer(live, config, releases, ads.erase)))
            serving = stack.enter_context(
                closing(AdServing(ads, config, AdConsent(config.consent, events.profiles)))
            )
        watch = stack.enter_context(ranking_log(config, say))
        profiles = None if events is None else events.profiles
        engines = EngineReloader(
            releases,
            watch=watch,
            live=live,
            profiles=profiles,
            ads=serving,
            consent=config.consent,
        )
        stack.enter_context(closing(engines))
        yield compose_over(engines.open_first, config, engines, events, serving)


def compose_over(
    open_engine: Callable[[], ServedEngine],
    config: Config,
    successors: EngineSource | None,
    events: EventIntake | None = None,
    ads: AdServing | None = None,
) -> Composition:
    """Put together a server that opens its engine so."""
    return Composition(
        create_app(None, config, events, ads), open_engine, successors, config.serve.follow_seconds
    )


def run(
    server: Composition, listener: socket.socket, reports: Reports, notice_seconds: float
) -> None:
    """Serve until SIGINT or SIGTERM; an engine that cannot be opened is a UserError.

    After SIGTERM /readyz says 503 for `notice_seconds` before the port is closed, so that a load
    balancer sees it; a person who presses Ctrl-C does not wait for that.
    """
    asyncio.run(_run(Answering(server, reports), listener, notice_seconds))


async def _run(answering: Answering, listener: socket.socket, notice_seconds: float) -> None:
    on_stop_signals(answering.end, notice_seconds)
    await answering.serve(listener)
