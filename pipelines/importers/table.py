"""Imports a table of products (CSV, TSV, JSONL, Parquet) with a mapping of its columns."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pipelines.config.zones import local_time, zone_of
from pipelines.importers.columns import Names
from pipelines.importers.continued import RawProduct, joined
from pipelines.importers.events.intake import EventIntake
from pipelines.importers.events.log import OpenLog, open_log
from pipelines.importers.events.product_names import KnownName, ProductNames
from pipelines.importers.mapping import (
    Mapping,
    check_columns,
    load_mapping,
    named_as_in,
    names_of,
    placed,
    said_style,
    wanted_columns,
)
from pipelines.importers.matching.catalogue import Catalogue
from pipelines.importers.paid import PaidPrices
from pipelines.importers.pictures import PictureIntake, check_pictures, take_files, take_parquet
from pipelines.importers.products import Intake
from pipelines.importers.promotions import open_promotions_table, take_promotions
from pipelines.importers.raw_products import raw_product
from pipelines.importers.tables.json_rows import inner
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Row, Rows
from pipelines.importers.values.survey import CellStyle, Survey
from pipelines.importers.variants.nested import with_each
from pipelines.importers.variants.options import options_of
from pipelines.importers.variants.shaping import Shaper
from pipelines.progress import Track
from pipelines.shop.quality import Quality, QualityReport, shown
from pipelines.shop.remarks import Remarks
from pipelines.shop.writer import ShopWriter

__all__ = ["Mapping", "import_table", "load_mapping"]

YOUNG_OBJECTS = 200_000  # between two looks for cycles
GOES_ON = "rows go on with the product above, as their id says: their values are added to it"


class Sources(NamedTuple):
    """The source files of a shop."""

    products: Path
    pictures: Path | None = None
    events: Path | None = None
    promotions: Path | None = None


@contextmanager
def _rare_collection() -> Iterator[None]:
    """Look for cycles of objects seldom: rows make none, and looking takes a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@_rare_collection()
def import_table(
    source: Path,
    folder: Path,
    mapping: Mapping,
    track: Track,
    *,
    at: datetime | None = None,
    notes: tuple[str, ...] = (),
    **further: Path | None,
) -> QualityReport:
    """Write a shop of a table of products, and of pictures, a log and promotions if there are such.

    `at` is the moment whose sale prices count, by default now; `notes` go into the report.
    `further` may name `pictures` (a folder of files, or a Parquet file of bytes), `events` and
    `promotions`. Nothing is left of an import that fails; what is wrong with a row is counted, and
    fails it only past `max_refused_share`.
    """
    sources = Sources(source, **further)
    mapping = placed(mapping)
    zone = zone_of(mapping.timezone)
    files = _open(sources, mapping)
    quality = Quality(mapping.name or source.stem, "table")
    quality.notes += notes
    when = local_time(at or datetime.now(UTC), zone)
    style = _style(source, files.mapping, quality, track)
    with ShopWriter(folder, name=quality.name, source="table") as shop:
        shop.timezone, shop.country = mapping.timezone, mapping.country
        catalogue = Catalogue() if files.log else None
        intake = Intake(shop, quality, str(source), style=style, catalogue=catalogue)
        paid = PaidPrices(files.mapping.sale, files.mapping.stock, when, style.price, zone)
        names = _import_products(sources, files, intake, paid, shop, track)
        if catalogue is not None:
            _import_events(sources, files, shop, KnownProducts(intake, catalogue, names), track)
        if files.promotions and sources.promotions:
            told = iter(track(files.promotions.rows, "promotions"))
            most = mapping.max_refused_share
            take_promotions(
                told, sources.promotions, shop, quality, most, ids=intake.ids, zone=zone
            )
        report = quality.report()
        shop.write_report(report)
    return report


class _Files(NamedTuple):
    """The files of an import, open, and the mapping with the columns as they are named there."""

    products: Rows
    log: OpenLog | None
    promotions: Rows | None
    mapping: Mapping


def _import_products(
    sources: Sources,
    files: _Files,
    intake: Intake,
    paid: PaidPrices,
    shop: ShopWriter,
    track: Track,
) -> ProductNames | None:
    """Write the products, with their pictures if there are some; return their names for a log."""
    mapping, source = files.mapping, sources.products
    shaper = Shaper(mapping, lambda: _open_products(source, mapping).rows)
    photos = PictureIntake(shop, intake.quality)
    raw = _raw_products(track(files.products.rows, "products"), mapping, intake, shaper, paid)
    columns = mapping.events
    names = ProductNames(intake.ids) if columns and columns.name else None
    _take(joined(raw), intake, photos, sources.pictures, names)
    intake.quality.remarks += files.products.remarks.all()
    intake.finish(mapping.max_refused_share)
    if sources.pictures and not sources.pictures.is_dir():
        taken = take_parquet(photos, sources.pictures, mapping.pictures, intake.ids)
        for _ in track(taken, "pictures"):
            pass
    photos.flush()
    return names


class KnownProducts(NamedTuple):
    """The products of a shop, as a log may name them."""

    intake: Intake
    catalogue: Catalogue
    names: ProductNames | None


def _import_events(
    sources: Sources, files: _Files, shop: ShopWriter, known: KnownProducts, track: Track
) -> None:
    """Write the events of the log, and report how they find their products."""
    columns, log = files.mapping.events, files.log
    if not (log and columns and sources.events):
        return
    intake = known.intake
    names = known.names or ProductNames(intake.ids)
    kept = EventIntake(shop, intake.quality, sources.events, columns, log.style, names)
    if columns.match:
        again = open_log(sources.events, files.mapping).rows
        rows = kept.product_rows(track(again.rows, "ids"))
        kept.finder.choose(rows, known.catalogue, columns)
    for row in track(log.rows.rows, "events"):
        kept.take(row)
    kept.finish(files.mapping.max_refused_share, intake.ids)
    intake.quality.id_match = kept.finder.report(known.catalogue, intake.ids)
    intake.quality.remarks += log.rows.remarks.all()


def _open(sources: Sources, mapping: Mapping) -> _Files:
    """Open all files before anything is written, and check that the columns are there."""
    rows = _open_products(sources.products, mapping)
    mapping = named_as_in(mapping, rows)
    check_columns(sources.products, rows, wanted_columns(mapping), required=("id", "title"))
    if sources.pictures:
        check_pictures(sources.pictures)
    log = open_log(sources.events, mapping) if sources.events else None
    promotions = open_promotions_table(sources.promotions) if sources.promotions else None
    return _Files(rows, log, promotions, mapping)


def _open_products(source: Path, mapping: Mapping) -> Rows:
    columns = _flat(wanted_columns(mapping))
    rows = open_rows(
        source, mapping.separator, encoding=mapping.encoding, columns=columns, only=True
    )
    return with_each(rows, mapping.each)


def _flat(wanted: dict[str, Names]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in wanted.values() for name in names_of(names)))


def _style(source: Path, mapping: Mapping, quality: Quality, track: Track) -> CellStyle:
    """Look through all rows for how their cells are written, and for columns that no row has."""
    survey, remarks = Survey(said_style(mapping)), Remarks(source)
    rows = _open_products(source, mapping)
    lacking = {} if rows.complete else wanted_columns(mapping)
    for row in track(rows.rows, "columns"):
        raw = raw_product(row.values, mapping)
        options = options_of(row.values, mapping.options, names_of(mapping.pairs))
        survey.see(row.line, raw | {"attributes": raw["attributes"] | options})
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


def _raw_products(
    rows: Iterable[Row], mapping: Mapping, intake: Intake, shaper: Shaper, paid: PaidPrices
) -> Iterator[RawProduct]:
    """Yield the products of a table by our names, not yet validated; count all other rows."""
    for row in rows:
        if row.mistake:
            intake.refuse(row.line, row.mistake)
        elif shaped := shaper.take(row, intake.remarks):
            values = shaped.row.values
            own = raw_product(values, mapping)
            raw = paid.added_to(shaped.added_to(own), values, row.line, intake.remarks)
            options = tuple(shaped.options.values())
            yield RawProduct(row.line, raw, title=str(own["title"]), options=options)
        else:
            intake.leave_out()


def _take(
    products: Iterable[RawProduct],
    intake: Intake,
    photos: PictureIntake,
    pictures: Path | None,
    names: ProductNames | None,
) -> None:
    """Validate and write products, with their pictures from a folder if there is one."""
    for one in products:
        product = intake.take(one.line, one.raw)
        if product and names:
            known = KnownName(product["id"], one.title, one.options, product["title"])
            names.add(known, product["item_group_id"])
        for line in one.lines:
            intake.leave_out()
            intake.remarks.add(GOES_ON, line, shown(one.raw["id"]))
        if product and pictures and pictures.is_dir():
            take_files(photos, str(pictures), pictures, product, one.line)
