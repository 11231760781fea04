"""Decides when an act happened, from its sender's clock and from ours."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from cachetools import LRUCache

TRANSIT = timedelta(seconds=60)  # a difference up to this is the way, not the clock
MOST_AHEAD = timedelta(minutes=5)
FIRST_YEAR, LAST_YEAR = 1971, 2200
MOST_SESSIONS = 100_000  # that are remembered; what is forgotten is corrected act by act


class Instant(NamedTuple):
    """When an act happened, in UTC; `clamped`: its own time was too far off to be believed.

    `shift` was added to the sender's time, and `difference` is what its clock lacked, way included.
    """

    at: datetime
    clamped: bool = False
    shift: timedelta = timedelta()
    difference: timedelta | None = None  # None: not known


def believed(
    at: datetime | None, sent_at: datetime | None, received_at: datetime, zone: tzinfo
) -> Instant:
    """Return when an act happened.

    The sender's time is believed where its clock agrees with ours to TRANSIT when it sent the act;
    else it is shifted by the difference. A time more than MOST_AHEAD after the act arrived, or
    before FIRST_YEAR, is the time of its arrival. A time without an offset is local in `zone`.
    """
    if at is None:
        return Instant(received_at)
    sent = instant = as_utc(at, zone)
    difference = None
    if sent_at is not None:
        difference = received_at - as_utc(sent_at, zone)
        if abs(difference) > TRANSIT:
            instant = shifted(instant, difference)
    if instant > received_at + MOST_AHEAD or instant.year < FIRST_YEAR:
        return Instant(received_at, clamped=True)
    return Instant(instant, shift=instant - sent, difference=difference)


def as_utc(moment: datetime, zone: tzinfo) -> datetime:
    """Return a moment in UTC; one without an offset is local in `zone`."""
    local = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    return local.astimezone(UTC)


def shifted(instant: datetime, difference: timedelta) -> datetime:
    """Return an instant moved by a difference, within what a datetime can hold."""
    try:
        return instant + difference
    except OverflowError:
        return instant


class SessionShifts:
    """Remembers by how much the acts of each session were shifted; for one thread.

    A difference of clocks has the way of its message in it, up to TRANSIT, and one near TRANSIT may
    be taken for the way or for the clock. So the shift of a session is that of its first act, until
    its difference is further from that than two ways: then the sender's clock was set.
    """

    def __init__(self) -> None:
        self._shifts: LRUCache[tuple[str, str], timedelta] = LRUCache(MOST_SESSIONS)

    def shift_of(
        self, session: tuple[str, str], shift: timedelta, difference: timedelta
    ) -> timedelta:
        """Return by how much to shift an act of a session, which would be `shift` for it alone."""
        known = self._shifts.get(session)
        if known is None or abs(difference - known) > 2 * TRANSIT:
            self._shifts[session] = known = shift
        return known
