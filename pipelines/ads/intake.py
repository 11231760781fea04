"""Takes what happens with ads in one process: writes it itself, or sends it to who does."""

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import tzinfo
from pathlib import Path
from secrets import token_hex
from typing import Protocol

import msgspec

from pipelines.ads.accounting import Accounting, Clock, now_ms
from pipelines.ads.ad_log import ADS, FOLDER, AdLog
from pipelines.ads.click_tokens import ClickTokens, make_key, open_tokens
from pipelines.ads.ledger import Ledger
from pipelines.ads.records import AdEntry, AdItem, AdOutcome, UnwrittenAd
from pipelines.durable.journal import MOST_BYTES, Journal
from pipelines.durable.journal_file import in_parts
from pipelines.live.remote.change_client import LogClient
from pipelines.live.remote.log_tail import LogTail
from pipelines.live.remote.messages import Fault, Wire

WIRE: Wire[AdItem, int | UnwrittenAd] = Wire(
    msgspec.json.Decoder(list[AdItem]),
    msgspec.json.Decoder(list[int | UnwrittenAd] | Fault),
    "ads",
)
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

    def __init__(
        self, live: Path, zone: tzinfo, clock: Clock = now_ms, most_bytes: int = MOST_BYTES
    ) -> None:
        """Open the journal in the folder of --live, or begin one; LiveError where it cannot be."""
        folder = live / FOLDER
        self.ledger = Ledger(token_hex(8))
        accounting = Accounting(self.ledger, zone, clock)
        self._log: AdLog = Journal(
            folder,
            ADS,
            prepare=accounting.prepare,
            apply=accounting.apply,
            most_bytes=most_bytes,
        )
        try:
            make_key(folder)
            self.tokens = open_tokens(folder)
            for part in in_parts(self._log.replay()):
                accounting.apply(part)
        except BaseException:
            self._log.close()
            raise

    def submit(self, items: Sequence[AdItem]) -> Outcomes:
        """Return at once the future of the outcomes."""
        return self._log.submit(items)

    def close(self) -> None:
        """Write what waits, and take no more."""
        self._log.close()


class AdForwarder:
    """Sends items to the process that writes, and follows the journal that it writes."""

    def __init__(self, live: Path, socket: Path) -> None:
        """Follow the journal of a folder, which is there; LiveError where it cannot be read."""
        folder = live / FOLDER
        self.tokens = open_tokens(folder)
        self.ledger = Ledger(token_hex(8))
        self._tail: LogTail[AdItem, AdEntry, AdOutcome] = LogTail(
            folder, ADS, LogClient(socket, WIRE)
        )
        self._tail.subscribe(None, self.ledger.apply, after=0)

    def submit(self, items: Sequence[AdItem]) -> Outcomes:
        """Return at once the future of the outcomes, done when they are in the ledger here."""
        return self._tail.submit(items)

    def close(self) -> None:
        """Follow no more, and send no more."""
        self._tail.close()
