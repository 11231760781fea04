"""Imports a table of products (CSV, TSV, JSONL, Parquet) with a mapping of its columns."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.errors import ConfigError
from pipelines.importers.events import EventIntake
from pipelines.importers.mapping import (
    LISTS,
    Mapping,
    Names,
    ProductColumns,
    check_columns,
    fields_of,
    load_mapping,
    named_as_in,
    names_of,
    said_style,
    wanted_columns,
)
from pipelines.importers.pictures import PictureIntake, check_pictures, take_files, take_parquet
from pipelines.importers.products import Intake
from pipelines.importers.promotions import open_promotions_table, take_promotions
from pipelines.importers.tables.json_rows import inner
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Row, Rows
from pipelines.importers.values.survey import CellStyle, Survey
from pipelines.progress import Track
from pipelines.shop.quality import Quality, QualityReport
from pipelines.shop.remarks import Remarks
from pipelines.shop.writer import ShopWriter

__all__ = ["Mapping", "import_table", "load_mapping"]

JOINED = {"title": " ", "description": "\n", "categories": " > "}  # when it is several columns


class Sources(NamedTuple):
    """The source files of a shop."""

    products: Path
    pictures: Path | None = None
    events: Path | None = None
    promotions: Path | None = None


def import_table(
    source: Path,
    folder: Path,
    mapping: Mapping,
    track: Track,
    **further: Path | None,
) -> QualityReport:
    """Write a shop of a table of products, and of pictures, a log and promotions if there are such.

    `further` may name `pictures` (a folder of files, or a Parquet file of bytes), `events` and
    `promotions`. Nothing is left of an import that fails; what is wrong with a row is counted, and
    fails it only past `max_refused_share`.
    """
    sources = Sources(source, **further)
    rows, log, mapping = _open(sources, mapping)
    pushed = open_promotions_table(sources.promotions) if sources.promotions else None
    quality = Quality(mapping.name or source.stem, "table")
    style = _style(source, mapping, quality, track)
    with ShopWriter(folder, name=quality.name, source="table") as shop:
        intake = Intake(shop, quality, str(source), style=style)
        photos = PictureIntake(shop, quality)
        for row in track(rows.rows, "products"):
            _take(row, mapping, intake, photos, sources.pictures)
        quality.remarks += rows.remarks.all()
        intake.finish(mapping.max_refused_share)
        if sources.pictures and not sources.pictures.is_dir():
            taken = take_parquet(photos, sources.pictures, mapping.pictures, intake.ids)
            for _ in track(taken, "pictures"):
                pass
        photos.flush()
        if log and mapping.events and sources.events:
            kept = EventIntake(shop, quality, sources.events, mapping.events)
            for row in track(log.rows, "events"):
                kept.take(row)
            kept.finish(mapping.max_refused_share, intake.ids)
            quality.remarks += log.remarks.all()
        if pushed and sources.promotions:
            told = track(pushed.rows, "promotions")
            take_promotions(
                iter(told), sources.promotions, shop, quality, mapping.max_refused_share
            )
        report = quality.report()
        shop.write_report(report)
    return report


def _open(sources: Sources, mapping: Mapping) -> tuple[Rows, Rows | None, Mapping]:
    """Open all files before anything is written, and check that the columns are there.

    The mapping is returned with the names of columns as the products' file has them.
    """
    rows = _open_products(sources.products, mapping)
    mapping = named_as_in(mapping, rows)
    check_columns(sources.products, rows, wanted_columns(mapping), required=("id", "title"))
    if sources.pictures:
        check_pictures(sources.pictures)
    if not sources.events:
        return rows, None, mapping
    if not mapping.events:
        raise ConfigError(f"{sources.events}: the mapping does not say which columns are `events`")
    events = fields_of(mapping.events)
    log = open_rows(
        sources.events, mapping.separator, encoding=mapping.encoding, columns=_flat(events)
    )
    check_columns(sources.events, log, events, required=("user", "time", "product"))
    return rows, log, mapping


def _open_products(source: Path, mapping: Mapping) -> Rows:
    columns = _flat(wanted_columns(mapping))
    return open_rows(
        source, mapping.separator, encoding=mapping.encoding, columns=columns, only=True
    )


def _flat(wanted: dict[str, Names]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in wanted.values() for name in names_of(names)))


def _style(source: Path, mapping: Mapping, quality: Quality, track: Track) -> CellStyle:
    """Look through all rows for how their cells are written, and for columns that no row has."""
    survey, remarks = Survey(said_style(mapping)), Remarks(source)
    rows = _open_products(source, mapping)
    lacking = {} if rows.complete else wanted_columns(mapping)
    for row in track(rows.rows, "columns"):
        survey.see(row.line, raw_product(row.values, mapping))
        if lacking:
            lacking = {
                field: names
                for field, names in lacking.items()
                if all(inner(row.values, name) is None for name in names_of(names))
            }
    for field, names in lacking.items():
        columns = ", ".join(names_of(names))
        remarks.add("columns that the mapping names and no row has", 0, f"{columns} for `{field}`")
    style = survey.style(remarks)
    quality.remarks += remarks.all()
    return style


def _take(
    row: Row, mapping: Mapping, intake: Intake, photos: PictureIntake, pictures: Path | None
) -> None:
    if row.mistake:
        intake.refuse(row.line, row.mistake)
        return
    product = intake.take(row.line, raw_product(row.values, mapping))
    if product and pictures and pictures.is_dir():
        take_files(photos, str(pictures), pictures, product, row.line)


@lru_cache(maxsize=16)
def _plan(columns: ProductColumns) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((field, names_of(names)) for field, names in fields_of(columns).items())


def raw_product(values: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    """Return a row's values by our names for them, not yet validated."""
    raw: dict[str, Any] = {}
    for field, columns in _plan(mapping.columns):
        cells = [inner(values, column) for column in columns]
        if len(cells) > 1 and field in JOINED:
            cells = [_join(cells, JOINED[field])]
        raw[field] = _listed(cells) if field in LISTS else cells[0]
    raw["attributes"] = {name: inner(values, column) for name, column in mapping.attributes.items()}
    return raw


def _listed(cells: list[Any]) -> list[Any]:
    return [part for cell in cells for part in (cell if isinstance(cell, list) else [cell])]


def _join(cells: list[Any], joiner: str) -> Any:
    """Join what is text; anything else is left for the validation to name."""
    strange = next(
        (v for v in cells if v is not None and not isinstance(v, str | int | float)), None
    )
    if strange is not None:
        return strange
    texts = (str(value).strip() for value in cells if value is not None and value == value)
    return joiner.join(text for text in texts if text)
