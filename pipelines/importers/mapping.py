"""The mapping of a table's columns to our fields: a small YAML file."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pipelines.config.loading import read_section
from pipelines.config.place import read_place
from pipelines.config.sections import Fraction, Section
from pipelines.config.zones import zone_of
from pipelines.errors import ConfigError, ShopError
from pipelines.importers.columns import (
    EventColumns,
    Names,
    PictureColumns,
    ProductColumns,
    SaleColumns,
    StockColumns,
    VariantColumns,
)
from pipelines.importers.tables.dialects import plain_name
from pipelines.importers.tables.rows import Rows
from pipelines.importers.values.currencies import currency_of
from pipelines.importers.values.survey import SaidStyle
from retrieval import Availability

Separator = Annotated[str, Meta(pattern=r'^[^\r\n"]?$')]
SHOWN_COLUMNS = 300  # characters
# Keys of sections of columns that name no column.
SETTINGS: dict[type[Section], frozenset[str]] = {
    VariantColumns: frozenset({"follow", "roles"}),
    SaleColumns: frozenset({"order"}),
    EventColumns: frozenset(
        {"default_type", "types", "ignored", "dates", "zone", "written_zone", "duplicates"}
        | {"first_position", "consent", "beside", "match"}
    ),
}
NO_LOG = "--match says by what a log names products, and there is no log; name one with --events"
LISTS = ("categories", "images", "videos", "tags")  # fields of several values


class Mapping(Section, frozen=True, kw_only=True):
    """The whole mapping of a table."""

    name: str = ""  # of the shop; "": the file's
    columns: ProductColumns
    attributes: dict[str, Names] = msgspec.field(default_factory=dict)  # our name: their column
    fallbacks: dict[str, Names] = msgspec.field(default_factory=dict)  # column: others if empty
    each: str = ""  # a list in a row of JSON, each of whose objects is a variant of the row
    continues: bool = False  # a row without an id goes on with the product above
    repeats: bool = False  # several rows may be of one product: the first counts
    options: tuple[tuple[str, str], ...] = ()  # columns of a name and of a value
    pairs: Names = ()  # columns that hold both: `color=Red,size=M`
    variants: VariantColumns = VariantColumns()
    sale: SaleColumns = SaleColumns()
    stock: StockColumns = StockColumns()
    # Values of columns, "*" for any; the rows that have one are no products for sale.
    leave_out: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    only_as_variant: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    events: EventColumns | None = None
    pictures: PictureColumns = PictureColumns()
    separator: Separator = ""  # between the fields of a CSV; "": as the file tells
    encoding: str = ""  # of a text file; "": as its bytes tell
    decimal: Literal["", ".", ","] = ""  # the mark before decimals of prices; "": as they tell
    list_separator: str | None = None  # between several values in one cell; None: as cells tell
    category_separator: str = ""  # between the names of a path; "": as the cells tell
    unknown_availability: Availability = Availability.IN_STOCK  # of words that are not known
    currency: str = ""  # of prices that do not say
    max_refused_share: Fraction = 0.5  # of rows; more and nothing is imported
    timezone: str = ""  # of the shop, such as Europe/Rome; times that name a zone become its local
    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$")] = ""  # of the shop, by ISO 3166

    def __post_init__(self) -> None:
        """Refuse a currency or a zone that there is not."""
        zone_of(self.timezone)
        if self.currency and not currency_of(self.currency):
            raise ValueError(f"currency {self.currency!r} is none of ISO 4217, such as EUR")


def placed(mapping: Mapping, timezone: str = "", country: str = "") -> Mapping:
    """Return a mapping whose log is of the shop's zone, with another zone and country if given.

    Raises ConfigError for a zone or country that there is not.
    """
    events, said = mapping.events, read_place(timezone, country)
    zone = said.timezone or mapping.timezone or (events.zone if events else "")
    return msgspec.structs.replace(
        mapping,
        timezone=zone,
        country=said.country or mapping.country,
        events=events and msgspec.structs.replace(events, zone=zone),
    )


def matched(mapping: Mapping, match: str) -> Mapping:
    """Return a mapping whose log names products by what is given; "" leaves it as it is.

    ConfigError where the mapping has no log.
    """
    if not match:
        return mapping
    if mapping.events is None:
        raise ConfigError(NO_LOG)
    raw = msgspec.to_builtins(mapping)
    raw["events"]["match"] = match
    return msgspec.convert(raw, Mapping)


def load_mapping(path: Path) -> Mapping:
    """Read a mapping, or raise a ConfigError that names the file and the key."""
    return read_section(path, Mapping)


def said_style(mapping: Mapping) -> SaidStyle:
    """Return what a mapping says of the cells of products."""
    return SaidStyle(
        currency=currency_of(mapping.currency),
        decimal=mapping.decimal,
        category_separator=mapping.category_separator,
        list_separator=mapping.list_separator,
        unknown_availability=Availability(mapping.unknown_availability),
    )


def wanted_columns(mapping: Mapping) -> dict[str, Names]:
    """Return which columns of the products' table the mapping names, by field."""
    wanted = fields_of(mapping.columns)
    wanted |= {f"attributes.{name}": columns for name, columns in mapping.attributes.items()}
    for name in ("variants", "sale", "stock"):
        section = fields_of(getattr(mapping, name))
        wanted |= {f"{name}.{field}": columns for field, columns in section.items()}
    for name in ("fallbacks", "leave_out", "only_as_variant"):
        wanted |= {f"{name}.{column}": column for column in getattr(mapping, name)}
    wanted["options"] = tuple(column for pair in mapping.options for column in pair)
    wanted["pairs"] = mapping.pairs
    return {field: columns for field, columns in wanted.items() if columns}


def named_as_in(mapping: Mapping, rows: Rows) -> Mapping:
    """Return a mapping of products whose names are written as those of a file: `Price` for price.

    Only a name that one column can mean is taken for it; otherwise it stays as it is.
    """
    columns = {
        field: _alike(names, rows.columns) for field, names in fields_of(mapping.columns).items()
    }
    attributes = {name: _alike(column, rows.columns) for name, column in mapping.attributes.items()}
    return msgspec.structs.replace(
        mapping, columns=msgspec.structs.replace(mapping.columns, **columns), attributes=attributes
    )


def _alike(names: Names, columns: tuple[str, ...]) -> Any:
    if isinstance(names, tuple):
        return tuple(_alike(name, columns) for name in names)
    alike = [column for column in columns if plain_name(column) == plain_name(names)]
    return alike[0] if names not in columns and len(alike) == 1 else names


def check_columns(
    path: Path, rows: Rows, wanted: dict[str, Names], required: tuple[str, ...]
) -> None:
    """Refuse a file that lacks a column which the mapping names, or has one twice for one value.

    Rows of JSON may leave out what they lack: there, only the required ones must be seen.
    """
    for field, columns in wanted.items():
        for column in names_of(columns):
            if not _has(rows, column) and (rows.complete or field in required):
                raise ShopError(
                    f"{path} has no column {column!r}, which the mapping names for `{field}`; "
                    f"it has {shown_columns(rows.columns)}{_hint(rows.columns)}"
                )
            if column in rows.repeated and field not in LISTS and "." not in field:
                raise ShopError(
                    f"{path}: columns are named twice: {column}, which the mapping names for "
                    f"`{field}`; rename one of them"
                )


def _has(rows: Rows, column: str) -> bool:
    if column in rows.columns:
        return True
    parts = column.split(".")
    outer = (".".join(parts[:depth]) for depth in range(1, len(parts)))
    return rows.nested and any(name in rows.columns for name in outer)


def shown_columns(columns: tuple[str, ...]) -> str:
    """Return the names of columns as a message shows them."""
    text = ", ".join(columns)
    return text if len(text) <= SHOWN_COLUMNS else f"{text[:SHOWN_COLUMNS]}…"


def names_of(columns: Names) -> tuple[str, ...]:
    """Return the names of some columns, none for ""."""
    return columns if isinstance(columns, tuple) else (columns,) if columns else ()


def fields_of(section: Section) -> dict[str, Names]:
    """Return which columns each field names, those that name none left out."""
    fields: dict[str, Any] = {name: getattr(section, name) for name in section.__struct_fields__}
    settings = SETTINGS.get(type(section), frozenset())
    return {name: columns for name, columns in fields.items() if columns and name not in settings}


def _hint(found: tuple[str, ...]) -> str:
    for separator in (";", "\t", "|", ","):
        if len(found) == 1 and separator in found[0]:
            return f"; are its fields separated by {separator!r}? Say so in the mapping"
    return ""
