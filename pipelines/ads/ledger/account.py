"""The account of one campaign: what was shown, done, charged and given away, and what is held."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipelines.ads.ledger.records import AdAct, CountedAct, Showing

MINUTE_MS = 60_000


@dataclass(slots=True)
class DayFigures:
    """The figures of one day of the shop; money in micros."""

    served: int = 0  # in answers
    impressions: int = 0
    views: int = 0
    clicks: int = 0
    spent: int = 0
    given_away: int = 0


@dataclass(slots=True)
class Account:
    """What one campaign has spent, in micros, since its id was first put; it is never forgotten."""

    spent: int = 0
    given_away: int = 0
    free: int = 0  # acts that would have cost something, and were not charged in full
    charged: int = 0  # acts that were charged
    carried: int = 0  # thousandths of a micro, of views, that are not charged yet
    days: dict[str, DayFigures] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)  # auctions, by reason
    holds: dict[int, int] = field(default_factory=dict)  # by the minute in which they expire

    def on(self, day: str) -> DayFigures:
        """Return the figures of a day, to read or to add to."""
        return self.days.setdefault(day, DayFigures())

    def spent_on(self, day: str) -> int:
        """Return what was spent on a day."""
        figures = self.days.get(day)
        return 0 if figures is None else figures.spent

    def held(self, now_ms: int) -> int:
        """Return what the showings that can still be charged will probably cost."""
        if not self.holds:
            return 0
        now = now_ms // MINUTE_MS
        for minute in [one for one in self.holds if one < now]:
            del self.holds[minute]
        return sum(self.holds.values())

    def lose(self, reasons: Iterable[str]) -> None:
        """Note why an auction was lost."""
        for reason in reasons:
            self.lost[reason] = self.lost.get(reason, 0) + 1

    def serve(self, showing: Showing, day: str) -> None:
        """Note that an answer has a showing."""
        self.on(day).served += 1
        minute = showing.expires_ms // MINUTE_MS
        self.holds[minute] = self.holds.get(minute, 0) + showing.hold_micros

    def count(self, counted: CountedAct) -> None:
        """Note an act and its charge; the hold of what was charged for ends."""
        showing, figures = counted.showing, self.on(counted.day)
        if counted.act is AdAct.IMPRESSION:
            figures.impressions += 1
        elif counted.act is AdAct.VIEW:
            figures.views += 1
        else:
            figures.clicks += 1
        if counted.act is not showing.charged_for:
            return
        _, self.carried = showing.due(self.carried)
        self.spent += counted.charged_micros
        figures.spent += counted.charged_micros
        self.given_away += counted.given_away_micros
        figures.given_away += counted.given_away_micros
        self.charged += counted.charged_micros > 0
        self.free += counted.given_away_micros > 0
        self._release(showing)

    def _release(self, showing: Showing) -> None:
        """End a hold, as far as it is held: the auction's record may have been lost."""
        minute = showing.expires_ms // MINUTE_MS
        left = self.holds.get(minute, 0) - showing.hold_micros
        if left > 0:
            self.holds[minute] = left
        else:
            self.holds.pop(minute, None)
