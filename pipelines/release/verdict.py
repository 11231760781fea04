"""What the gate says of a draft: figures, their limits, and whether they are met."""

import msgspec

from pipelines.errors import ReleaseError
from pipelines.metrics.intervals import Interval


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure against its limit; `least` says which side of the limit is the good one."""

    name: str
    value: float
    limit: float
    least: bool = True  # the value may be no lower than the limit; False: no higher
    passed: bool
    told: str = ""  # what the value is made of


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the gate looked at, and the release that a draft was compared with."""

    against: str | None  # None: nothing was compared, and `note` says why
    note: str = ""
    checks: tuple[Check, ...] = ()
    forced: bool = False  # it was published although checks failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """Return the checks that are not met."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def opens(self) -> bool:
        """Whether the release may be served."""
        return self.forced or not self.failed


def at_least(name: str, value: float, limit: float, told: str = "") -> Check:
    """Return a check of a figure that may be no lower than the limit."""
    passed = bool(value >= limit)
    return Check(name=name, value=round(float(value), 6), limit=limit, passed=passed, told=told)


def at_most(name: str, value: float, limit: float, told: str = "") -> Check:
    """Return a check of a figure that may be no higher than the limit."""
    passed = bool(value <= limit)
    return Check(
        name=name, value=round(float(value), 6), limit=limit, least=False, passed=passed, told=told
    )


def by_chance(check: Check, interval: Interval) -> Check:
    """Let a check pass, and say between which figures chance may put it."""
    if check.passed:
        return check
    told = f"{check.told}; may be chance ({interval.low:+.4f} to {interval.high:+.4f})"
    return msgspec.structs.replace(check, passed=True, told=told)


class UnfitDraft(ReleaseError):
    """A release that the gate keeps dark; holds its name and what was found."""

    def __init__(self, name: str, verdict: Verdict) -> None:
        found = "; ".join(
            f"{check.name} is {check.value:g}, {'below' if check.least else 'above'} the limit "
            f"{check.limit:g}"
            for check in verdict.failed
        )
        super().__init__(
            f"release {name} is not fit to serve and stays dark: {found}; mend what it was built "
            f"from, or serve it all the same with `vetrina releases publish {name} --force`"
        )
        self.name = name
        self.verdict = verdict
