"""Time zones by their IANA names, and the local time of a moment."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone_of(name: str) -> tzinfo:
    """Return the zone of an IANA name such as Europe/Rome, UTC for "", or raise ValueError."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(
            f"{name!r} is no time zone; give an IANA name such as Europe/Rome or UTC"
        ) from None


def local_time(moment: datetime, zone: tzinfo) -> datetime:
    """Return what a clock in a zone shows at a moment; one without a zone is local already."""
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError:  # in the years 1 and 9999, which whoever reads the time refuses
        return moment.replace(tzinfo=None)
