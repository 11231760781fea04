"""Fills in the prices that a catalogue does not have with those that were paid."""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.shop.reader import Shop
from retrieval import EventType


def priced_batches(shop: Shop, until: datetime | None) -> Iterator[pa.RecordBatch]:
    """Yield all products; where the catalogue has no price, the one paid before `until`."""
    paid = prices_paid(shop, until)
    return (_priced(batch, paid) for batch in shop.product_batches())


def prices_paid(shop: Shop, until: datetime | None) -> dict[str, float]:
    """Return what one unit of each product usually cost on receipts before `until`: the median."""
    columns = ["type", "product", "quantity", "value"]
    parts = [_unit_prices(batch) for batch in shop.event_batches(until, columns)]
    if not parts:
        return {}
    paid = pa.concat_tables(parts).group_by("product").aggregate([("price", "approximate_median")])
    names, medians = (paid[name].to_pylist() for name in ("product", "price_approximate_median"))
    return {name: round(median, 2) for name, median in zip(names, medians, strict=True)}


def _unit_prices(batch: pa.RecordBatch) -> pa.Table:
    table = pa.Table.from_batches([batch])
    table = table.filter(pc.not_equal(table["type"], EventType.RATING))  # its value is no money
    table = table.filter(pc.greater(table["value"], 0.0)).drop_null()
    price = pc.divide(table["value"], table["quantity"])
    return pa.table({"product": table["product"], "price": price})


def _priced(batch: pa.RecordBatch, paid: dict[str, float]) -> pa.RecordBatch:
    """Fill in the prices that the catalogue does not say with those that were paid."""
    receipts = pa.array([paid.get(name) for name in batch["id"].to_pylist()], pa.float64())
    place = batch.schema.get_field_index("price")
    return batch.set_column(place, "price", pc.coalesce(batch["price"], receipts))
