"""Takes what happens with ads in one process: writes it itself, or sends it to who does."""

import logging
import sqlite3
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from contextlib import closing
from copy import deepcopy
from datetime import tzinfo
from pathlib import Path
from secrets import token_hex
from typing import Protocol

import msgspec

from pipelines.ads.ad_log import ADS, FIRST, FOLDER, AdLog, forget, unname
from pipelines.ads.click_tokens import ClickTokens, make_key, open_tokens
from pipelines.ads.ledger.accounting import Accounting, Clock, now_ms
from pipelines.ads.ledger.checkpoint import FILE, read_checkpoint, write_checkpoint
from pipelines.ads.ledger.ledger import Ledger
from pipelines.ads.ledger.records import (
    AdEntry,
    AdItem,
    AdOutcome,
    HeldAuction,
    UnwrittenAd,
)
from pipelines.durable.journal import Journal
from pipelines.durable.journal_file import in_parts
from pipelines.events.erasure import leave_nothing
from pipelines.live.change_log import LiveError
from pipelines.live.remote.change_client import LogClient
from pipelines.live.remote.log_tail import LogTail
from pipelines.live.remote.messages import Fault, Wire

WIRE: Wire[AdItem, int | UnwrittenAd] = Wire(
    msgspec.json.Decoder(list[AdItem]),
    msgspec.json.Decoder(list[int | UnwrittenAd] | Fault),
    "ads",
)
KEPT_EVERY = 10_000  # records, after which the ledger is kept as a file
KEPT_DAYS = 35  # of the records of auctions
DAY_MS = 86_400_000

log = logging.getLogger(__name__)
Outcomes = Future[list[AdOutcome]]


class AdIntake(Protocol):
    """Where ads are written and read; its methods are called from several threads."""

    @property
    def ledger(self) -> Ledger:
        """The campaigns and their accounts, as far as this process knows."""
        ...

    @property
    def tokens(self) -> ClickTokens:
        """What signs and reads click tokens."""
        ...

    def submit(self, items: Sequence[AdItem]) -> Outcomes:
        """Return at once the future of the outcomes: on the disk, and in the ledger here."""
        ...

    def close(self) -> None:
        """Write what waits, and take no more."""
        ...


class AdWriter:
    """Writes the journal of ads of a folder, and keeps its ledger."""

    def __init__(self, live: Path, zone: tzinfo, clock: Clock = now_ms) -> None:
        """Open the journal in the folder of --live, or begin one; LiveError where it cannot be."""
        folder = self._folder = live / FOLDER
        self.ledger = Ledger(token_hex(8))  # with what this process shows, before it is written
        self._written = Ledger()  # of the journal alone, by which is decided and which is kept
        self._accounting = Accounting(self._written, zone, clock)
        self._clock = clock
        self._kept_upto = 0
        self._erased: dict[str, int] = {}  # digests, and until when
        self._log: AdLog = Journal(folder, ADS, prepare=self._accounting.prepare, apply=self._apply)
        try:
            make_key(folder)
            self.tokens = open_tokens(folder)
            if kept := read_checkpoint(folder, self._log.id, self._log.last):
                self._accounting.restore(kept)
                self.ledger.restore(deepcopy(kept))
            self._kept_upto = self._written.upto or FIRST - 1
            for part in in_parts(self._log.replay(after=self._written.upto)):
                self._accounting.apply(part)
                self.ledger.apply(part)
        except BaseException:
            self._log.close()
            raise

    def submit(self, items: Sequence[AdItem]) -> Outcomes:
        """Return at once the future of the outcomes."""
        return self._log.submit([self._unnamed(item) for item in items])

    def erase(self, names: Sequence[str]) -> int:
        """Remove people from the records of auctions and from the ledger; return of how many.

        The names are those of the ledger of people. An auction that is still on its way is written
        without them.
        """
        digests = {self.tokens.visitor(name): self._clock() for name in names}
        self._erased |= digests
        changed: list[int] = []
        self._log.between_groups(lambda: changed.append(self._forget_visitors(digests)))
        with closing(sqlite3.connect(self._folder / ADS.file, isolation_level=None)) as journal:
            leave_nothing(journal)
        return changed[0]

    def refusals(self, items: Sequence[AdItem]) -> list[UnwrittenAd | None]:
        """Return why each of these would not be written, before anything else is submitted."""
        prepared = self._accounting.prepare(items)
        return [one if isinstance(one, UnwrittenAd) else None for one in prepared]

    def close(self) -> None:
        """Write what waits, keep the ledger, and take no more."""
        self._log.close()
        self._keep()

    def _apply(self, entries: Sequence[AdEntry]) -> None:
        self._accounting.apply(entries)
        self.ledger.apply(entries)
        if self._written.upto - self._kept_upto >= KEPT_EVERY:
            self._keep()

    def _unnamed(self, item: AdItem) -> AdItem:
        """Return an item without its visitor, where that was erased since."""
        if isinstance(item, HeldAuction) and item.at_ms <= self._erased.get(item.visitor, -1):
            return msgspec.structs.replace(item, visitor="")
        return item

    def _forget_visitors(self, digests: Collection[str]) -> int:
        for ledger in (self._written, self.ledger):
            ledger.forget_visitors(digests)
        if (self._folder / FILE).exists():
            write_checkpoint(self._folder, self._accounting.checkpoint(self._log.id))
        return unname(self._folder, digests)

    def _keep(self) -> None:
        """Keep the ledger as it is, and forget the old auctions that it has counted.

        Where that fails, the journal is read instead.
        """
        if self._written.upto <= self._kept_upto:
            return
        try:
            write_checkpoint(self._folder, self._accounting.checkpoint(self._log.id))
            self._kept_upto = self._written.upto
            forget(self._folder, self._kept_upto, self._clock() - KEPT_DAYS * DAY_MS)
        except (OSError, sqlite3.Error):
            log.exception("%s: the ledger was not kept", self._folder)


class AdForwarder:
    """Sends items to the process that writes, and follows the journal that it writes."""

    def __init__(self, live: Path, socket: Path) -> None:
        self.ledger = Ledger(token_hex(8))
        self._folder = live / FOLDER
        self._socket = socket
        self._tail: LogTail[AdItem, AdEntry, AdOutcome] | None = None
        self._tokens: ClickTokens | None = None

    def follow(self) -> None:
        """Follow the journal, which the writer has opened; LiveError where it cannot be read."""
        self._tokens = open_tokens(self._folder)
        self._tail = LogTail(self._folder, ADS, LogClient(self._socket, WIRE))
        if kept := read_checkpoint(self._folder, self._tail.id, self._tail.last):
            self.ledger.restore(kept)
        self._tail.subscribe(None, self.ledger.apply, after=self.ledger.upto)

    @property
    def tokens(self) -> ClickTokens:
        """What signs and reads click tokens; LiveError before the journal is followed."""
        if self._tokens is None:
            raise LiveError(f"{self._folder}: the log of ads is not open yet")
        return self._tokens

    def submit(self, items: Sequence[AdItem]) -> Outcomes:
        """Return at once the future of the outcomes, done when they are in the ledger here."""
        if self._tail is None:
            raise LiveError(f"{self._folder}: the log of ads is not open yet")
        return self._tail.submit(items)

    def close(self) -> None:
        """Follow no more, and send no more."""
        if self._tail is not None:
            self._tail.close()
