"""Imports a table of products (CSV, TSV, JSONL, Parquet) with a mapping of its columns."""

from pathlib import Path
from typing import Any, NamedTuple

from pipelines.errors import ConfigError
from pipelines.importers.events.intake import EventIntake
from pipelines.importers.events.log import OpenLog, open_log
from pipelines.importers.mapping import Mapping, check_columns, fields_of, load_mapping, names_of
from pipelines.importers.pictures import PictureIntake, check_pictures, take_files, take_parquet
from pipelines.importers.products import Intake
from pipelines.importers.promotions import open_promotions_table, take_promotions
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Row, Rows
from pipelines.progress import Track
from pipelines.shop.quality import Quality, QualityReport
from pipelines.shop.writer import ShopWriter

__all__ = ["Mapping", "import_table", "load_mapping"]

JOINED = {"title": " ", "description": "\n", "categories": " > "}  # when it is several columns
LISTS = ("categories", "images", "videos", "tags")  # one column may hold several


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
    rows, log = _open(sources, mapping)
    pushed = open_promotions_table(sources.promotions) if sources.promotions else None
    quality = Quality(mapping.name or source.stem, "table")
    with ShopWriter(folder, name=quality.name, source="table") as shop:
        intake = Intake(shop, quality, str(source), mapping.currency)
        photos = PictureIntake(shop, quality)
        for row in track(rows.rows, "products"):
            _take(row, mapping, intake, photos, sources.pictures)
        intake.finish(mapping.max_refused_share)
        if sources.pictures and not sources.pictures.is_dir():
            taken = take_parquet(photos, sources.pictures, mapping.pictures, intake.ids)
            for _ in track(taken, "pictures"):
                pass
        photos.flush()
        if log and mapping.events and sources.events:
            kept = EventIntake(shop, quality, sources.events, mapping.events, log.survey)
            for row in track(log.rows.rows, "events"):
                kept.take(row)
            kept.finish(mapping.max_refused_share, intake.ids)
        if pushed and sources.promotions:
            told = track(pushed.rows, "promotions")
            take_promotions(
                iter(told), sources.promotions, shop, quality, mapping.max_refused_share
            )
        report = quality.report()
        shop.write_report(report)
    return report


def _open(sources: Sources, mapping: Mapping) -> tuple[Rows, OpenLog | None]:
    """Open all files before anything is written, and check that the columns are there."""
    rows = open_rows(sources.products, mapping.separator)
    wanted = fields_of(mapping.columns) | {
        f"attributes.{name}": column for name, column in mapping.attributes.items()
    }
    check_columns(sources.products, rows, wanted, required=("id", "title"))
    if sources.pictures:
        check_pictures(sources.pictures)
    if not sources.events:
        return rows, None
    if not mapping.events:
        raise ConfigError(f"{sources.events}: the mapping does not say which columns are `events`")
    return rows, open_log(sources.events, mapping.events, mapping.separator)


def _take(
    row: Row, mapping: Mapping, intake: Intake, photos: PictureIntake, pictures: Path | None
) -> None:
    if row.mistake:
        intake.refuse(row.line, row.mistake)
        return
    product = intake.take(row.line, raw_product(row.values, mapping))
    if product and pictures and pictures.is_dir():
        take_files(photos, str(pictures), pictures, product, row.line)


def raw_product(values: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    """Return a row's values by our names for them, not yet validated."""
    raw: dict[str, Any] = {}
    for field, columns in fields_of(mapping.columns).items():
        found = [values.get(column) for column in names_of(columns)]
        if len(found) > 1 and field in JOINED:
            found = [_join(found, JOINED[field])]
        elif field in LISTS:
            found = [part for value in found for part in _split(value, mapping.list_separator)]
        raw[field] = found if field in LISTS else found[0]
    raw["attributes"] = {name: values.get(column) for name, column in mapping.attributes.items()}
    return raw


def _join(found: list[Any], joiner: str) -> Any:
    """Join what is text; anything else is left for the validation to name."""
    strange = next(
        (v for v in found if v is not None and not isinstance(v, str | int | float)), None
    )
    if strange is not None:
        return strange
    texts = (str(value).strip() for value in found if value is not None and value == value)
    return joiner.join(text for text in texts if text)


def _split(value: Any, separator: str) -> list[Any]:
    if isinstance(value, list):
        return value
    return value.split(separator) if isinstance(value, str) and separator else [value]
