"""Takes acts in one process: writes them itself, or sends them to the process that does."""

import logging
import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

import msgspec

from pipelines.config.sections import Config
from pipelines.events.archive_writer import ArchiveWriter
from pipelines.events.event_log import FOLDER, ActOutcome, UnwrittenAct, forget, open_event_log
from pipelines.events.kept_act import KeptAct
from pipelines.events.profiles import Profiles
from pipelines.events.sqlite_profiles import ProfileWriter, SqliteProfiles, forget_lines
from pipelines.live.remote.change_client import LogClient
from pipelines.live.remote.messages import Fault, Wire
from pipelines.shop.pseudonyms import FILE, Pseudonyms, open_pseudonyms

WIRE: Wire[KeptAct, int | UnwrittenAct] = Wire(
    msgspec.json.Decoder(list[KeptAct]),
    msgspec.json.Decoder(list[int | UnwrittenAct] | Fault),
    "events",
)
KEY_DAYS = 35  # that an act is known when it is sent again
ARCHIVE_SECONDS = 300.0  # between two looks for acts that are not archived

log = logging.getLogger(__name__)
Outcomes = Future[list[ActOutcome]]


class EventIntake(Protocol):
    """Where acts go; its methods are called from several threads."""

    @property
    def profiles(self) -> Profiles:
        """The profiles that show the acts."""
        ...

    @property
    def names(self) -> Pseudonyms:
        """The names under which shoppers are kept."""
        ...

    def submit(self, acts: Sequence[KeptAct]) -> Outcomes:
        """Return at once the future of the outcomes: on the disk, and in every next answer."""
        ...

    def close(self) -> None:
        """Write what waits, and take no more."""
        ...


class EventWriter:
    """Writes acts to the log of a folder, and shows them in its profiles."""

    def __init__(self, live: Path, retention_days: int, key: Path | None = None) -> None:
        """Open the log in the folder of --live, or begin one; LiveError where it cannot be.

        `key` is the file of the key of the shoppers' names, by default in that folder; it is made
        where there is none.
        """
        folder = self._folder = live / FOLDER
        self.names = open_pseudonyms(key or live / FILE, make=True)
        self._shown_for = timedelta(days=retention_days)
        self._kept_for = max(self._shown_for, timedelta(days=KEY_DAYS))
        self._shown = ProfileWriter(folder)
        self._log = open_event_log(folder, self._shown.apply)
        try:
            self._archive = ArchiveWriter(folder, self.names.key_ids)
            self._shown.catch_up()
        except BaseException:
            self._log.close()
            raise
        self.profiles: Profiles = SqliteProfiles(folder, self.names)
        self._closed = Event()
        self._archiving = Thread(target=self._archive_for_ever, name="archive", daemon=True)
        self._archiving.start()

    def submit(self, acts: Sequence[KeptAct]) -> Outcomes:
        """Return at once the future of the outcomes."""
        return self._log.submit(acts)

    def close(self) -> None:
        """Write what waits, archive it, and take no more."""
        self._closed.set()
        self._archiving.join()
        self._log.close()
        self._write_archive()
        self._shown.close()
        self.profiles.close()

    def _archive_for_ever(self) -> None:
        while not self._closed.wait(ARCHIVE_SECONDS):
            self._write_archive()

    def _write_archive(self) -> None:
        """Archive what is new, and forget what is old; a failure is tried again the next time."""
        now = datetime.now(UTC)
        try:
            upto = self._archive.write()
            forget(self._folder, upto, now - self._kept_for)
        except Exception:  # of any kind: the log has the acts
            log.exception("acts were not archived")
        try:
            forget_lines(self._folder, now - self._shown_for)
        except sqlite3.Error:
            log.exception("old acts were not removed from the profiles")


class EventForwarder:
    """Sends acts to the process that writes, and reads the profiles that it writes."""

    def __init__(self, live: Path, socket: Path, key: Path | None = None) -> None:
        self.names = open_pseudonyms(key or live / FILE, make=True)
        self._client = LogClient(socket, WIRE)
        self.profiles: Profiles = SqliteProfiles(live / FOLDER, self.names)

    def submit(self, acts: Sequence[KeptAct]) -> Outcomes:
        """Return at once the future of the outcomes."""
        return self._client.submit(acts)

    def close(self) -> None:
        """Send no more."""
        self._client.close()
        self.profiles.close()


def event_writer(live: Path, config: Config) -> EventWriter:
    """Open the log of events as a configuration says."""
    return EventWriter(live, config.serve.profile_days, key_file(config))


def key_file(config: Config) -> Path | None:
    """Return the file of the key of the shoppers' names; None: the one beside the log."""
    return Path(config.people.key) if config.people.key else None
