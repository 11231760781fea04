"""The failure of a stage, as told to whoever can answer without it, and to the log."""

import logging
from math import inf
from time import monotonic

QUIET_SECONDS = 60.0  # between two reports of the same fault: each request may meet it

log = logging.getLogger(__name__)


class StageFault(Exception):
    """A stage gave something that is no answer, such as not a number; the cause may say more."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"the stage `{stage}` failed")
        self.stage = stage


class FaultLog:
    """Writes faults that are survived to the log, each once a minute."""

    def __init__(self) -> None:
        self._reported: dict[str, float] = {}  # when, by fault

    def report(self, fault: str, error: Exception) -> None:
        """Write a fault with its error, unless it was written a moment ago."""
        now = monotonic()
        if now - self._reported.get(fault, -inf) >= QUIET_SECONDS:
            self._reported[fault] = now
            log.error("%s, and requests are answered without it", fault, exc_info=error)
