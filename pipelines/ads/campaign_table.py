"""Imports a table of ad campaigns, a row each, with a mapping of its columns: all rows or none."""

from collections.abc import Iterator
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from pipelines.ads.campaigns.campaign import AdCampaign, fault_of, placed_in_time
from pipelines.ads.intake import AdWriter
from pipelines.ads.ledger.records import PutCampaign
from pipelines.config.loading import read_section
from pipelines.config.sections import Section
from pipelines.config.zones import zone_of
from pipelines.errors import ShopError
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Row, Rows
from pipelines.live.change_log import FILE
from pipelines.live.folded_shop import open_shop
from pipelines.shop.quality import shown
from pipelines.shop.reader import Shop
from ranking.auction.values import MOST_MICROS

MICROS = 1_000_000
LISTED = ("products", "exclusion_groups")
TARGETS = {  # fields of the targeting by those of the mapping
    "terms": "terms",
    "categories": "categories",
    "target_products": "products",
    "placements": "placements",
    "devices": "devices",
    "channels": "channels",
    "countries": "countries",
}
MONEY = {"total": "total_micros", "daily": "daily_micros", "bid": "micros"}


class CampaignMapping(Section, frozen=True, kw_only=True):
    """Which column has what; "" where there is none. Money is in units of the currency."""

    id: str = "id"
    advertiser: str = "advertiser"
    name: str = ""
    currency: str = ""  # a column; else `currency_code`
    currency_code: str = ""
    total: str = "total"
    daily: str = ""
    start: str = "start"
    end: str = "end"
    bid: str = "bid"
    kind: str = ""  # cpc or cpm; cpc where there is no column
    products: str = "products"
    terms: str = ""
    categories: str = ""
    target_products: str = ""
    placements: str = ""
    devices: str = ""
    channels: str = ""
    countries: str = ""
    exclusion_groups: str = ""
    creative_text: str = ""
    creative_image: str = ""
    daily_cap: str = ""
    list_separator: str = "|"  # between several values of one cell
    timezone: str = ""  # of moments without an offset; "": the shop's

    def __post_init__(self) -> None:
        """Refuse a zone that the system does not know."""
        zone_of(self.timezone)


class RefusedRow(ValueError):
    """Why a row is no campaign: the column or field, and what is wrong."""


def import_campaigns(source: Path, mapping: Path | None, shop: Path, live: Path) -> int:
    """Write the campaigns of a table into the journal of ads below `live`; return how many.

    A ShopError names the first row that cannot be, and then nothing is written; a LiveError says
    that a server has the journal open.
    """
    columns = CampaignMapping() if mapping is None else read_section(mapping, CampaignMapping)
    stock = open_shop(shop, live if (live / FILE).exists() else None)
    zone = zone_of(columns.timezone or stock.meta.timezone)
    campaigns = _campaigns(source, columns, zone)
    _refuse_unknown(source, campaigns, stock)
    ads = AdWriter(live, zone_of(stock.meta.timezone))
    try:
        items = [PutCampaign(campaign=one) for one in campaigns.values()]
        for line, refusal in zip(campaigns, ads.refusals(items), strict=True):
            if refusal is not None:
                raise ShopError(f"{source}, line {line}: {refusal.field} {refusal.message}")
        ads.submit(items).result()
    finally:
        ads.close()
    return len(campaigns)


def _campaigns(source: Path, columns: CampaignMapping, zone: tzinfo) -> dict[int, AdCampaign]:
    """Return the campaigns by line, or a ShopError that names the first that is none."""
    rows = open_rows(source, columns=tuple(_named(columns).values()))
    _check_columns(source, rows, columns)
    found: dict[int, AdCampaign] = {}
    lines: dict[str, int] = {}
    for row in rows.rows:
        try:
            campaign = campaign_of(row, columns, zone)
        except RefusedRow as e:
            raise ShopError(f"{source}, line {row.line}: {e}; nothing was imported") from None
        if campaign.id in lines:
            raise ShopError(
                f"{source}, line {row.line}: {campaign.id!r} stands in line {lines[campaign.id]}, "
                "too; name each campaign once"
            )
        lines[campaign.id] = row.line
        found[row.line] = campaign
    if not found:
        raise ShopError(f"{source} has no row with a campaign")
    return found


def campaign_of(row: Row, columns: CampaignMapping, zone: tzinfo) -> AdCampaign:
    """Return the campaign of a row, or a RefusedRow that names what is wrong."""
    if row.mistake:
        raise RefusedRow(row.mistake)
    cells = {field: _text(row.values.get(column)) for field, column in _named(columns).items()}
    raw = _raw(cells, columns)
    try:
        campaign = msgspec.convert(raw, AdCampaign)
    except msgspec.ValidationError as e:
        raise RefusedRow(str(e).replace("`$.", "`")) from None
    campaign = placed_in_time(campaign, zone)
    if fault := fault_of(campaign):
        raise RefusedRow(f"{fault.field} {fault.message}")
    return campaign


def _raw(cells: dict[str, str], columns: CampaignMapping) -> dict[str, Any]:
    """Return what a row says by the fields of a campaign, not yet validated."""
    money = {field: micros_of(cells[name], name) for name, field in MONEY.items() if name in cells}
    lists = {name: _listed(cells.get(name, ""), columns) for name in (*LISTED, *TARGETS)}
    creative = {
        "id": "1",
        "text": cells.get("creative_text", ""),
        "image": cells.get("creative_image", ""),
    }
    return {
        "id": cells["id"],
        "advertiser": cells["advertiser"],
        "name": cells.get("name", ""),
        "currency": cells.get("currency", "") or columns.currency_code,
        "budget": {
            "total_micros": money["total_micros"],
            "daily_micros": money.get("daily_micros"),
        },
        "start": _moment(cells["start"], "start"),
        "end": _moment(cells["end"], "end"),
        "bid": {"kind": cells.get("kind", "").lower() or "cpc", "micros": money["micros"]},
        "products": lists["products"],
        "targeting": {field: lists[name] for name, field in TARGETS.items()},
        "exclusion_groups": lists["exclusion_groups"],
        "creatives": [creative] if creative["text"] or creative["image"] else [],
        "daily_cap": _whole(cells.get("daily_cap", "")),
    }


def micros_of(text: str, name: str) -> int | None:
    """Return an amount such as 12.50 in whole micros; None for an empty cell."""
    if not text:
        return None
    try:
        amount = Decimal(text)
        micros = amount * MICROS
    except InvalidOperation:
        raise RefusedRow(f"{name} {shown(text)} is no amount; write it as 12.50") from None
    if not amount.is_finite() or not 0 < micros <= MOST_MICROS:
        raise RefusedRow(
            f"{name} {shown(text)} is not above 0 and at most {MOST_MICROS // MICROS:,}"
        )
    if micros != int(micros):
        raise RefusedRow(f"{name} {shown(text)} has more than six decimals")
    return int(micros)


def _named(columns: CampaignMapping) -> dict[str, str]:
    """Return the column of each field that has one."""
    settings = ("currency_code", "list_separator", "timezone")
    named = {name: getattr(columns, name) for name in columns.__struct_fields__}
    return {name: column for name, column in named.items() if column and name not in settings}


def _check_columns(source: Path, rows: Rows, columns: CampaignMapping) -> None:
    lacking = [one for one in _named(columns).values() if one not in rows.columns]
    if lacking and rows.complete:
        raise ShopError(
            f"{source} lacks the columns {', '.join(lacking)}; it has {', '.join(rows.columns)}. "
            "Name the others in a mapping"
        )


def _refuse_unknown(source: Path, campaigns: dict[int, AdCampaign], shop: Shop) -> None:
    wanted = {name for one in campaigns.values() for name in one.products}
    for batch in shop.product_batches():
        wanted.difference_update(batch["id"].to_pylist())
    for line, campaign in campaigns.items():
        for name in campaign.products:
            if name in wanted:
                raise ShopError(
                    f"{source}, line {line}: {name!r} is no product of this shop; nothing was "
                    "imported"
                )


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value).strip()


def _listed(text: str, columns: CampaignMapping) -> list[str]:
    parts: Iterator[str] = (part.strip() for part in text.split(columns.list_separator or "\0"))
    return [part for part in parts if part]


def _moment(text: str, name: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise RefusedRow(
            f"{name} {shown(text)} is no moment; write it as 2026-06-01 or 2026-06-01T10:00"
        ) from None


def _whole(text: str) -> int:
    if text and not text.isdecimal():
        raise RefusedRow(f"daily_cap {shown(text)} is no whole number")
    return int(text[:9] or 0)
