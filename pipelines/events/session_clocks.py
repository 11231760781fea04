"""Gives the acts of one session one correction of their clock, so that none changes places."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from cachetools import LRUCache

from pipelines.events.clock import MOST_AHEAD, TRANSIT
from pipelines.events.kept_act import KeptAct

MOST_SESSIONS = 100_000  # that are remembered; what is forgotten is corrected act by act


class SessionClocks:
    """Remembers by how much the acts of each session were shifted; called by the writing thread.

    A difference of clocks has the way of its message in it, up to TRANSIT, and one near TRANSIT may
    be taken for the way or for the clock. So the shift of a session is that of its first act, until
    its difference is further from that than two ways: then the sender's clock was set.
    """

    def __init__(self) -> None:
        self._shifts: LRUCache[tuple[str, str], timedelta] = LRUCache(MOST_SESSIONS)

    def corrected(self, acts: Sequence[KeptAct]) -> list[KeptAct]:
        """Return the acts in the order in which they came, each at the instant to believe."""
        return [self._corrected(act) for act in acts]

    def _corrected(self, act: KeptAct) -> KeptAct:
        if act.difference is None or act.clamped or act.act.at is None:
            return act
        session = (act.act.visitor or act.person, act.act.session)
        known = self._shifts.get(session)
        if known is None or abs(act.difference - known) > 2 * TRANSIT:
            self._shifts[session] = known = act.shift
        at = act.act.at + (known - act.shift)
        if known == act.shift or at > act.received_at + MOST_AHEAD:
            return act
        zone_offset = act.local_at - act.act.at.replace(tzinfo=None, microsecond=0)
        local_at = (at.replace(tzinfo=None) + zone_offset).replace(microsecond=0)
        moved = msgspec.structs.replace(act.act, at=at)
        return msgspec.structs.replace(act, act=moved, local_at=local_at, shift=known)
