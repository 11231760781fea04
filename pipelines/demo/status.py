"""Writes how far the demo is, for the page: which releases there are, and the time left."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from pipelines.demo.plan import RELEASES
from pipelines.errors import first_line
from pipelines.release.build_status import BuildStatus, PlannedRelease, write_status
from pipelines.release.manifest import Manifest

BEAT_SECONDS = 2.0


class StatusWriter:
    """Keeps the status file true while steps are run one after the other.

    The time that is left is the usual time of the steps that are left, times how much slower than
    usual the steps of this run were.
    """

    def __init__(self, releases: Path, built: Sequence[Manifest | None]) -> None:
        self._releases = releases
        self._status = BuildStatus(releases=tuple(map(_planned, RELEASES, built)))
        self._usual, self._spent, self._ahead = 0.0, 0.0, 0.0  # seconds
        self._step, self._started = 0.0, 0.0  # usual seconds of the step in progress, its start
        self._lock = threading.Lock()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Write the file every BEAT_SECONDS until the block ends, and then why it ended."""
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(over,), daemon=True)
        thread.start()
        failed = ""
        try:
            yield
        except Exception as e:
            failed = first_line(e)
            raise
        finally:
            over.set()
            thread.join()
            self._write(doing="", failed=failed)

    @contextmanager
    def during(self, label: str, seconds: float, ahead: float) -> Iterator[None]:
        """Tell that a step is in progress, which usually takes `seconds`, and `ahead` the rest."""
        self._step, self._ahead, self._started = seconds, ahead, time.monotonic()
        self._write(doing=label)
        yield
        self._usual += seconds
        self._spent += time.monotonic() - self._started
        self._step = 0.0

    def add_release(self, place: int, name: str, *, dark: bool) -> None:
        """Tell that a release of the plan was built."""
        planned = list(self._status.releases)
        planned[place] = msgspec.structs.replace(planned[place], name=name, dark=dark)
        self._write(releases=tuple(planned))

    def seconds_left(self) -> float:
        """Return about how long the plan will still take."""
        pace = self._spent / self._usual if self._usual else 1.0
        spent = time.monotonic() - self._started
        return max(self._step * pace - spent, 0.0) + self._ahead * pace

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(BEAT_SECONDS):
            self._write()

    def _write(self, **news: Any) -> None:
        with self._lock:
            self._status = msgspec.structs.replace(
                self._status, **news, seconds_left=self.seconds_left(), written_at=time.time()
            )
            with suppress(OSError):  # a full disk is told of by the step that needs it
                write_status(self._releases, self._status)


def _planned(release: Any, manifest: Manifest | None) -> PlannedRelease:
    if manifest is None:
        return PlannedRelease(adds=release.adds)
    dark = manifest.gate is not None and not manifest.gate.opens
    return PlannedRelease(adds=release.adds, name=manifest.name, dark=dark)
