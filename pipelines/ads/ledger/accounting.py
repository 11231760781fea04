"""Decides, in the one process that writes, what becomes of campaigns, auctions and acts.

A charge is never more than what both budgets have left: what is missing to the price is given
away. Each act on a showing counts once: an act is forgotten when its showing has expired. So the
clock of decisions does not go back; where the machine's clock does so by more than CORRECTED_MS, it
was wrong before, and what was shown until then is refused.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from time import time

import msgspec

from pipelines.ads.campaigns.campaign import AdCampaign, fault_of
from pipelines.ads.ledger.checkpoint import Checkpoint, CountedKey
from pipelines.ads.ledger.ledger import Ledger
from pipelines.ads.ledger.records import (
    AdAct,
    AdEntry,
    AdItem,
    AdRecord,
    CountedAct,
    DeleteCampaign,
    HeldAuction,
    PutCampaign,
    Showing,
    ToldAct,
    UnwrittenAd,
)

MOST_CAMPAIGNS = 10_000
CORRECTED_MS = 3_600_000  # by which a clock that goes back has been set right
FORGET_MS = 60_000  # after its end, before the acts on a showing are forgotten
Clock = Callable[[], int]
Key = tuple[str, int, AdAct]


def now_ms() -> int:
    """Return the milliseconds since 1970."""
    return round(time() * 1_000)


def day_of(moment_ms: int, zone: tzinfo) -> str:
    """Return the day of the shop at a moment, such as 2024-03-01."""
    return datetime.fromtimestamp(moment_ms / 1_000, UTC).astimezone(zone).date().isoformat()


class _Draft:
    """What the items of one group change, before it is written."""

    def __init__(self, ledger: Ledger) -> None:
        self.campaigns: dict[str, AdCampaign] = dict(ledger.books.campaigns)
        self.spent: defaultdict[str, int] = defaultdict(int)
        self.carried: dict[str, int] = {}
        self.counted: set[Key] = set()


class Accounting:
    """Prepares the items of a journal over its ledger; called by the thread that writes."""

    def __init__(self, ledger: Ledger, zone: tzinfo, clock: Clock = now_ms) -> None:
        self._ledger = ledger
        self._zone = zone
        self._clock = clock
        self._counted: dict[Key, int] = {}  # the minute at which each ends
        self._expiring: defaultdict[int, list[Key]] = defaultdict(list)  # by minute
        self._newest_ms = 0  # when the newest act was counted
        self._refused_ms = 0  # what was shown before is refused

    def prepare(self, items: Sequence[AdItem]) -> list[AdRecord | UnwrittenAd]:
        """Return what is written for each item, or why nothing is."""
        now = self._now()
        self._forget(now)
        draft, day = _Draft(self._ledger), day_of(now, self._zone)
        return [self._prepared(item, draft, now, day) for item in items]

    def apply(self, entries: Sequence[AdEntry]) -> None:
        """Take in entries that are written."""
        self._ledger.apply(entries)
        for _, record in entries:
            if isinstance(record, CountedAct):
                self._note(record.at_ms)
                key = _key(record.act, record.showing)
                self._keep(key, record.showing.expires_ms // FORGET_MS)

    def checkpoint(self, log: str) -> Checkpoint:
        """Return the ledger with the acts that may not count again, to be kept."""
        counted = tuple(
            CountedKey(*key, minute) for minute, keys in self._expiring.items() for key in keys
        )
        ledger = self._ledger.checkpoint(log)
        return msgspec.structs.replace(ledger, counted=counted, refused_ms=self._refused_ms)

    def restore(self, kept: Checkpoint) -> None:
        """Begin where a checkpoint was made."""
        self._ledger.restore(kept)
        self._newest_ms, self._refused_ms = kept.newest_ms, kept.refused_ms
        for one in kept.counted:
            self._keep((one.auction, one.position, one.act), one.ends)

    def _now(self) -> int:
        """Return the moment of decisions."""
        now = self._clock()
        if now < self._newest_ms - CORRECTED_MS:
            self._note(now)
        return max(now, self._newest_ms)

    def _note(self, moment_ms: int) -> None:
        """Take a moment for the newest; one that is long before the newest was a correction."""
        if moment_ms < self._newest_ms - CORRECTED_MS:
            self._refused_ms = moment_ms
            self._newest_ms = moment_ms
        self._newest_ms = max(self._newest_ms, moment_ms)

    def _prepared(self, item: AdItem, draft: _Draft, now: int, day: str) -> AdRecord | UnwrittenAd:
        if isinstance(item, PutCampaign):
            refusal = self._unfit(item.campaign, draft, day)
            if refusal is None:
                draft.campaigns[item.campaign.id] = item.campaign
            return refusal or item
        if isinstance(item, DeleteCampaign):
            if draft.campaigns.pop(item.id, None) is None:
                return UnwrittenAd(404, "id", "is no campaign of this shop; look at its spelling")
            return item
        return item if isinstance(item, HeldAuction) else self._counting(item, draft, now, day)

    def _unfit(self, campaign: AdCampaign, draft: _Draft, day: str) -> UnwrittenAd | None:
        """Return why a campaign cannot be taken beside the others and beside what is spent."""
        if fault := fault_of(campaign):
            return UnwrittenAd(400, *fault)
        others = (one.currency for one in draft.campaigns.values() if one.id != campaign.id)
        currency = next(others, campaign.currency)
        if campaign.currency != currency:
            message = (
                f"is {campaign.currency}, and the other campaigns are in {currency}; send that"
            )
            return UnwrittenAd(400, "currency", message)
        if campaign.id not in draft.campaigns and len(draft.campaigns) >= MOST_CAMPAIGNS:
            message = f"is one too many: there are {MOST_CAMPAIGNS:,}; delete one that has ended"
            return UnwrittenAd(507, "id", message)
        return self._below_spend(campaign, draft, day)

    def _below_spend(self, campaign: AdCampaign, draft: _Draft, day: str) -> UnwrittenAd | None:
        before = self._spent(campaign.id, draft, day)
        budget = campaign.budget
        bounds = (("total", budget.total_micros), ("daily", budget.daily_micros))
        for spent, (name, bound) in zip(before, bounds, strict=True):
            if bound is not None and bound < spent:
                return UnwrittenAd(
                    400,
                    f"budget.{name}_micros",
                    f"is {bound:,}, below the {spent:,} that {campaign.id!r} has spent "
                    f"{'in all' if name == 'total' else 'today'}; delete the campaign to end it",
                )
        return None

    def _counting(
        self, told: ToldAct, draft: _Draft, now: int, day: str
    ) -> CountedAct | UnwrittenAd:
        """Return an act with its charge; what was told before, or too late, is not written."""
        showing, key = told.showing, _key(told.act, told.showing)
        if key in self._counted or key in draft.counted:
            return UnwrittenAd(200, "token", "was counted before")
        if showing.expires_ms <= now or showing.at_ms < self._refused_ms:
            return UnwrittenAd(410, "token", "has expired; nothing was charged")
        draft.counted.add(key)
        charged = given_away = 0
        if told.act is showing.charged_for:
            name = showing.campaign
            carried = draft.carried.get(name, self._ledger.carried(name))
            due, draft.carried[name] = showing.due(carried)
            charged = min(due, self._left(name, draft, day))
            given_away = due - charged
            draft.spent[name] += charged
        return CountedAct(
            act=told.act,
            showing=showing,
            at_ms=now,
            day=day,
            charged_micros=charged,
            given_away_micros=given_away,
        )

    def _left(self, name: str, draft: _Draft, day: str) -> int:
        """Return what may still be charged to a campaign; nothing where it was deleted."""
        campaign = draft.campaigns.get(name)
        if campaign is None:
            return 0
        total, today = self._spent(name, draft, day)
        left = campaign.budget.total_micros - total
        if campaign.budget.daily_micros is not None:
            left = min(left, campaign.budget.daily_micros - today)
        return max(left, 0)

    def _spent(self, name: str, draft: _Draft, day: str) -> tuple[int, int]:
        """Return what was spent in all, and today, with what this group has charged so far."""
        total, today = self._ledger.spent(name, day)
        return total + draft.spent[name], today + draft.spent[name]

    def _keep(self, key: Key, ends: int) -> None:
        """Remember an act that counted until its last minute."""
        self._counted[key] = max(ends, self._counted.get(key, ends))
        self._expiring[ends].append(key)

    def _forget(self, now: int) -> None:
        """Forget acts on showings that ended before; their tokens are refused by their end."""
        for minute in [one for one in self._expiring if (one + 1) * FORGET_MS <= now]:
            for key in self._expiring.pop(minute):
                if self._counted.get(key) == minute:
                    del self._counted[key]


def _key(act: AdAct, showing: Showing) -> Key:
    return showing.auction, showing.position, act
