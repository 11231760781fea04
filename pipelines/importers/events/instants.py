"""Decides when an act of a log was, from the time of its sender and that of who took it."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipelines.acts.clock import MOST_AHEAD, SessionShifts, believed
from pipelines.config.zones import local_time, zone_of
from pipelines.importers.columns import EventColumns
from pipelines.importers.events.fields import Fields
from pipelines.importers.events.times import DateOrder, names_unknown_zone, written_moment
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import RowError
from pipelines.shop.quality import shown

OF_CLOCKS = ("created_at", "sent_at", "received_at")
MOST_FUTURE = timedelta(days=1)  # a local time may be ahead of the clock here


class Moment(NamedTuple):
    """When an act was: in UTC, and in the shop's local time to the second."""

    at: datetime
    local: datetime


class Clock:
    """Reads the times of a log, and counts what it had to choose."""

    def __init__(
        self, columns: EventColumns, order: DateOrder, fields: Fields, *, to_second: bool = False
    ) -> None:
        """`to_second`: times of the log are written to the second, or more exactly."""
        self.zoned = 0  # times that name a zone, or count from 1970
        self.zones_unknown = 0  # times with letters for a zone that are not known
        self.shifted = 0  # times of clocks that were wrong, by when the act was sent and taken
        self.clamped = 0  # times after the act was taken
        self.to_second = to_second
        self._written_zone = zone_of(columns.written_zone) if columns.written_zone else None
        self._order = order
        self._fields = fields
        self._shifts = SessionShifts()
        self._latest = datetime.now(UTC) + MOST_FUTURE

    def of(self, row: Row, session: tuple[str, str]) -> Moment:
        """Return when the act of a row was; a RowError where that cannot be read or is to come.

        `session` names the visit, whose acts are all shifted alike.
        """
        value = self._fields.at(row, "time")
        moment = self._written(value)
        self.zoned += moment.tzinfo is not None
        self.zones_unknown += moment.tzinfo is None and names_unknown_zone(value)
        at = self._believed(row, moment, session)
        if at is moment and moment.tzinfo is None:
            at = _utc(moment.replace(tzinfo=self._order.zone))
            local = moment.replace(microsecond=0)
        else:
            local = local_time(at, self._order.zone).replace(microsecond=0)
        if at > self._latest:
            raise RowError("future time", f"time {shown(value)} lies in the future")
        return Moment(at, local)

    def _written(self, value: object) -> datetime:
        moment = written_moment(value, self._order)
        if moment.tzinfo is None and self._written_zone:
            return moment.replace(tzinfo=self._written_zone)
        return moment

    def _believed(self, row: Row, moment: datetime, session: tuple[str, str]) -> datetime:
        """Return the instant of an act as a server would have it that took it then."""
        created, sent, received = (self._told(row, name) for name in OF_CLOCKS)
        if received is None:
            return moment if moment.tzinfo is None else _utc(moment)
        if created is None or sent is None:
            created, sent = moment, None
        instant = believed(created, sent, received, self._order.zone)
        self.clamped += instant.clamped
        if instant.clamped or instant.difference is None:
            return instant.at
        shift = self._shifts.shift_of(session, instant.shift, instant.difference)
        at = instant.at + (shift - instant.shift)
        self.shifted += bool(shift)
        return instant.at if at > received + MOST_AHEAD else at

    def _told(self, row: Row, field: str) -> datetime | None:
        value = self._fields.at(row, field)
        if value is None:
            return None
        moment = self._written(value)
        return _utc(moment if moment.tzinfo else moment.replace(tzinfo=self._order.zone))


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # in the years 1 and 9999, which nobody writes on purpose
        return moment.replace(tzinfo=UTC)
