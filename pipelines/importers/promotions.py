"""Imports a table of promotions: product, kind, start, end, share of the places, known from."""

from collections.abc import Container, Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from pipelines.errors import ShopError
from pipelines.importers.events.times import DateOrder, moment_of
from pipelines.importers.products import CHUNK
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Row, Rows
from pipelines.importers.values.texts import RowError, id_of
from pipelines.shop.quality import Quality, shown
from pipelines.shop.schemas import PROMOTION_SCHEMA
from pipelines.shop.writer import ShopWriter
from retrieval.types import Promotion

REQUIRED = ("product", "kind", "start", "end")


def open_promotions_table(path: Path) -> Rows:
    """Open a table and check that it has the columns of a promotion."""
    rows = open_rows(path, columns=REQUIRED)
    missing = [name for name in REQUIRED if name not in rows.columns]
    if missing:
        raise ShopError(
            f"{path} lacks the columns {', '.join(missing)}; promotions need "
            f"{', '.join(REQUIRED)}, and may have share and known_from"
        )
    return rows


def take_promotions(  # noqa: PLR0913 - what is taken, where from and where to
    rows: Iterator[Row],
    source: Path,
    shop: ShopWriter,
    quality: Quality,
    most_refused: float,
    *,
    ids: Container[str],
    zone: tzinfo = UTC,
) -> None:
    """Write the promotions that make sense; refuse the table if too many do not.

    Those of products that `ids` lacks are kept, and counted.
    """
    read, waiting, kept, strangers, first = 0, [], 0, 0, ""
    for row in rows:
        read += 1
        try:
            if row.mistake:
                raise RowError("unreadable row", row.mistake)
            promotion = promotion_of(row.values, zone)
            waiting.append(msgspec.structs.asdict(promotion))
            strangers += promotion.product not in ids
        except RowError as e:
            quality.refuse(str(source), row.line, f"promotion: {e.kind}", str(e))
            first = first or f"line {row.line}: {e}"
        if len(waiting) >= CHUNK:
            kept += _flush(waiting, shop)
    kept += _flush(waiting, shop)
    if read - kept > most_refused * read:
        raise ShopError(
            f"{source}: {read - kept:,} of {read:,} promotions were refused, at most "
            f"{most_refused:.0%} may be; the first: {first}"
        )
    quality.notes.append(f"{kept:,} promotions are kept")
    if strangers:
        quality.notes.append(f"{strangers:,} promotions are of products that the catalogue lacks")


def promotion_of(values: dict[str, Any], zone: tzinfo = UTC) -> Promotion:
    """Return a promotion, or a RowError that says what is wrong with it."""
    start, end = _moment(values, "start", zone), _moment(values, "end", zone)
    if end <= start:
        raise RowError(
            "no time",
            f"it ends at {end}, which is not after its start {start}; a day alone is its midnight, "
            "so write the day after the last",
        )
    share, kind = values.get("share"), values.get("kind")
    raw = {
        "product": id_of(values.get("product"), "product"),
        "kind": kind.strip().lower() if isinstance(kind, str) else kind,
        "share": 1.0 if share is None or share == "" else share,
    }
    try:
        whole = {**raw, "start": start, "end": end, "known_from": _known_from(values, zone)}
        return msgspec.convert(whole, Promotion, strict=False)
    except msgspec.ValidationError as e:
        field = str(e).rpartition("$.")[2].rstrip("`") or "promotion"
        raise RowError(
            f"impossible {field}", f"{field} {shown(values.get(field))} is impossible: {e}"
        ) from None


def _known_from(values: dict[str, Any], zone: tzinfo) -> datetime | None:
    told = values.get("known_from")
    return None if told is None or not str(told).strip() else _moment(values, "known_from", zone)


def _moment(values: dict[str, Any], name: str, zone: tzinfo) -> datetime:
    try:
        return moment_of(values.get(name), DateOrder(zone=zone))
    except RowError as e:
        reason = str(e).partition("; say in")[0]
        raise RowError(
            e.kind, f"{name}: {reason}; write it as 2024-03-01 or 2024-03-01T10:00"
        ) from e


def _flush(waiting: list[dict[str, Any]], shop: ShopWriter) -> int:
    """Write what waits and empty it; return how many there were."""
    count = len(waiting)
    if count:
        shop.add_promotions(pa.Table.from_pylist(waiting, PROMOTION_SCHEMA))
    waiting.clear()
    return count
