"""The Arrow schema of every file of a shop folder, and the defaults of missing columns."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_TEXT = pa.string()
_TEXTS = pa.list_(pa.string())
_PAIRS = pa.map_(pa.string(), pa.string())
_CONSENT = pa.struct([(purpose, pa.bool_()) for purpose in ("search", "recommend", "ads", "train")])

PRODUCT_SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("title", _TEXT),
        ("description", _TEXT),
        ("brand", _TEXT),
        ("categories", _TEXTS),
        ("price", pa.float64()),
        ("currency", _TEXT),
        ("availability", _TEXT),
        ("attributes", _PAIRS),
        ("images", _TEXTS),
        ("videos", _TEXTS),
        ("item_group_id", _TEXT),
        ("tags", _TEXTS),
    ]
)
EVENT_SCHEMA = pa.schema(
    [
        ("type", _TEXT),
        ("user", _TEXT),
        ("session", _TEXT),
        ("time", pa.timestamp("s")),  # the shop's local time
        ("product", _TEXT),
        ("quantity", pa.float64()),
        ("value", pa.float64()),
        ("text", _TEXT),
        ("position", pa.int32()),
        ("propensity", pa.float32()),
        ("placement", _TEXT),
        ("consent", _CONSENT),
    ]
)
# What an import keeps of an act beside that, as an archive of events names it.
ACT_SCHEMA = pa.schema(
    [
        *EVENT_SCHEMA,
        ("line", pa.int32()),  # of its act, from 0 on
        ("visitor", _TEXT),
        ("order", _TEXT),
        ("price_micros", pa.int64()),  # of one piece, before the discount
        ("discount_micros", pa.int64()),  # of the line
        ("value_micros", pa.int64()),  # of the whole act
        ("currency", _TEXT),
        ("answer", _TEXT),
        ("list", _TEXT),
        ("filter", _TEXT),
        ("experiment", _TEXT),
        ("at", pa.timestamp("us", "UTC")),
    ]
)
USER_SCHEMA = pa.schema([("id", _TEXT), ("traits", _PAIRS), ("consent", _CONSENT)])
CAMPAIGN_SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("kind", _TEXT),
        ("start", pa.timestamp("s")),
        ("end", pa.timestamp("s")),
        ("products", _TEXTS),
        ("users", _TEXTS),
    ]
)
PROMOTION_SCHEMA = pa.schema(
    [
        ("product", _TEXT),
        ("kind", _TEXT),
        ("start", pa.timestamp("s")),
        ("end", pa.timestamp("s")),
        ("share", pa.float32()),
        ("known_from", pa.timestamp("s")),  # null: from its start
    ]
)
PICTURE_SCHEMA = pa.schema([("id", _TEXT), ("image", pa.binary()), ("media_type", _TEXT)])
VIDEO_SCHEMA = pa.schema([("id", _TEXT), ("video", pa.binary())])
SCHEMAS = {
    "products": PRODUCT_SCHEMA,
    "users": USER_SCHEMA,
    "campaigns": CAMPAIGN_SCHEMA,
    "promotions": PROMOTION_SCHEMA,
    "pictures": PICTURE_SCHEMA,
    "videos": VIDEO_SCHEMA,
}

# What a column holds where a source does not have it: the defaults of the nouns.
_MAY_BE_NULL = frozenset(
    {"price", "product", "value", "position", "propensity", "known_from", "consent"}  # unset
    | {"price_micros", "discount_micros", "value_micros", "at"}
)
_DEFAULTS = {"availability": "IN_STOCK", "quantity": 1.0, "share": 1.0, "line": 0}


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with exactly these columns and types; nulls become the noun's default."""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(_default_column(field, table.num_rows))
            continue
        column = table[field.name].cast(field.type)
        if column.null_count and field.name not in _MAY_BE_NULL:
            default = pa.scalar(_default(field), field.type)
            column = pc.if_else(column.is_valid(), column, default)
        columns.append(column)
    return pa.table(columns, schema=schema)


def _default(field: pa.Field) -> Any:
    if field.name in _MAY_BE_NULL:
        return None
    if field.name in _DEFAULTS:
        return _DEFAULTS[field.name]
    return "" if pa.types.is_string(field.type) else []


def _default_column(field: pa.Field, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(_default(field), field.type), length)


def _stored(schema: pa.Schema) -> pa.Schema:
    """Return the schema as a Parquet file gives it back: there, times count milliseconds."""
    milliseconds = {pa.timestamp("s"): pa.timestamp("ms")}
    return pa.schema([f.with_type(milliseconds.get(f.type, f.type)) for f in schema])
