"""Serves a folder of releases: in this process, or in several that a light process supervises."""

import asyncio
from pathlib import Path

from pipelines.absent_pandas import leave_pandas_out
from pipelines.config.sections import Config
from pipelines.serving.connections.listening import bound_socket, listening_address
from pipelines.serving.console import Console
from pipelines.serving.workers.supervisor import supervise


def serve(
    releases: Path, config: Config, *, host: str | None = None, port: int | None = None
) -> None:
    """Answer from the current release until SIGINT or SIGTERM; port 0 takes a free one.

    When another release becomes current it is opened beside the one that answers, and answers
    then; one that cannot be opened is reported, and the one before goes on.
    A port that is taken, and a release that cannot be opened, are a UserError.
    """
    listener = bound_socket(listening_address(config, host, port))
    console = Console(listener)
    if config.serve.workers > 1:
        asyncio.run(supervise(releases, config, listener, console))
        return
    leave_pandas_out()  # it loads pyarrow, which the supervisor does without
    from pipelines.serving.one_process import serve_releases  # loads the application

    serve_releases(releases, config, listener, console)
