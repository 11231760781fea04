"""Serves ads in one answering process: holds what it shows at once, records it behind the answer.

An answer waits neither for the record of its auction nor for the disk: a thread makes the record,
and the writer writes it. While the writer does not answer, nothing more is sold: other processes
could not know what is held. Records that come to nothing are counted; the tokens that were given
out count all the same, because each says all that it costs.
"""

import logging
from collections.abc import Callable, Sequence
from math import inf
from queue import Full, Queue
from threading import Thread
from time import monotonic, sleep
from typing import NamedTuple

from pipelines.ads.ad_consent import AdConsent
from pipelines.ads.intake import AdIntake
from pipelines.ads.ledger.accounting import now_ms
from pipelines.ads.ledger.ledger import Ledger
from pipelines.ads.ledger.records import HeldAuction, Showing
from pipelines.config.sections import Config
from retrieval.types import Query

QUEUED = 1_024  # auctions whose records are to be made
GATHERED_SECONDS = 0.03  # that auctions are gathered to be recorded together
STALLED_SECONDS = 0.5  # that records wait for the writer, before nothing more is sold
PAUSE_SECONDS = 1.0  # after records that were not written
QUIET_SECONDS = 60.0  # between two notices of dropped records
CLOSING_SECONDS = 5.0

log = logging.getLogger(__name__)


class AuctionToRecord(NamedTuple):
    """An auction as its request leaves it; `detail` makes its record and the reasons lost."""

    id: str
    at_ms: int
    visitor: str
    showings: tuple[Showing, ...]
    detail: Callable[[], tuple[str, dict[str, tuple[str, ...]]]]


class AdServing:
    """Where an engine finds campaigns, and leaves what it shows; called from several threads."""

    def __init__(self, intake: AdIntake, config: Config, consent: AdConsent | None = None) -> None:
        """Sell what `intake` has; without `consent` no event says who allows ads."""
        self.intake = intake
        self.config = config.serve.ads
        self.dropped = 0  # records of auctions
        self._consent = consent or AdConsent(config.consent)
        self._notice_at = -inf
        self._sold_until = inf  # records that wait are written by then, or nothing more is sold
        self._sold_from = -inf
        self._queue: Queue[tuple[AuctionToRecord, str] | None] = Queue(QUEUED)
        self._recording = Thread(target=self._record, name="record auctions", daemon=True)
        self._recording.start()

    @property
    def ledger(self) -> Ledger:
        """The campaigns and their accounts."""
        return self.intake.ledger

    @property
    def sells(self) -> bool:
        """Whether some campaign may run now, there is room on a page, and the writer answers."""
        if not self.config.slots or not self._sold_from <= monotonic() < self._sold_until:
            return False
        return self.ledger.books.may_sell(self.now())

    def now(self) -> int:
        """Return the milliseconds since 1970."""
        return now_ms()

    def consents(self, query: Query) -> bool:
        """Tell whether whoever asks allows ads."""
        return self._consent.of(query)

    def visitor(self, query: Query, *, consents: bool) -> str:
        """Return a digest of whoever asks, the same for each request.

        It is "" where nobody is named, and where whoever asks does not allow ads.
        """
        name = self._consent.name_of(query) if consents else ""
        if not name:
            return ""
        return self.intake.tokens.visitor(name)

    def hold(self, held: AuctionToRecord, day: str) -> None:
        """Count what an auction of a day shows from here on, and let it be recorded."""
        self.ledger.serve(held.showings, day, held.visitor)
        try:
            self._queue.put_nowait((held, day))
        except Full:
            self._drop("auctions are held faster than they are recorded")

    def close(self) -> None:
        """Record what waits, for CLOSING_SECONDS at most."""
        try:
            self._queue.put(None, timeout=CLOSING_SECONDS)
        except Full:
            return
        self._recording.join(CLOSING_SECONDS)

    def _record(self) -> None:
        while (one := self._queue.get()) is not None:
            sleep(GATHERED_SECONDS)  # so that the answer which woke us is sent first
            batch = [one]
            while not self._queue.empty() and len(batch) < QUEUED:
                more = self._queue.get()
                if more is None:
                    self._queue.put(None)
                    break
                batch.append(more)
            self._submit(batch)

    def _submit(self, batch: Sequence[tuple[AuctionToRecord, str]]) -> None:
        """Record auctions; what fails is dropped, and the next may do better."""
        auctions = [self._auction(*one) for one in batch]
        self._sold_until = monotonic() + STALLED_SECONDS
        try:
            self.intake.submit(auctions).result(CLOSING_SECONDS)
        except Exception as e:  # of any kind: shoppers are answered all the same
            self._sold_from = monotonic() + PAUSE_SECONDS
            self._drop(f"auctions were not recorded: {e!r}", len(batch))
        self._sold_until = inf

    def _auction(self, held: AuctionToRecord, day: str) -> HeldAuction:
        record, lost = held.detail()
        return HeldAuction(
            id=held.id,
            at_ms=held.at_ms,
            day=day,
            origin=self.ledger.origin,
            visitor=held.visitor,
            showings=held.showings,
            lost=lost,
            record=record,
        )

    def _drop(self, why: str, count: int = 1) -> None:
        self.dropped += count
        if monotonic() - self._notice_at >= QUIET_SECONDS:
            self._notice_at = monotonic()
            log.error("%s; %d records are dropped so far", why, self.dropped)
