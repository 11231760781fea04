"""Decides when an act happened, from its sender's clock and from ours."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

TRANSIT = timedelta(seconds=60)  # a difference up to this is the way, not the clock
MOST_AHEAD = timedelta(minutes=5)
FIRST_YEAR, LAST_YEAR = 1971, 2200


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
