"""Estimates how long an answer of each kind takes, from those that were given."""

from typing import NamedTuple

WEIGHT = 0.1  # of the newest answer, in an exponentially weighted mean


class Cost(NamedTuple):
    """Seconds of one kind of answer."""

    mean: float = 0.0
    deviation: float = 0.0  # mean absolute deviation of `least_mean`
    least_mean: float = 0.0  # without what is left out first when time is short

    @property
    def least(self) -> float:
        """The seconds that the cheapest useful answer takes at most, about 95 times in 100."""
        return self.least_mean + 2 * self.deviation


class Costs:
    """The cost of each kind of answer; 0 for a kind of which none was given yet."""

    def __init__(self) -> None:
        self._costs: dict[str, Cost] = {}

    def of(self, kind: str) -> Cost:
        """Return the estimate."""
        return self._costs.get(kind, Cost())

    def note(self, kind: str, seconds: float, least_seconds: float) -> None:
        """Take in how long an answer took, and how long without what is left out first."""
        old = self._costs.get(kind)
        if old is None:
            self._costs[kind] = Cost(seconds, least_seconds / 2, least_seconds)
            return
        away = abs(least_seconds - old.least_mean)
        self._costs[kind] = Cost(
            old.mean + WEIGHT * (seconds - old.mean),
            old.deviation + WEIGHT * (away - old.deviation),
            old.least_mean + WEIGHT * (least_seconds - old.least_mean),
        )
