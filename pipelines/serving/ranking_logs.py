"""The ranking log of a server, for as long as it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.config.sections import Config
from pipelines.engine.ranking_log import RankLog
from pipelines.engine.stages.ranking import RankingListener


@contextmanager
def ranking_log(config: Config, say: Callable[[str], None]) -> Iterator[RankingListener | None]:
    """Open the log that is configured, if any, and close it at the end."""
    if not config.serve.log:
        yield None
        return
    log = RankLog(Path(config.serve.log))
    try:
        yield log.put
    finally:
        log.close()
        if log.dropped:
            say(f"{log.dropped:,} rankings were not logged: the disk was slow or full")
