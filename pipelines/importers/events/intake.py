"""Imports rows of events: validates each, counts refused ones, writes the others in chunks."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.config.zones import local_time
from pipelines.errors import ShopError
from pipelines.importers.columns import EventColumns
from pipelines.importers.events.acts import UnknownAct
from pipelines.importers.events.date_order import LogStyle
from pipelines.importers.events.duplicates import Duplicates
from pipelines.importers.events.event_rows import EventReader, LeftOut
from pipelines.importers.events.fields import rows_inside
from pipelines.importers.events.product_names import ProductNames
from pipelines.importers.products import CHUNK
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import RowError
from pipelines.shop.quality import Quality, shown
from pipelines.shop.remarks import Remarks
from pipelines.shop.schemas import EVENT_SCHEMA
from pipelines.shop.writer import ShopWriter
from retrieval import EventType

MOST_NAMES = 1_000  # of unknown acts, that are counted one by one
SHOWN_NAMES = 10
SCHEMA = pa.schema([field for field in EVENT_SCHEMA if field.name != "consent"])


class EventIntake:
    """Validates events one by one and writes them in chunks."""

    def __init__(
        self,
        shop: ShopWriter,
        quality: Quality,
        source: Path,
        columns: EventColumns,
        style: LogStyle = LogStyle(),  # noqa: B008
        names: ProductNames | None = None,
    ) -> None:
        """Take events of a log; `names` are those by which it may show products."""
        self.remarks = Remarks(source)
        self._shop = shop
        self._quality = quality
        self._source = source
        self._columns = columns
        self._style = style
        self._reader = EventReader(columns, style, names, self.remarks)
        outer = columns.each.partition(".")[0]
        self._duplicates = Duplicates(columns.duplicates, outer)
        self._waiting: list[dict[str, Any]] = []
        self._popularity: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._tomorrow = local_time(datetime.now(UTC), style.order.zone) + timedelta(days=1)
        self._future = 0  # events after it
        self._wrong = 0
        self._first = ""  # refused event: its line and reason
        self._left_out = ""  # the first that was left out

    def take(self, row: Row) -> None:
        """Keep the events of a row that make sense; count those that do not."""
        for part in rows_inside(row, self._columns.each):
            self._quality.events_read += 1
            try:
                if part.mistake:
                    raise RowError("unreadable row", part.mistake)
                self._take(part)
            except RowError as e:
                self._refuse(part.line, e)

    def finish(self, max_refused_share: float, ids: set[str]) -> None:
        """Write the rest; refuse the whole file if too much of it was wrong."""
        self._flush()
        read, kept = self._quality.events_read, self._quality.events_kept
        if not read:
            raise ShopError(f"{self._source} has a header but no rows")
        if self._wrong > max_refused_share * read or (self._wrong and not kept):
            raise ShopError(
                f"{self._source}: {self._wrong:,} of {read:,} events were refused, at most "
                f"{max_refused_share:.0%} may be; the first: {self._first}"
            )
        if not kept and not self._unknown:
            raise ShopError(
                f"{self._source}: all {read:,} events are left out; the first: {self._left_out}"
            )
        if not kept:
            raise ShopError(
                f"{self._source}: none of {read:,} events is of a type that is known"
                f"{self._names(': ')}; say in the mapping which of ours they are, such as "
                f"events.types: {{{next(iter(self._unknown))[:40]}: view}}"
            )
        if self._reader.zoned:
            self._shop.timezone = self._columns.zone or "UTC"
        self._quality.see_popularity(np.array(list(self._popularity.values()), np.int64))
        self._quality.remarks += self.remarks.all()
        self._quality.notes += filter(None, self._notes(ids))

    def _take(self, part: Row) -> None:
        duplicates, reader = self._duplicates, self._reader
        if duplicates.is_again(part) and duplicates.drops(tells_event=reader.tells_event(part)):
            return
        events = reader.read(part)
        if not duplicates.drops_event(reader.event_id(part), events[0], part.line):
            self._keep(events)

    def _keep(self, events: list[dict[str, Any]]) -> None:
        self._waiting += events
        for event in events:
            self._types[event["type"]] += 1
            self._future += event["time"] > self._tomorrow
        if product := events[0]["product"]:
            self._popularity[product] += 1
        if len(self._waiting) >= CHUNK:
            self._flush()

    def _refuse(self, line: int, error: RowError) -> None:
        self._quality.refuse(str(self._source), line, f"event: {error.kind}", str(error))
        if isinstance(error, UnknownAct):
            known = error.name in self._unknown or len(self._unknown) < MOST_NAMES
            self._unknown[error.name if known else "others"] += 1
        elif isinstance(error, LeftOut):
            self._left_out = self._left_out or f"line {line}: {error}"
        else:
            self._wrong += 1
            self._first = self._first or f"line {line}: {error}"

    def _flush(self) -> None:
        self._quality.events_kept += len(self._waiting)
        if self._waiting:
            self._shop.add_events(pa.Table.from_pylist(self._waiting, SCHEMA))
        self._waiting = []

    def _names(self, before: str) -> str:
        most = self._unknown.most_common(SHOWN_NAMES)
        return before + ", ".join(f"{shown(name)} {count:,}" for name, count in most)

    def _notes(self, ids: set[str]) -> list[str]:
        """Return what the report says beside the counts: what was chosen, and what is left out."""
        kinds = ", ".join(f"{kind} {n:,}" for kind in EventType if (n := self._types[kind]))
        strangers = sum(n for product, n in self._popularity.items() if product not in ids)
        anonymous = self._reader.anonymous
        return [
            f"events by type: {kinds}",
            *self._style.notes,
            f"events of other types are left out{self._names(': ')}" if self._unknown else "",
            f"{strangers:,} events are of products that the catalogue lacks" if strangers else "",
            f"{anonymous:,} events name neither a user nor a session, so each counts as another "
            "user's"
            if anonymous
            else "",
            f"{self._future:,} events lie in the future" if self._future else "",
            f"{guests:,} events are of guests, who are no one shopper: each is its session's, or "
            "nobody's"
            if (guests := self._reader.guests)
            else "",
            f"{undated:,} events are of orders that were cancelled or refunded, by their status at "
            "the export: they are left out, and also missing before that in a build with --until, "
            "as no column says when (events.undone_at)"
            if (undated := self._reader.undated)
            else "",
            *self._duplicates.notes(),
            *self._zones(),
        ]

    def _zones(self) -> Iterator[str]:
        zone, converted = self._columns.zone, self._reader.zoned
        if converted:
            why = "" if zone else "; --timezone names the shop's"
            count = f"{converted:,} times name a zone or count from 1970"
            yield f"{count}, and are converted to {zone or 'UTC'}{why}"
        if unknown := self._reader.zones_unknown:
            count = f"{unknown:,} times end in letters of a zone that is not known"
            yield f"{count}, and count as local"
