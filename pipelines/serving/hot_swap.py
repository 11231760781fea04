"""The engines of one server, one after the other: each of the release that was current then."""

import gc
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from pipelines.engine.engine import Engine, RankingListener
from pipelines.errors import ReleaseError, UserError
from pipelines.release.store import CURRENT, current

PAUSE = 60.0  # seconds, before what failed for a reason of the machine's is tried again


class Named(NamedTuple):
    """What CURRENT names, and which writing of it that is: each is a file of its own."""

    release: str
    file: tuple[int, int] = (0, 0)


class EngineReloader:
    """Opens the engine of the current release, and the next one when another is.

    Called by one thread at a time. Two releases are in memory from the opening of the next until
    the answers in progress of the one before have ended.
    """

    def __init__(
        self, releases: Path, watch: RankingListener | None = None, live: Path | None = None
    ) -> None:
        self._releases = releases
        self._watch, self._live = watch, live
        self._serving: Engine | None = None
        self._refused = Named("")
        self._again_at = 0.0  # by the clock that never goes back
        self._complaint = ""  # of CURRENT

    def open_first(self) -> Engine:
        """Open the current release, and its log of changes where there is one."""
        self._serving = Engine.open(self._releases, watch=self._watch, live=self._live)
        return self._serving

    def open_next(self) -> Engine | None:
        """Return the engine of the current release, opened; None where it is served already.

        It knows every change of the log. One that cannot be opened is a UserError, once for each
        time that CURRENT is pointed at it; any other error comes again after a minute.
        """
        assert self._serving is not None, "first() comes first"
        named = self._current()
        if named.release == self._serving.release:
            self._refused = Named("")
            return None
        if named == self._refused and monotonic() < self._again_at:
            return None
        self._refused, self._again_at = named, monotonic() + PAUSE  # unless it can be opened
        try:
            engine = Engine.open(self._releases, named.release)
            engine.take_over(self._serving)
        except UserError:
            self._again_at = float("inf")
            raise
        self._refused = Named("")
        return engine

    def _current(self) -> Named:
        """Return what CURRENT names; where it names nothing, complain once and go on as before."""
        assert self._serving is not None, "first() comes first"
        try:
            name = current(self._releases)
        except ReleaseError as e:
            if str(e) == self._complaint:
                return Named(self._serving.release)
            self._complaint = str(e)
            raise
        self._complaint = ""
        told = (self._releases / CURRENT).stat()
        return Named(name, (told.st_ino, told.st_mtime_ns))

    def promote(self, engine: Engine) -> None:
        """Let go of the engine before this one, with which the server answers from now on."""
        assert self._serving is not None, "first() comes first"
        self._serving.detach()
        self._serving = engine
        gc.collect()  # the one before knows itself by its caches

    def close(self) -> None:
        """Write the changes that wait, and take no more."""
        if self._serving is not None:
            self._serving.close()
