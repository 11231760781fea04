"""Fills in the prices that a catalogue does not have with those that were paid."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.shop.purchases.unit_prices import CENTS, COLUMNS, medians, unit_prices
from pipelines.shop.reader import Shop


def priced_batches(shop: Shop, until: datetime | None) -> Iterator[pa.RecordBatch]:
    """Yield all products; where the catalogue has no price, the one paid before `until`."""
    paid = prices_paid(shop, until)
    return (_priced(batch, paid) for batch in shop.product_batches())


def prices_paid(shop: Shop, until: datetime | None) -> dict[str, float]:
    """Return what one unit of each product usually cost on receipts before `until`: the median."""
    parts = [_paid(batch) for batch in shop.event_batches(until, ["product", *COLUMNS])]
    if not parts:
        return {}
    paid = pa.concat_tables(parts).combine_chunks()
    products = paid["product"].combine_chunks().dictionary_encode()
    names = products.dictionary.to_pylist()
    numbers, prices = np.asarray(products.indices, np.int64), np.asarray(paid["price"])
    usual = medians(numbers, prices.astype(np.float32), len(names))
    return {
        name: round(price, CENTS)
        for name, price in zip(names, usual.tolist(), strict=True)
        if price > 0
    }


def _paid(batch: pa.RecordBatch) -> pa.Table:
    table = pa.table({"product": batch.column("product"), "price": unit_prices(batch)})
    return table.filter(pc.and_(table["product"].is_valid(), table["price"].is_valid()))


def _priced(batch: pa.RecordBatch, paid: dict[str, float]) -> pa.RecordBatch:
    """Fill in the prices that the catalogue does not say with those that were paid."""
    receipts = pa.array([paid.get(name) for name in batch["id"].to_pylist()], pa.float64())
    place = batch.schema.get_field_index("price")
    return batch.set_column(place, "price", pc.coalesce(batch["price"], receipts))
