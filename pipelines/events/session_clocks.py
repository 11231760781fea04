"""Gives the acts of one session one correction of their clock, so that none changes places."""

from collections.abc import Sequence

import msgspec

from pipelines.acts.clock import MOST_AHEAD, SessionShifts
from pipelines.events.kept_act import KeptAct


class SessionClocks:
    """Shifts the acts of a session alike; called by the thread that writes."""

    def __init__(self) -> None:
        self._shifts = SessionShifts()

    def corrected(self, acts: Sequence[KeptAct]) -> list[KeptAct]:
        """Return the acts in the order in which they came, each at the instant to believe."""
        return [self._corrected(act) for act in acts]

    def _corrected(self, act: KeptAct) -> KeptAct:
        if act.difference is None or act.clamped or act.act.at is None:
            return act
        session = (act.act.visitor or act.person, act.act.session)
        known = self._shifts.shift_of(session, act.shift, act.difference)
        at = act.act.at + (known - act.shift)
        if known == act.shift or at > act.received_at + MOST_AHEAD:
            return act
        zone_offset = act.local_at - act.act.at.replace(tzinfo=None, microsecond=0)
        local_at = (at.replace(tzinfo=None) + zone_offset).replace(microsecond=0)
        moved = msgspec.structs.replace(act.act, at=at)
        return msgspec.structs.replace(act, act=moved, local_at=local_at, shift=known)
