"""Takes acts in one process: writes them itself, or sends them to the process that does."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Protocol

import msgspec

from pipelines.acts.clock import MOST_AHEAD
from pipelines.acts.robots import Paces
from pipelines.config.sections import Config, PeopleConfig
from pipelines.events.archive_writer import ARCHIVE, ArchiveWriter
from pipelines.events.erasure import (
    erase_from_log,
    erase_from_profiles,
    erased_entries,
    is_found,
    rewrite,
    visitors_of,
)
from pipelines.events.event_log import FOLDER, ActOutcome, UnwrittenAct, forget, open_event_log
from pipelines.events.kept_act import KeptAct
from pipelines.events.paces import marked
from pipelines.events.people import Person, Receipt, export_of, releases_with, signed
from pipelines.events.profiles.profiles import Profiles
from pipelines.events.profiles.sqlite_profiles import ProfileWriter, SqliteProfiles, forget_lines
from pipelines.events.session_clocks import SessionClocks
from pipelines.events.withdrawals import Withdrawals
from pipelines.live.remote.change_client import LogClient
from pipelines.live.remote.messages import Fault, Wire
from pipelines.people.people import VISITOR, People, open_people
from pipelines.people.people_ledger import LedgerEntry

WIRE: Wire[KeptAct, int | UnwrittenAct] = Wire(
    msgspec.json.Decoder(list[KeptAct]),
    msgspec.json.Decoder(list[int | UnwrittenAct] | Fault),
    "events",
)
ERASURES: Wire[Person, Receipt] = Wire(
    msgspec.json.Decoder(list[Person]), msgspec.json.Decoder(list[Receipt] | Fault), "erasures"
)
BESIDE_THE_LOG = PeopleConfig()
KEY_DAYS = 35  # that an act is known when it is sent again
ARCHIVE_SECONDS = 300.0  # between two looks for acts that are not archived

log = logging.getLogger(__name__)
EraseFromAds = Callable[[Sequence[str]], int]  # returns how many records named them
Outcomes = Future[list[ActOutcome]]
Receipts = Future[list[Receipt]]


class EventIntake(Protocol):
    """Where acts go; its methods are called from several threads."""

    @property
    def profiles(self) -> Profiles:
        """The profiles that show the acts."""
        ...

    @property
    def people(self) -> People:
        """The names under which shoppers are kept, and who withdrew or was erased."""
        ...

    def erase(self, people: Sequence[Person]) -> Receipts:
        """Return at once the future of the receipts: gone from every answer and every file."""
        ...

    def export(self, person: Person) -> dict[str, Any]:
        """Return everything that is kept of a person."""
        ...

    def submit(self, acts: Sequence[KeptAct]) -> Outcomes:
        """Return at once the future of the outcomes: on the disk, and in every next answer."""
        ...

    def close(self) -> None:
        """Write what waits, and take no more."""
        ...


class EventWriter:
    """Writes acts to the log of a folder, and shows them in its profiles."""

    def __init__(
        self,
        live: Path,
        retention_days: int,
        people: PeopleConfig = BESIDE_THE_LOG,
        releases: Path | None = None,
        erase_from_ads: EraseFromAds | None = None,
    ) -> None:
        """Open the log in the folder of --live, or begin one; LiveError where it cannot be.

        The key of the shoppers' names is made where there is none. What the ledger of people says
        is done before anything is taken. `releases` are looked into for a receipt, and
        `erase_from_ads` is called with the names of who is erased.
        """
        folder = self._folder = live / FOLDER
        self.people = open_people(live, people, make=True)
        self._releases = releases
        self._erase_from_ads = erase_from_ads
        self._shown_for = timedelta(days=retention_days)
        self._kept_for = max(self._shown_for, timedelta(days=KEY_DAYS))
        self._shown = ProfileWriter(folder)
        withdrawals = Withdrawals(self.people.ledger, self._shown.uses)
        clocks, paces = SessionClocks(), Paces()
        self._log = open_event_log(
            folder,
            self._shown.apply,
            look_at=lambda acts: withdrawals.look_at(marked(clocks.corrected(acts), paces)),
        )
        self._writing_archive = Lock()
        self._erasing = ThreadPoolExecutor(1, "erase")
        try:
            self._archive = ArchiveWriter(folder, self.people.names.key_ids)
            self._shown.catch_up()
            self._erase_by_ledger()
        except BaseException:
            self._log.close()
            raise
        self.profiles: Profiles = SqliteProfiles(folder, self.people)
        self._closed = Event()
        self._archiving = Thread(target=self._archive_for_ever, name="archive", daemon=True)
        self._archiving.start()

    def submit(self, acts: Sequence[KeptAct]) -> Outcomes:
        """Return at once the future of the outcomes."""
        return self._log.submit(acts)

    def erase(self, people: Sequence[Person]) -> Receipts:
        """Return at once the future of the receipts, made one after the other."""
        return self._erasing.submit(lambda: [self._erase(person) for person in people])

    def export(self, person: Person) -> dict[str, Any]:
        """Return everything that is kept of a person."""
        return export_of(person, self._folder, self._folder / ARCHIVE, self.people)

    def close(self) -> None:
        """Write what waits, archive it, and take no more."""
        self._erasing.shutdown()
        self._closed.set()
        self._archiving.join()
        self._log.close()
        self._write_archive()
        self._shown.close()
        self.profiles.close()

    def _archive_for_ever(self) -> None:
        while not self._closed.wait(ARCHIVE_SECONDS):
            self._write_archive()

    def _erase(self, person: Person) -> Receipt:
        """Write a person into the ledger, from where on no answer reads them; then remove all."""
        archive, names = self._folder / ARCHIVE, self.people.names_of(person.user, person.visitor)
        with self._writing_archive:
            users = self.people.names.users(person.user)
            visitors = visitors_of(self._folder, archive, users) if users else set()
            also = (VISITOR + one for one in sorted(visitors))
            everyone = tuple(dict.fromkeys((*names, *also)))
            now = datetime.now(UTC) + MOST_AHEAD  # an act may be as far ahead
            entry = LedgerEntry(at=now, names=everyone, erased=True)
            self._log.between_groups(lambda: self.people.ledger.append(entry))
        acts, lines, rows, auctions = self._erase_by_ledger()
        receipt = Receipt(
            at=entry.at,
            names=entry.names,
            acts=acts,
            lines=lines,
            rows=rows,
            auctions=auctions,
            left_on_disk=is_found(self._folder, entry.names),
            releases=releases_with(person, self._releases, self.people),
        )
        return signed(receipt, self.people)

    def _erase_by_ledger(self) -> tuple[int, int, int, int]:
        """Remove whom the ledger erased, as far as not done; return acts, lines, rows, auctions."""
        entries = self.people.ledger.entries
        with self._writing_archive:
            new = [one for one in entries[erased_entries(self._folder) :] if one.erased]
            acts = erase_from_log(self._folder, new) if new else 0
            lines = erase_from_profiles(self._folder, new) if new else 0
            names = [name for one in new for name in one.names]
            if is_found(self._folder, names):
                rewrite(self._folder)  # pages that SQLite split keep copies
            rows = self._archive.erase(entries)
            auctions = self._erase_from_ads(names) if names and self._erase_from_ads else 0
            erased_entries(self._folder, mark=len(entries))
        return acts, lines, rows, auctions

    def _write_archive(self) -> None:
        """Archive what is new, and forget what is old; a failure is tried again the next time."""
        now = datetime.now(UTC)
        try:
            with self._writing_archive:
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

    def __init__(
        self, live: Path, socket: Path, erasing: Path, people: PeopleConfig = BESIDE_THE_LOG
    ) -> None:
        """Send acts to one socket of the writer, and who is to be erased to another."""
        self._folder = live / FOLDER
        self.people = open_people(live, people, make=True)
        self._client = LogClient(socket, WIRE)
        self._erasing = LogClient(erasing, ERASURES)
        self.profiles: Profiles = SqliteProfiles(self._folder, self.people)

    def submit(self, acts: Sequence[KeptAct]) -> Outcomes:
        """Return at once the future of the outcomes."""
        return self._client.submit(acts)

    def erase(self, people: Sequence[Person]) -> Receipts:
        """Return at once the future of the receipts."""
        return self._erasing.submit(people)

    def export(self, person: Person) -> dict[str, Any]:
        """Return everything that is kept of a person."""
        return export_of(person, self._folder, self._folder / ARCHIVE, self.people)

    def close(self) -> None:
        """Send no more."""
        self._client.close()
        self._erasing.close()
        self.profiles.close()


def event_writer(
    live: Path, config: Config, releases: Path | None, erase_from_ads: EraseFromAds
) -> EventWriter:
    """Open the log of events as a configuration says."""
    days = config.serve.profile_days
    return EventWriter(live, days, config.people, releases, erase_from_ads)
