"""Swaps engines without downtime: opens the newly published release, then drops the old engine."""

import gc
import logging
from collections.abc import Callable
from ctypes import CDLL
from math import inf
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from weakref import WeakSet

from pipelines.ads.ad_serving import AdServing
from pipelines.config.place import ShopPlace
from pipelines.config.sections import GRANTED, ConsentConfig
from pipelines.engine.engine import Engine
from pipelines.engine.stages.ranking import RankingListener
from pipelines.errors import ReleaseError, UserError
from pipelines.events.profiles.profiles import Profiles
from pipelines.live.remote.change_tail import ChangeTail
from pipelines.release.manifest import config_of, read_manifest
from pipelines.release.store import CURRENT, current

SOON_SECONDS = 0.2  # between looks while a switch is under way
RETRY_SECONDS = 60.0  # before a release that failed for a reason of the machine's is tried again
SETTLE_SECONDS = 60.0  # after which no answer is in progress: a fault keeps an engine in memory
RARE_SECONDS = 600.0  # between two attempts to release such an engine

log = logging.getLogger(__name__)


def current_place(releases: Path) -> ShopPlace:
    """Return where the shop of the current release is, before that is opened; ReleaseError."""
    manifest = read_manifest(releases / current(releases))
    return ShopPlace.of(config_of(manifest).shop)


class CurrentRelease(NamedTuple):
    """The release that CURRENT names, and the file that says so: each publication has its own."""

    name: str
    file: tuple[int, int] = (0, 0)


class EngineReloader:
    """Opens the engine of the current release, and another when another release becomes current.

    Called by one thread at a time. Two releases are in memory from the opening of the next until
    `settle` finds that the answers in progress of the old one have ended. No third is opened
    before that, or SETTLE_SECONDS.
    """

    def __init__(  # noqa: PLR0913 - what an engine may be given, by name
        self,
        releases: Path,
        watch: RankingListener | None = None,
        live: Path | Callable[[], ChangeTail] | None = None,
        *,
        profiles: Profiles | None = None,
        ads: AdServing | None = None,
        consent: ConsentConfig = GRANTED,
        warm: bool = True,
    ) -> None:
        self._releases = releases
        self._watch, self._live, self._warm = watch, live, warm
        self._profiles, self._ads, self._consent = profiles, ads, consent
        self._serving: Engine | None = None
        self._failed = CurrentRelease("")
        self._retry_at = 0.0  # by the clock that never goes back
        self._complaint = ""  # of CURRENT
        self._before: WeakSet[Engine] = WeakSet()  # engines that served, still in memory
        self._switching = True
        self._collect_at = 0.0  # by the same clock, also while engines of before are held

    def open_first(self) -> Engine:
        """Open the current release, and its log of changes where there is one."""
        self._serving = Engine.open(
            self._releases,
            watch=self._watch,
            live=self._live,
            profiles=self._profiles,
            ads=self._ads,
            consent=self._consent,
            warm=self._warm,
            tolerant=True,
        )
        self.settle()
        return self._serving

    def open_next(self) -> Engine | None:
        """Return the engine of the current release, opened; None where it is served already.

        None, too, while the one before the serving one still has answers in progress.
        The engine has every change of the log. One that cannot be opened is a UserError, once for
        each time that CURRENT is pointed at it; any other error comes again after a minute.
        """
        assert self._serving is not None, "open_first() comes first"
        if not self.settle():
            return None
        current_release = self._current()
        if current_release.name == self._serving.release:
            self._failed = CurrentRelease("")
            return None
        if current_release == self._failed and monotonic() < self._retry_at:
            return None
        self._failed, self._retry_at = (
            current_release,
            monotonic() + RETRY_SECONDS,
        )  # unless it can be opened
        try:
            engine = Engine.open(
                self._releases,
                current_release.name,
                profiles=self._profiles,
                ads=self._ads,
                consent=self._consent,
                warm=self._warm,
                tolerant=True,
            )
            engine.take_over(self._serving)
        except UserError:
            self._retry_at = float("inf")
            raise
        self._failed = CurrentRelease("")
        return engine

    def _current(self) -> CurrentRelease:
        """Return the current release; where CURRENT names none, complain once and keep the old."""
        assert self._serving is not None, "open_first() comes first"
        try:
            name = current(self._releases)
        except ReleaseError as e:
            if str(e) == self._complaint:
                return CurrentRelease(self._serving.release)
            self._complaint = str(e)
            raise
        self._complaint = ""
        file = (self._releases / CURRENT).stat()
        return CurrentRelease(name, (file.st_ino, file.st_mtime_ns))

    def promote(self, engine: Engine) -> None:
        """Make `engine` the serving one.

        `settle` releases the previous one, when its answers in progress have ended.
        """
        assert self._serving is not None, "open_first() comes first"
        self._serving.detach()
        self._before.add(self._serving)
        self._serving, self._switching = engine, True
        self._collect_at = monotonic() + SETTLE_SECONDS

    def settle(self) -> bool:
        """Release the previous engine; False while its answers in progress still hold it.

        After SETTLE_SECONDS it is True all the same, so that releases are followed on, and a later
        call releases the engine when what holds it has ended.
        The engine itself goes with its last answer, but its parts have cycles: only a collection
        of all objects, which stops every thread, frees their memory. There is one when the engine
        has gone; what a fault holds is collected rarely.
        """
        if self._switching:
            gc.collect()  # what was not frozen: an error that is over may hold its answer
        now = monotonic()
        if now >= self._collect_at or (self._collect_at < inf and not self._before):
            collect_and_freeze()
            if self._switching and self._before:
                names = ", ".join(engine.release for engine in self._before)
                log.warning("release %s is still in memory, although another answers", names)
            self._switching = False
            self._collect_at = now + RARE_SECONDS if self._before else inf
        return not self._switching

    def next_look(self, regular: float) -> float:
        """Return the seconds until `open_next` is due: `regular`, or less during a switch."""
        return min(SOON_SECONDS, regular) if self._switching else regular

    def close(self) -> None:
        """Write the changes that wait, and take no more."""
        gc.unfreeze()  # else what is left out of collections is left over at the very end, too
        if self._serving is not None:
            self._serving.close()


def collect_and_freeze() -> None:
    """Free what nobody refers to; leave out what is in memory then of the collections to come.

    Libraries and a release bring over a hundred thousand objects that stay.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return_free_memory()


def return_free_memory() -> None:
    """Give the system back what opening a release needed and serving it does not, with glibc."""
    trim = getattr(CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
