"""The ledger: campaigns and their accounts as the journal of ads tells them, up to one number."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from threading import RLock
from typing import NamedTuple

from pipelines.ads.campaigns.campaign import AdCampaign, milliseconds
from pipelines.ads.campaigns.eligibility import Standing
from pipelines.ads.ledger.account import Account
from pipelines.ads.ledger.act_rates import ActRates
from pipelines.ads.ledger.checkpoint import Checkpoint, Visit
from pipelines.ads.ledger.records import (
    AdEntry,
    CountedAct,
    DeleteCampaign,
    HeldAuction,
    PutCampaign,
    Showing,
)

MOST_VISITS = 200_000  # visitors and campaigns of one day, of which it is known how often


class Books(NamedTuple):
    """The campaigns at one moment; another change makes another one."""

    campaigns: Mapping[str, AdCampaign]
    version: int = 0
    first_ms: int = 0  # when the first of them begins
    last_ms: int = 0  # when the last of them ends

    @classmethod
    def of(cls, campaigns: Mapping[str, AdCampaign], version: int) -> "Books":
        """Return the books of these campaigns."""
        starts = (milliseconds(one.start) for one in campaigns.values())
        ends = (milliseconds(one.end) for one in campaigns.values())
        return cls(campaigns, version, min(starts, default=0), max(ends, default=0))

    def may_sell(self, now_ms: int) -> bool:
        """Tell whether it is between the first start and the last end of all campaigns."""
        return self.first_ms <= now_ms < self.last_ms


class Ledger:
    """Applies the journal of ads. One thread applies, any may read; money is whole micros.

    A process that holds auctions itself notes what each shows with `serve` at once, and passes over
    that when it comes back in the journal: `origin` tells.
    """

    def __init__(self, origin: str = "") -> None:
        self.origin = origin
        self.rates = ActRates()
        self._lock = RLock()
        self._accounts: dict[str, Account] = {}
        self._books = Books({})
        self._upto = 0
        self._newest_ms = 0
        self._day = ""
        self._visits: dict[tuple[str, str], int] = {}  # of `_day`

    @property
    def upto(self) -> int:
        """The number of the newest entry that is applied; 0: none."""
        return self._upto

    @property
    def newest_ms(self) -> int:
        """When the newest act was counted, in milliseconds since 1970."""
        return self._newest_ms

    @property
    def books(self) -> Books:
        """The campaigns as they are now."""
        return self._books

    def apply(self, entries: Sequence[AdEntry]) -> None:
        """Take in entries, in the order of their numbers."""
        with self._lock:
            changed: dict[str, AdCampaign] | None = None
            for _, record in entries:
                if isinstance(record, HeldAuction):
                    if not self.origin or record.origin != self.origin:
                        self._serve(record.showings, record.day, record.visitor)
                    for name, reasons in record.lost.items():
                        self._account(name).lose(reasons)
                elif isinstance(record, CountedAct):
                    self._newest_ms = record.at_ms
                    self._account(record.showing.campaign).count(record)
                    self.rates.count(record)
                else:
                    changed = dict(self._books.campaigns) if changed is None else changed
                    self._change(changed, record)
            if changed is not None:
                self._books = Books.of(changed, self._books.version + 1)
            self._upto = entries[-1].sequence

    def serve(self, showings: Sequence[Showing], day: str, visitor: str) -> None:
        """Note what an answer of this process shows at once: its holds count in the next one."""
        with self._lock:
            self._serve(showings, day, visitor)

    def standings(
        self, names: Iterable[str], day: str, now_ms: int, visitor: str = ""
    ) -> dict[str, Standing]:
        """Return how these campaigns stand; names that are no campaign are left out."""
        with self._lock:
            visits = self._visits if day == self._day else {}
            return {
                name: self._standing(campaign, day, now_ms, visits.get((visitor, name), 0))
                for name in names
                if (campaign := self._books.campaigns.get(name)) is not None
            }

    def spent(self, name: str, day: str) -> tuple[int, int]:
        """Return what an id has spent in all, and on a day; 0 where it is not known."""
        with self._lock:
            account = self._accounts.get(name)
            return (0, 0) if account is None else (account.spent, account.spent_on(day))

    def checkpoint(self, log: str) -> Checkpoint:
        """Return the ledger as it is, to be kept beside the journal of this id."""
        with self._lock:
            return Checkpoint(
                log=log,
                upto=self._upto,
                newest_ms=self._newest_ms,
                campaigns=tuple(self._books.campaigns.values()),
                accounts=deepcopy(self._accounts),
                rates=self.rates.counts(),
                day=self._day,
                visits=tuple(Visit(*key, times) for key, times in self._visits.items()),
            )

    def restore(self, kept: Checkpoint) -> None:
        """Begin where a checkpoint was made."""
        with self._lock:
            self._accounts = dict(kept.accounts)
            self._books = Books.of({one.id: one for one in kept.campaigns}, 1)
            self._upto, self._newest_ms, self._day = kept.upto, kept.newest_ms, kept.day
            self._visits = {(one.visitor, one.campaign): one.times for one in kept.visits}
            self.rates.restore(kept.rates)

    def forget_visitors(self, visitors: Collection[str]) -> None:
        """Forget what these visitors were shown."""
        with self._lock:
            self._visits = {key: n for key, n in self._visits.items() if key[0] not in visitors}

    def carried(self, name: str) -> int:
        """Return the thousandths of a micro that an id owes beside what it has spent."""
        with self._lock:
            account = self._accounts.get(name)
            return 0 if account is None else account.carried

    def account(self, name: str) -> Account | None:
        """Return the account of an id, which is in use: read it under `reading`."""
        return self._accounts.get(name)

    @property
    def reading(self) -> RLock:
        """The lock under which several figures are read as they were at one moment."""
        return self._lock

    def _account(self, name: str) -> Account:
        return self._accounts.setdefault(name, Account())

    def _standing(self, campaign: AdCampaign, day: str, now_ms: int, seen: int) -> Standing:
        account, budget = self._account(campaign.id), campaign.budget
        held = account.held(now_ms)
        left = budget.total_micros - account.spent - held
        if budget.daily_micros is None:
            return Standing(left, left, seen)
        return Standing(left, budget.daily_micros - account.spent_on(day) - held, seen)

    def _serve(self, showings: Sequence[Showing], day: str, visitor: str) -> None:
        for showing in showings:
            self._account(showing.campaign).serve(showing, day)
            self.rates.serve(showing)
            if visitor:
                self._visit(visitor, showing.campaign, day)

    def _visit(self, visitor: str, campaign: str, day: str) -> None:
        if day > self._day:
            self._day = day
            self._visits = {}
        if day == self._day and len(self._visits) < MOST_VISITS:
            key = (visitor, campaign)
            self._visits[key] = self._visits.get(key, 0) + 1

    def _change(
        self, campaigns: dict[str, AdCampaign], record: PutCampaign | DeleteCampaign
    ) -> None:
        if isinstance(record, PutCampaign):
            campaigns[record.campaign.id] = record.campaign
            self._account(record.campaign.id)
        else:
            campaigns.pop(record.id, None)
