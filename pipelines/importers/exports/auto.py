"""Imports a file of any exporter that is known, with the mapping that its columns tell."""

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipelines.errors import ConfigError, ShopError
from pipelines.importers.exports.recognition import (
    OF_EVENTS,
    OF_PRODUCTS,
    Kind,
    Recognised,
    known_names,
    recognise,
    unknown,
)
from pipelines.importers.mapping import NO_LOG, Mapping, shown_columns
from pipelines.importers.table import import_table
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Rows
from pipelines.progress import Track
from pipelines.shop.quality import QualityReport


class Plan(NamedTuple):
    """What an import would do: its mapping as it stands in YAML, and why."""

    raw: dict[str, Any]
    sentences: tuple[str, ...]
    events: Path | None  # the log: given, or the file of products itself
    fault: ShopError | None = None  # why the mapping is not whole

    def yaml(self) -> str:
        """Return the mapping as a file for `vetrina import table`, with the reasons above it."""
        text = msgspec.yaml.encode(self.raw).decode()
        return "".join(f"# {sentence}\n" for sentence in self.sentences) + text


def plan(
    source: Path,
    events: Path | None = None,
    name: str = "",
    match: str = "",
    **said: str,
) -> Plan:
    """Return the mapping of a file of products, and of a log if there is one.

    With a name, the file is of that format; `match` says by what the log names products, and
    `said` are keys of the mapping that the file does not tell: `currency`, `timezone` and
    `country`.
    """
    rows, products = _recognised(source, OF_PRODUCTS, name)
    raw, sentences = dict(products.mapping), _said(source, products)
    fault = unknown(source, rows, products) if products.missing else None
    if events:
        log_rows, log = _recognised(events, OF_EVENTS)
        raw["events"] = log.mapping.get("events", {})
        sentences += _said(events, log)
        fault = fault or _fault_of_log(events, log_rows, log)
    elif "events" in raw:
        events = source
    if match and not events:
        raise ConfigError(NO_LOG)
    if match:
        raw["events"] |= {"match": match}
    raw |= {key: value for key, value in said.items() if value}
    if "currency" in raw:
        raw["currency"] = raw["currency"].upper()
    return Plan(raw, tuple(sentences), events, fault)


def import_planned(
    planned: Plan,
    source: Path,
    folder: Path,
    track: Track,
    *,
    at: datetime | None = None,
    **further: Path | None,
) -> QualityReport:
    """Write a shop as planned; the reasons for the mapping are notes of the report."""
    if planned.fault:
        raise planned.fault
    try:
        mapping = msgspec.convert(planned.raw, Mapping)
    except msgspec.ValidationError as e:
        raise ConfigError(f"the mapping of {source}: {e}") from None
    notes = planned.sentences
    return import_table(
        source, folder, mapping, track, at=at, notes=notes, events=planned.events, **further
    )


def _recognised(source: Path, kind: Kind, name: str = "") -> tuple[Rows, Recognised]:
    """Open a file and recognise it; where its columns say nothing, look for a header that is known.

    Lines above it and texts of many lines below it hide it from who knows no names.
    """
    rows = open_rows(source, columns=known_names(kind, name) if name else ())
    found = recognise(source, rows, kind, name)
    if not found.missing:
        return rows, found
    again = open_rows(source, columns=known_names(kind))
    second = recognise(source, again, kind)
    return (rows, found) if second.missing else (again, second)


def _said(source: Path, found: Recognised) -> list[str]:
    """Return why a file has its mapping, and which of its columns are left aside."""
    columns = shown_columns(found.unused)
    said = f"{source.name}: columns that are not imported ({len(found.unused):,}): {columns}"
    return [found.sentence, *([said] if found.unused else [])]


def _fault_of_log(events: Path, rows: Rows, log: Recognised) -> ShopError | None:
    return unknown(events, rows, log) if log.missing else None
