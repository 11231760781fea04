"""Changes as the columns of a release would hold them."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa

from index.columns.table import pairs_of
from pipelines.live.changes import Edit, Upsert
from pipelines.shop.schemas import PRODUCT_SCHEMA

Record = dict[str, Any]


def record_of(change: Upsert) -> Record:
    """Return a product as the columns of a release would."""
    record: Record = msgspec.json.decode(msgspec.json.encode(change.product))
    return record


def edits_of(edit: Edit) -> Record:
    """Return the fields that an edit changes."""
    values = {"price": edit.price, "availability": edit.availability}
    return {
        k: None if v is None else _plain(v) for k, v in values.items() if v is not msgspec.UNSET
    }


def batch_of(records: Iterable[Record]) -> pa.RecordBatch:
    """Return products as rows of a shop."""
    rows = [{**one, "attributes": pairs_of(one["attributes"])} for one in records]
    return pa.RecordBatch.from_pylist(rows, PRODUCT_SCHEMA)


def _plain(value: Any) -> Any:
    return value if isinstance(value, float) else str(value)
