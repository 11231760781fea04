"""Imports a table of products (CSV, TSV, JSONL, Parquet) with a mapping of its columns."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.errors import ConfigError
from pipelines.importers.continued import RawProduct, joined
from pipelines.importers.events.fields import value_at
from pipelines.importers.events.intake import EventIntake
from pipelines.importers.events.log import OpenLog, open_log
from pipelines.importers.mapping import (
    Mapping,
    Names,
    check_columns,
    fields_of,
    load_mapping,
    names_of,
)
from pipelines.importers.paid import PaidPrices
from pipelines.importers.pictures import PictureIntake, check_pictures, take_files, take_parquet
from pipelines.importers.products import Intake
from pipelines.importers.promotions import open_promotions_table, take_promotions
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Row, Rows
from pipelines.importers.variants.shaping import EXAMPLES, Shaper
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
    *,
    at: datetime | None = None,
    **further: Path | None,
) -> QualityReport:
    """Write a shop of a table of products, and of pictures, a log and promotions if there are such.

    `at` is the moment whose sale prices count, by default now. `further` may name `pictures` (a
    folder of files, or a Parquet file of bytes), `events` and `promotions`. Nothing is left of an
    import that fails; what is wrong with a row is counted, and fails it only past
    `max_refused_share`.
    """
    sources = Sources(source, **further)
    rows, log = _open(sources, mapping)
    pushed = open_promotions_table(sources.promotions) if sources.promotions else None
    quality = Quality(mapping.name or source.stem, "table")
    with ShopWriter(folder, name=quality.name, source="table") as shop:
        intake = Intake(shop, quality, str(source), mapping.currency)
        photos = PictureIntake(shop, quality)
        shaper = Shaper(source, mapping)
        paid = PaidPrices(mapping.sale, mapping.stock, at or datetime.now(), str(source), quality)
        raw = _raw_products(track(rows.rows, "products"), mapping, intake, shaper, paid)
        _take(joined(raw), intake, photos, sources.pictures, quality)
        intake.finish(mapping.max_refused_share)
        quality.notes += [*shaper.notes(), *paid.notes()]
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


def _raw_products(
    rows: Iterable[Row], mapping: Mapping, intake: Intake, shaper: Shaper, paid: PaidPrices
) -> Iterator[RawProduct]:
    """Yield the products of a table by our names, not yet validated; count all other rows."""
    for row in rows:
        if row.mistake:
            intake.refuse(row.line, row.mistake)
        elif shaped := shaper.take(row):
            values = shaped.row.values
            raw = shaped.added_to(raw_product(values, mapping))
            yield RawProduct(row.line, paid.added_to(raw, values, row.line))
        else:
            intake.leave_out()


def _take(
    products: Iterable[RawProduct],
    intake: Intake,
    photos: PictureIntake,
    pictures: Path | None,
    quality: Quality,
) -> None:
    """Validate and write products, with their pictures from a folder if there is one."""
    lines: list[int] = []
    continued = 0
    for one in products:
        product = intake.take(one.line, one.raw)
        for line in one.lines:
            intake.leave_out()
            lines += [line] if len(lines) < EXAMPLES else []
        continued += len(one.lines)
        if product and pictures and pictures.is_dir():
            take_files(photos, str(pictures), pictures, product, one.line)
    if continued:
        quality.notes.append(
            f"{continued:,} rows go on with the product above (same id, no title), and their "
            f"pictures and values are added to it (lines {', '.join(map(str, lines))}, …)"
        )


def raw_product(values: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    """Return a row's values by our names for them, not yet validated."""
    raw: dict[str, Any] = {}
    for field, columns in fields_of(mapping.columns).items():
        found = [value_at(values, column) for column in names_of(columns)]
        if len(found) > 1 and field in JOINED:
            found = [_join(found, JOINED[field])]
        elif field in LISTS:
            found = [part for value in found for part in _split(value, mapping.list_separator)]
        raw[field] = found if field in LISTS else found[0]
    raw["attributes"] = {
        name: _attribute(values, columns) for name, columns in mapping.attributes.items()
    }
    return raw


def _attribute(values: dict[str, Any], columns: Names) -> Any:
    """Return the value of one column, or the filled ones of several."""
    found = [value_at(values, column) for column in names_of(columns)]
    return found[0] if len(found) == 1 else [one for one in found if one not in (None, "")]


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
