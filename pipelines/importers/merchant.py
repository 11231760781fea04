"""Imports a feed for Google Merchant or Meta: a table, or XML, which is parsed as hostile input."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.config.sections import ShopConfig
from pipelines.config.zones import local_time, zone_of
from pipelines.errors import ShopError
from pipelines.importers.columns import SaleColumns, StockColumns
from pipelines.importers.mapping import shown_columns
from pipelines.importers.paid import PaidPrices
from pipelines.importers.products import Intake
from pipelines.importers.tables.files import UTF_16, check_file
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Row, Rows
from pipelines.importers.tables.xml_rows import items_of, plain_name
from pipelines.importers.variants.left_out import is_left_out
from pipelines.progress import Track
from pipelines.shop.quality import Quality, QualityReport, shown
from pipelines.shop.writer import ShopWriter

MAX_REFUSED_SHARE = 0.5
REQUIRED = ("id", "title")
# Feed attribute (https://support.google.com/merchants/answer/7052112): our field.
FIELDS = {
    "id": "id",
    "title": "title",
    "description": "description",
    "summary": "description",
    "brand": "brand",
    "price": "price",
    "availability": "availability",
    "item_group_id": "item_group_id",
}
LISTS = {
    "product_type": "categories",
    "image_link": "images",
    "additional_image_link": "images",
    "video_link": "videos",
}
ATTRIBUTES = (
    "link", "gtin", "mpn", "condition", "color", "size", "material", "pattern", "gender",
    "age_group", "sale_price", "sale_price_effective_date", "google_product_category", "adult",
    "multipack", "is_bundle", "energy_efficiency_class", "unit_pricing_measure", "product_weight",
    "custom_label_0", "custom_label_1", "custom_label_2", "custom_label_3", "custom_label_4",
)  # fmt: skip


# Columns of Meta's catalogues (https://www.facebook.com/business/help/120325381656392).
SALE = SaleColumns(price="sale_price", period="sale_price_effective_date")
STOCK = StockColumns(quantity="quantity_to_sell_on_facebook")
NUMBERED = "products have no category but a number of Google's; `product_type` names a path"
LEFT_OUT = {"status": ("archived",), "visibility": ("hidden", "staging")}


def import_merchant(
    source: Path,
    folder: Path,
    track: Track,
    at: datetime | None = None,
    shop_place: ShopConfig = ShopConfig(),  # noqa: B008
) -> QualityReport:
    """Write a shop of a feed. Pictures stay addresses: nothing is fetched.

    `at` is the moment whose sale prices count, by default now.
    """
    zone = zone_of(shop_place.timezone)
    rows = _open(source)
    quality = Quality(source.stem, "merchant")
    with ShopWriter(folder, name=quality.name, source="merchant") as shop:
        shop.timezone, shop.country = shop_place.timezone, shop_place.country
        intake = Intake(shop, quality, str(source))
        paid = PaidPrices(SALE, STOCK, local_time(at or datetime.now(UTC), zone), zone=zone)
        for row in track(rows.rows, "products"):
            _take(row, intake, paid)
        quality.remarks += rows.remarks.all()
        intake.finish(MAX_REFUSED_SHARE)
        report = quality.report()
        shop.write_report(report)
    return report


def _take(row: Row, intake: Intake, paid: PaidPrices) -> None:
    """Validate and write one item, if it is for sale."""
    if row.mistake:
        intake.refuse(row.line, row.mistake)
        return
    values = {name: texts[0] for name, texts in row.values.items()}
    if why := is_left_out(values, LEFT_OUT):
        intake.remarks.add(
            f"rows are left out, because {why}", row.line, shown(values.get("title"))
        )
        intake.leave_out()
        return
    raw = raw_product(row.values)
    if not raw["categories"] and values.get("google_product_category"):
        intake.remarks.add(NUMBERED, row.line, shown(values["google_product_category"]))
    intake.take(row.line, paid.added_to(raw, values, row.line, intake.remarks))


def raw_product(values: dict[str, Any]) -> dict[str, Any]:
    """Return a feed's values, lists of texts by attribute, by our names; not yet validated."""
    raw: dict[str, Any] = {"attributes": {}}
    for name, texts in values.items():
        if name in LISTS:
            raw.setdefault(LISTS[name], []).extend(texts)
        elif name in FIELDS:
            raw.setdefault(FIELDS[name], texts[0])
        elif name in ATTRIBUTES:
            raw["attributes"][name] = texts[0]
    if not raw.get("categories"):  # Google's own taxonomy, where the shop gives no path
        paths = values.get("google_product_category", [])
        raw["categories"] = [path for path in paths if not str(path or "").strip().isdigit()]
    return raw


def _open(source: Path) -> Rows:
    if source.suffix.lower() == ".xml":
        check_file(source, but=UTF_16)
        return Rows((), items_of(source), complete=False)
    rows = open_rows(source, columns=REQUIRED)
    names = {column: plain_name(column) for column in rows.columns}
    missing = [name for name in REQUIRED if name not in names.values()]
    if missing:
        raise ShopError(
            f"{source} has no column {', '.join(missing)}, which a feed must have; "
            f"it has {shown_columns(rows.columns)}"
        )
    return replace(rows, rows=(_named(row, names) for row in rows.rows))


def _named(row: Row, names: dict[str, str]) -> Row:
    values: dict[str, list[Any]] = {}
    for column, value in row.values.items():
        name = names.get(column) or plain_name(column)
        values.setdefault(name, []).extend(_several(name, value))
    return Row(row.line, values, row.mistake)


def _several(name: str, value: Any) -> list[Any]:
    """A TSV cell holds several pictures or types, separated by commas."""
    if name == "additional_image_link" and isinstance(value, str):
        return value.split(",")
    return value if isinstance(value, list) and value else [value]
