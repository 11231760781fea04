"""The failure of a stage, as told to whoever can answer without it, and to the log."""

import logging
from time import monotonic

QUIET_SECONDS = 60.0  # between two reports of the same fault: each request may meet it

log = logging.getLogger(__name__)
_reported: dict[str, float] = {}  # when, by fault


class StageFault(Exception):
    """A stage gave something that is no answer, such as not a number; the cause may say more."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"the stage `{stage}` failed")
        self.stage = stage


def report(fault: str, error: Exception) -> None:
    """Write a fault that is survived to the log, once a minute."""
    now = monotonic()
    if now - _reported.get(fault, -QUIET_SECONDS) >= QUIET_SECONDS:
        _reported[fault] = now
        log.error("%s, and requests are answered without it", fault, exc_info=error)
