"""The process that writes changes: opens the current release and the log, and takes changes."""

import logging
import threading
from pathlib import Path

from pipelines.ads.intake import WIRE as AD_WIRE
from pipelines.ads.intake import AdWriter
from pipelines.ads.ledger.records import AdItem, AdOutcome
from pipelines.errors import UserError
from pipelines.events.event_log import ActOutcome
from pipelines.events.intake import ERASURES, WIRE, event_writer
from pipelines.events.kept_act import KeptAct
from pipelines.events.people import Person, Receipt
from pipelines.live.remote.change_server import ChangeServer, LogServer
from pipelines.serving.hot_swap import EngineReloader, current_place
from pipelines.serving.progress_reports import Reports
from pipelines.serving.workers.protocol import Task

IDLE_SECONDS = 3_600.0  # between two looks at nothing, where no release is followed

log = logging.getLogger(__name__)


def write(task: Task, reports: Reports, ending: threading.Event) -> None:
    """Take changes until `ending` is set; a UserError where the release or log cannot be opened."""
    live = Path(task.config.serve.live)
    engines = EngineReloader(Path(task.releases), live=live, warm=False)
    ads = AdWriter(live, current_place(Path(task.releases)).zone)
    events = event_writer(live, task.config, Path(task.releases), ads.erase)
    acts: LogServer[KeptAct, ActOutcome] = LogServer(task.events_path, events.submit, WIRE)
    erasures: LogServer[Person, Receipt] = LogServer(task.people_path, events.erase, ERASURES)
    sales: LogServer[AdItem, AdOutcome] = LogServer(task.ads_path, ads.submit, AD_WIRE)
    try:
        engine = engines.open_first()
        server = ChangeServer(task.socket_path, engine.change)
        reports.answers(engine.release)
        del engine  # it has to leave memory when another follows
        seconds = task.config.serve.follow_seconds or IDLE_SECONDS
        while not ending.wait(engines.next_look(seconds)):
            _follow(engines, server)
        server.close()
    finally:
        sales.close()
        acts.close()
        erasures.close()
        events.close()
        ads.close()
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
