"""Imports rows of events: validates each, counts refused ones, writes the others in chunks."""

import math
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.errors import ShopError
from pipelines.importers.mapping import EventColumns
from pipelines.importers.products import CHUNK
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import RowError, id_of, text_of
from pipelines.shop.quality import Quality, shown
from pipelines.shop.schemas import EVENT_SCHEMA
from pipelines.shop.writer import ShopWriter
from retrieval import EventType

YEARS = range(1990, 2101)
MAX_TEXT = 2_000
MOST_PLACES = 1_000_000
FIELDS = (
    "type",
    "user",
    "session",
    "time",
    "product",
    "quantity",
    "value",
    "text",
    "position",
    "propensity",
    "placement",
)
SCHEMA = pa.schema([EVENT_SCHEMA.field(name) for name in FIELDS])
# The names that Google retail, Google Analytics and schema.org give to the same acts.
TYPES = {event.value.replace("_", ""): event for event in EventType} | {
    "detailpageview": EventType.VIEW,
    "viewitem": EventType.VIEW,
    "viewaction": EventType.VIEW,
    "addtobasket": EventType.ADD_TO_CART,
    "cart": EventType.ADD_TO_CART,
    "purchasecomplete": EventType.PURCHASE,
    "order": EventType.PURCHASE,
    "buyaction": EventType.PURCHASE,
    "selectitem": EventType.CLICK,
    "viewitemlist": EventType.IMPRESSION,
}


class EventIntake:
    """Validates events one by one and writes them in chunks."""

    def __init__(
        self, shop: ShopWriter, quality: Quality, source: Path, columns: EventColumns
    ) -> None:
        self._shop = shop
        self._quality = quality
        self._source = source
        self._columns = columns
        self._waiting: list[dict[str, Any]] = []
        self._popularity: Counter[str] = Counter()

    def take(self, row: Row) -> None:
        """Keep an event that makes sense; count one that does not."""
        self._quality.events_read += 1
        try:
            if row.mistake:
                raise RowError("unreadable row", row.mistake)
            event = self._event(row.values)
        except RowError as e:
            self._quality.refuse(str(self._source), row.line, f"event: {e.kind}", str(e))
            return
        self._waiting.append(event)
        self._popularity[event["product"]] += 1
        if len(self._waiting) >= CHUNK:
            self._flush()

    def finish(self, max_refused_share: float, ids: set[str]) -> None:
        """Write the rest; refuse the whole file if too much of it was wrong."""
        self._flush()
        read, kept = self._quality.events_read, self._quality.events_kept
        if not read:
            raise ShopError(f"{self._source} has a header but no rows")
        if read - kept > max_refused_share * read or not kept:
            first = next(e for e in self._quality.examples if e.source == str(self._source))
            raise ShopError(
                f"{self._source}: {read - kept:,} of {read:,} events were refused, at most "
                f"{max_refused_share:.0%} may be; the first: line {first.line}: {first.reason}"
            )
        self._quality.see_popularity(np.array(list(self._popularity.values()), np.int64))
        strangers = sum(n for product, n in self._popularity.items() if product not in ids)
        if strangers:
            self._quality.notes.append(
                f"{strangers:,} events are of products that the catalogue lacks"
            )

    def _flush(self) -> None:
        self._quality.events_kept += len(self._waiting)
        if self._waiting:
            self._shop.add_events(pa.Table.from_pylist(self._waiting, SCHEMA))
        self._waiting = []

    def _event(self, values: dict[str, Any]) -> dict[str, Any]:
        columns = self._columns
        kind = values.get(columns.type) if columns.type else columns.default_type
        return {
            "type": type_of(kind).value,
            "user": id_of(values.get(columns.user), "user"),
            "session": text_of(values.get(columns.session), "session", at_most=200),
            "time": moment_of(values.get(columns.time)),
            "product": id_of(values.get(columns.product), "product"),
            "quantity": _number(values.get(columns.quantity), "quantity", default=1.0),
            "value": _number(values.get(columns.value), "value", default=None),
            "text": text_of(values.get(columns.text), "text", at_most=MAX_TEXT),
            "position": _position(values.get(columns.position)),
            "propensity": _propensity(values.get(columns.propensity)),
            "placement": text_of(values.get(columns.placement), "placement", at_most=200),
        }


def type_of(value: Any) -> EventType:
    """Return the noun's word for `purchase`, `detail-page-view`, `add_to_cart`…"""
    word = re.sub(r"[^a-z]", "", text_of(value, "type", at_most=200).lower())
    if word not in TYPES:
        raise RowError(
            "unknown type",
            f"type {shown(value)} is unknown; choose one of {', '.join(EventType)}",
        )
    return TYPES[word]


def moment_of(value: Any) -> datetime:
    """Read a time as the shop's local one: ISO 8601, or seconds or milliseconds since 1970."""
    try:
        if isinstance(value, str) and not value.strip().isdigit():
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            seconds = float(value)
            value = datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise RowError("unreadable time", f"time {shown(value)} is not a moment") from None
    if not isinstance(value, datetime) or value.year not in YEARS:
        raise RowError(
            "unreadable time",
            f"time {shown(value)} is not a moment from {YEARS[0]} to {YEARS[-1]}",
        )
    return value.replace(tzinfo=None, microsecond=0)


def _position(value: Any) -> int | None:
    """Read a place on the page, which counts from 1."""
    number = _number(value, "position", default=None)
    if number is None:
        return None
    if number != int(number) or not 1 <= number <= MOST_PLACES:
        raise RowError("impossible position", f"position {shown(value)} is no place from 1 on")
    return int(number)


def _propensity(value: Any) -> float | None:
    """Read the chance that something was seen, above 0 and at most 1."""
    number = _number(value, "propensity", default=None)
    if number is not None and not 0 < number <= 1:
        raise RowError("impossible propensity", f"propensity {shown(value)} is not in (0, 1]")
    return number


def _number(value: Any, name: str, default: float | None) -> float | None:
    if value is None or value == "":
        return default
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise RowError(f"impossible {name}", f"{name} {shown(value)} is not a number") from None
    lowest = 0.0 if default is None else math.ulp(0)  # a quantity is above 0, a value may be 0
    if not math.isfinite(number) or number < lowest:
        raise RowError(f"impossible {name}", f"{name} {shown(value)} is impossible")
    return number
