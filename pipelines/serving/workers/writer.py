"""The process that writes changes: opens the current release and the log, and takes changes."""

import logging
import threading
from pathlib import Path

from pipelines.errors import UserError
from pipelines.live.remote.change_server import ChangeServer
from pipelines.serving.answering import Reports
from pipelines.serving.hot_swap import EngineReloader
from pipelines.serving.workers.protocol import Task

IDLE_SECONDS = 3_600.0  # between two looks at nothing, where no release is followed

log = logging.getLogger(__name__)


def write(task: Task, reports: Reports, ending: threading.Event) -> None:
    """Take changes until `ending` is set; a UserError where the release or log cannot be opened."""
    engines = EngineReloader(Path(task.releases), live=Path(task.config.serve.live), warm=False)
    try:
        engine = engines.open_first()
        server = ChangeServer(task.socket_path, engine.change)
        reports.answers(engine.release)
        while not ending.wait(task.config.serve.follow_seconds or IDLE_SECONDS):
            _follow(engines, server)
        server.close()
    finally:
        engines.close()


def _follow(engines: EngineReloader, server: ChangeServer) -> None:
    """Prepare changes with the current release; the answering processes say what is wrong."""
    try:
        engine = engines.open_next()
        if engine is not None:
            server.replace(engine.change)
            engines.promote(engine)
    except UserError as e:
        log.debug("the writer stays with its release: %s", e)
    except Exception:  # of any kind: changes are taken as before
        log.exception("the writer stays with its release")
