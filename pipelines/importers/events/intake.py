"""Imports rows of events: validates each, counts refused ones, writes the others in chunks."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.acts.robots import Paces, RobotNames
from pipelines.errors import ShopError
from pipelines.importers.columns import ConsentColumns, EventColumns
from pipelines.importers.events.acts import IgnoredAct, UnknownAct
from pipelines.importers.events.date_order import LogStyle
from pipelines.importers.events.duplicates import Duplicates
from pipelines.importers.events.event_rows import OF_MONEY, EventReader, LeftOut
from pipelines.importers.events.fields import PLACE, WHOLE, rows_inside
from pipelines.importers.events.product_names import ProductNames
from pipelines.importers.mapping import names_of
from pipelines.importers.matching.finding import ProductFinder
from pipelines.importers.products import CHUNK
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import RowError
from pipelines.shop.quality import Quality, shown
from pipelines.shop.remarks import Remarks
from pipelines.shop.schemas import ACT_SCHEMA
from pipelines.shop.writer import ShopWriter
from retrieval import EventType

MOST_NAMES = 1_000  # of unknown acts, that are counted one by one
SHOWN_NAMES = 10
PACED = (EventType.VIEW, EventType.CLICK, EventType.IMPRESSION, EventType.ADD_TO_CART)
MONEY_COLUMNS = ("value_micros", "price_micros", "discount_micros", "currency")
OPTIONAL = ("visitor", "order", "answer", "list", "filter", "experiment", "placement", "propensity")
MOST_AGENT = 512  # characters


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
        fields = self._reader.fields
        self._schema = pa.schema([field for field in ACT_SCHEMA if self._is_told(field.name)])
        self._outer = {one.partition(".")[0] for one in names_of(columns.each)}
        self._has_types, self._has_agents = fields.has("type"), fields.has("agent")
        self._duplicates = Duplicates(columns.duplicates)
        self._robot_names, self._paces = RobotNames(), Paces()
        self._waiting: list[dict[str, Any]] = []
        self._agents: list[str] = []  # of those that wait
        self._popularity: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._ignored: Counter[str] = Counter()
        self._currencies: Counter[str] = Counter()
        self._robots = 0
        self._wrong = 0
        self._first = ""  # refused event: its line and reason
        self._left_out = ""  # the first that was left out

    def take(self, row: Row) -> None:
        """Keep the events of a row that make sense; count those that do not.

        A row is one act with its lines, or a session with acts that have times of their own.
        """
        parts = list(rows_inside(row, self._columns))
        if PLACE in parts[0].values and self._has_own_time(parts[0]):
            for part in parts:
                self._take_act([part])
        else:
            self._take_act(parts)

    def _has_own_time(self, part: Row) -> bool:
        """Return whether a part of a row says itself when it was."""
        whole = part.values[WHOLE]
        return any(
            name in part.values and name not in whole for name in names_of(self._columns.time)
        )

    def _take_act(self, parts: Sequence[Row]) -> None:
        """Keep the lines of an act; what is wrong with its type is counted once."""
        first, reader, duplicates = parts[0], self._reader, self._duplicates
        try:
            if first.mistake:
                raise RowError("unreadable row", first.mistake)
            reader.kind(first)
        except RowError as e:
            self._quality.events_read += 1
            self._refuse(first.line, e)
            return
        self._quality.events_read += len(parts)
        again = duplicates.is_again(self._compared(first), first.line)
        if again and duplicates.drops(tells_event=reader.tells_event(first)):
            return
        told: list[dict[str, Any]] = []
        for part in parts:
            self._read_into(told, part)
        if told and not self._is_told_again(first, told):
            self._keep(told, reader.fields.at(first, "agent"))

    def _compared(self, part: Row) -> dict[str, Any]:
        """Return what of a row is compared word for word: all of it, or of a session one act."""
        if PLACE not in part.values:
            return part.values
        if not self._has_own_time(part):
            whole: dict[str, Any] = part.values[WHOLE]
            return whole
        left = {*self._outer, WHOLE, PLACE}
        return {name: value for name, value in part.values.items() if name not in left}

    def _read_into(self, told: list[dict[str, Any]], part: Row) -> None:
        """Add the events of a part; a search is one, however many products it shows."""
        try:
            if part.mistake:
                raise RowError("unreadable row", part.mistake)
            events = self._reader.read(part)
        except RowError as e:
            self._refuse(part.line, e)
            return
        is_search = len(events) > 1 and events[0]["type"] == EventType.SEARCH
        told += events[1:] if is_search and told else events

    def _is_told_again(self, first: Row, told: list[dict[str, Any]]) -> bool:
        reader, duplicates = self._reader, self._duplicates
        event_id = reader.event_id(first)

        def tells_event() -> bool:
            to_second = reader.clock.to_second or not self._columns.each
            return to_second and reader.tells_event(first)

        if self._columns.each:
            return duplicates.drops_act(event_id, told, tells_event)
        if duplicates.drops_event(event_id, told[0], first.line):
            return True
        if event_id is not None or not self._has_types:
            return False
        return duplicates.drops_line(told[0], first.line, tells_event)

    def _is_told(self, column: str) -> bool:
        """Return whether a log may say anything of a column that is kept."""
        fields = self._reader.fields
        if column in OF_MONEY or column in MONEY_COLUMNS:
            return any(map(fields.has, (*OF_MONEY, "currency"))) or column == "value"
        if column == "consent":
            return self._columns.consent != ConsentColumns()
        return column not in OPTIONAL or fields.has(column)

    @property
    def finder(self) -> ProductFinder:
        """What finds the products that the log's ids mean."""
        return self._reader.finder

    def product_rows(self, rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
        """Yield the values of each line of a log that may name a product."""
        for row in rows:
            for part in rows_inside(row, self._columns):
                with suppress(RowError):
                    self._reader.kind(part)
                    yield part.values

    def finish(self, max_refused_share: float, ids: set[str]) -> None:
        """Write the rest; refuse the whole file if too much of it was wrong."""
        self._flush()
        ignored = self._ignored.total()
        read, kept = self._quality.events_read, self._quality.events_kept
        if not read:
            raise ShopError(f"{self._source} has a header but no rows")
        if self._wrong > max_refused_share * (read - ignored) or (self._wrong and not kept):
            raise ShopError(
                f"{self._source}: {self._wrong:,} of {read:,} events were refused, at most "
                f"{max_refused_share:.0%} may be; the first: {self._first}"
            )
        if not kept and ignored == read:
            raise ShopError(
                f"{self._source}: none of {read:,} events is of shopping{_most(self._ignored)}"
            )
        if not kept and self._robots and not self._unknown:
            raise ShopError(f"{self._source}: all events that could be kept are of robots")
        if not kept and not self._unknown:
            raise ShopError(
                f"{self._source}: all {read:,} events are left out; the first: {self._left_out}"
            )
        if not kept:
            raise ShopError(
                f"{self._source}: none of {read:,} events is of a type that is known"
                f"{_most(self._unknown)}; say in the mapping which of ours they are, such as "
                f"events.types: {{{next(iter(self._unknown))[:40]}: view}}"
            )
        if self._reader.clock.zoned:
            self._shop.timezone = self._columns.zone or "UTC"
        self._quality.events_ignored += self._ignored
        self._quality.see_popularity(np.array(list(self._popularity.values()), np.int64))
        self._quality.remarks += self.remarks.all()
        self._quality.notes += filter(None, self._notes(ids))

    def _keep(self, events: list[dict[str, Any]], agent: Any) -> None:
        self._duplicates.see(events)
        if self._is_too_fast(events):
            self._robots += len(events)
            return
        self._waiting += events
        self._agents += [str(agent or "")[:MOST_AGENT]] * len(events)
        if len(self._waiting) >= CHUNK:
            self._flush()

    def _is_too_fast(self, events: list[dict[str, Any]]) -> bool:
        """Return whether a robot did an act, which only times to the second can tell."""
        event = events[0]
        if event["type"] not in PACED or not self._reader.clock.to_second:
            return False
        products = [one["product"] for one in events]
        seconds = int(event["at"].timestamp())
        return self._paces.is_too_fast(event["user"], seconds, EventType(event["type"]), products)

    def _refuse(self, line: int, error: RowError) -> None:
        if isinstance(error, IgnoredAct):
            _count(self._ignored, error.name)
            return
        self._quality.refuse(str(self._source), line, f"event: {error.kind}", str(error))
        if isinstance(error, UnknownAct):
            _count(self._unknown, error.name)
        elif isinstance(error, LeftOut):
            self._left_out = self._left_out or f"line {line}: {error}"
        else:
            self._wrong += 1
            self._first = self._first or f"line {line}: {error}"

    def _flush(self) -> None:
        """Write what waits, but for what those did who call themselves robots."""
        kept = self._waiting
        if self._has_agents and kept:
            robots = self._robot_names.are(self._agents)
            kept = [one for one, is_robot in zip(kept, robots, strict=True) if not is_robot]
            self._robots += len(self._waiting) - len(kept)
        for event in kept:
            self._types[event["type"]] += 1
            self._popularity[event["product"] or ""] += 1
            if event.get("value_micros") or event.get("price_micros"):
                self._currencies[event["currency"]] += 1
        del self._popularity[""]
        self._quality.events_kept += len(kept)
        if kept:
            self._shop.add_events(pa.Table.from_pylist(kept, self._schema))
        self._waiting, self._agents = [], []

    def _notes(self, ids: set[str]) -> list[str]:
        """Return what the report says beside the counts: what was chosen, and what is left out."""
        kinds = ", ".join(f"{kind} {n:,}" for kind in EventType if (n := self._types[kind]))
        strangers = sum(n for product, n in self._popularity.items() if product not in ids)
        shoppers, unknown = self._reader.shoppers, self._unknown
        anonymous = shoppers.anonymous
        return [
            f"events by type: {kinds}",
            *self._style.notes,
            f"events of other types are left out{_most(unknown)}" if unknown else "",
            f"{strangers:,} events are of products that the catalogue lacks" if strangers else "",
            f"{anonymous:,} events name neither a user nor a session, so each counts as another "
            "user's"
            if anonymous
            else "",
            f"{self._robots:,} events are of robots, by the name of their agent or because nobody "
            "looks at so much so fast, and are left out"
            if self._robots
            else "",
            f"{guests:,} events are of guests, who are no one shopper: each is its session's, or "
            "nobody's"
            if (guests := shoppers.guests)
            else "",
            f"{undated:,} events are of orders that were cancelled or refunded, by their status at "
            "the export: they are left out, and also missing before that in a build with --until, "
            "as no column says when (events.undone_at)"
            if (undated := self._reader.undated)
            else "",
            *self._duplicates.notes(),
            *self._money(),
            *self._zones(),
        ]

    def _money(self) -> Iterator[str]:
        if len(self._currencies) > 1:
            amounts = ", ".join(f"{one or 'none'} {n:,}" for one, n in self._currencies.items())
            yield f"amounts are of several currencies, and not converted: {amounts}"
        if unpriced := self._reader.unpriced:
            yield f"{unpriced:,} amounts name no currency, and are taken for the shop's"

    def _zones(self) -> Iterator[str]:
        clock, zone = self._reader.clock, self._columns.zone
        converted = clock.zoned
        if converted:
            why = "" if zone else "; --timezone names the shop's"
            count = f"{converted:,} times name a zone or count from 1970"
            yield f"{count}, and are converted to {zone or 'UTC'}{why}"
        if unknown := clock.zones_unknown:
            count = f"{unknown:,} times end in letters of a zone that is not known"
            yield f"{count}, and count as local"
        if clock.shifted:
            yield (
                f"{clock.shifted:,} times are corrected by the clock of whoever took the event, as "
                "that of its sender was wrong when it was sent"
            )
        if clock.clamped:
            yield (
                f"{clock.clamped:,} times lay after the event was taken, and are the time at which "
                "it was taken"
            )


def _count(names: Counter[str], name: str) -> None:
    """Count a name, in bounded memory."""
    names[name if name in names or len(names) < MOST_NAMES else "others"] += 1


def _most(names: Counter[str]) -> str:
    most = names.most_common(SHOWN_NAMES)
    return ": " + ", ".join(f"{shown(name)} {count:,}" for name, count in most)
