"""The engines of one server, one after the other: each of the release that was current then."""

import gc
from pathlib import Path

from pipelines.engine import Engine, Watch
from pipelines.errors import ReleaseError
from pipelines.release import current


class Succession:
    """Opens the engine of the current release, and the next one when another is.

    Called by one thread at a time. Two releases are in memory from the opening of the next until
    the answers in progress of the one before have ended.
    """

    def __init__(
        self, releases: Path, watch: Watch | None = None, live: Path | None = None
    ) -> None:
        self._releases = releases
        self._watch, self._live = watch, live
        self._serving: Engine | None = None
        self._refused = ""  # a release
        self._complaint = ""  # of CURRENT

    def first(self) -> Engine:
        """Open the current release, and its log of changes where there is one."""
        self._serving = Engine.open(self._releases, watch=self._watch, live=self._live)
        return self._serving

    def next(self) -> Engine | None:
        """Return the engine of the current release, opened; None where it is served already.

        It knows every change of the log. UserError, once, where it cannot be opened.
        """
        assert self._serving is not None, "first() comes first"
        name = self._current()
        if name in (self._serving.release, self._refused):
            return None
        self._refused = name  # unless it can be opened
        engine = Engine.open(self._releases, name)
        engine.succeed(self._serving)
        self._refused = ""
        return engine

    def _current(self) -> str:
        """Return what CURRENT names; where it names nothing, complain once and go on as before."""
        assert self._serving is not None, "first() comes first"
        try:
            name = current(self._releases)
        except ReleaseError as e:
            if str(e) == self._complaint:
                return self._serving.release
            self._complaint = str(e)
            raise
        self._complaint = ""
        return name

    def settle(self, engine: Engine) -> None:
        """Let go of the engine before this one, with which the server answers from now on."""
        assert self._serving is not None, "first() comes first"
        self._serving.retire()
        self._serving = engine
        gc.collect()  # the one before knows itself by its caches

    def close(self) -> None:
        """Write the changes that wait, and take no more."""
        if self._serving is not None:
            self._serving.close()
