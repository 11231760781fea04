"""Reads the purchases of a shop's event log, as columns over product rows."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from index import Columns
from pipelines.shop.purchases.returns import without_returns
from pipelines.shop.purchases.unit_prices import medians, unit_prices
from pipelines.shop.reader import Shop
from retrieval import EventType
from retrieval.behaviour.purchases import Purchases

COLUMNS = ("type", "user", "session", "time", "product", "quantity", "value", "consent")
# The strongest sign of interest that a log holds is what its baskets are made of.
STRONGEST_FIRST = (EventType.PURCHASE, EventType.ADD_TO_CART, EventType.CLICK, EventType.VIEW)


class Log(NamedTuple):
    """Purchases as columns: user numbers with their ids, product rows, times and baskets."""

    user_ids: np.ndarray  # sorted
    purchases: Purchases
    kind: str  # the type of event that counts as taking
    prices: Float32[np.ndarray, "p"] | None = None  # of one unit, NaN: not told; None: not read

    def before(self, seconds: int) -> "Log":
        """Return what was known of this log at a moment: the purchases before it."""
        known = self.purchases.seconds < seconds
        return self._replace(
            purchases=Purchases(*(column[known] for column in self.purchases)),
            prices=None if self.prices is None else self.prices[known],
        )

    def usual_prices(self, num_products: int) -> Float32[np.ndarray, "n"]:
        """Return the median of what one unit of each product cost; 0 where it was never sold."""
        if self.prices is None:
            return np.zeros(num_products, np.float32)
        return medians(self.purchases.rows.astype(np.int64), self.prices, num_products)


def read_purchases(shop: Shop, products: Columns, until: datetime | None) -> Log:
    """Read events before `until`; without consent to train, or of no known product: left out.

    Purchases that were returned before `until` are left out, too.
    """
    found = {kind: 0 for kind in (*STRONGEST_FIRST, EventType.REFUND)}
    for batch in shop.event_batches(until, ["type"]):
        for run in pc.value_counts(batch.column("type")).to_pylist():
            if run["values"] in found:
                found[EventType(run["values"])] += run["counts"]
    kind = next((kind for kind in STRONGEST_FIRST if found[kind]), EventType.PURCHASE)
    ids = pa.array(products.ids, pa.string())
    table = pa.Table.from_batches(list(_rows(shop, ids, until, kind)), SCHEMA)
    if kind == EventType.PURCHASE and found[EventType.REFUND]:
        refunds = pa.Table.from_batches(list(_rows(shop, ids, until, EventType.REFUND)), SCHEMA)
        table = without_returns(table, refunds)
    users = table["user"].combine_chunks().dictionary_encode()
    names = np.asarray(users.dictionary.to_pylist(), dtype=str)
    order = np.argsort(names, kind="stable")
    number = np.empty(len(names), np.int32)
    number[order] = np.arange(len(names), dtype=np.int32)
    baskets = table["basket"].combine_chunks().dictionary_encode()
    return Log(
        user_ids=names[order],
        purchases=Purchases(
            number[np.asarray(users.indices)] if len(names) else np.empty(0, np.int32),
            np.asarray(table["row"]).astype(np.int32),
            np.asarray(table["seconds"]).astype(np.int64),
            np.asarray(baskets.indices).astype(np.int64),
        ),
        kind=str(kind),
        prices=np.asarray(table["price"].fill_null(np.nan)).astype(np.float32),
    )


SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("session", pa.string()),
        ("basket", pa.string()),
        ("seconds", pa.int64()),
        ("row", pa.int32()),
        ("quantity", pa.float64()),
        ("price", pa.float64()),
    ]
)


def _rows(
    shop: Shop, ids: pa.Array, until: datetime | None, kind: EventType
) -> Iterator[pa.RecordBatch]:
    """Yield the acts of one type; only a refund may be of no product, and then of an order."""
    for batch in shop.event_batches(until, list(COLUMNS)):
        rows = pc.index_in(batch.column("product"), value_set=ids)
        trained_on = pc.struct_field(batch.column("consent"), "train")
        keep = pc.and_(pc.equal(batch.column("type"), kind), trained_on)
        of_order = pc.and_(batch.column("product").is_null(), kind == EventType.REFUND)
        keep = pc.and_(keep, pc.or_(rows.is_valid(), of_order))
        # One visit of one user: a session's name alone may come again, and without one a day is it.
        days = pc.strftime(batch.column("time"), "%Y-%m-%d")
        session = batch.column("session")
        visit = pc.if_else(pc.equal(session, ""), days, session)
        basket = pc.binary_join_element_wise(batch.column("user"), visit, "\x1f")
        columns = [
            batch.column("user"),
            session,
            basket,
            batch.column("time").cast(pa.int64()),
            rows,
            batch.column("quantity"),
            unit_prices(batch),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA).filter(keep)


SMALLEST_BASKET = 2


class Basket(NamedTuple):
    """The purchases of one user at one time."""

    user_id: str
    at_seconds: int
    rows: Int64[np.ndarray, "b"]


def next_baskets(
    user_ids: np.ndarray, purchases: Purchases, start_seconds: int, end_seconds: int
) -> list[Basket]:
    """Return each user's first basket of some size in [start, end), by user."""
    inside = (purchases.seconds >= start_seconds) & (purchases.seconds < end_seconds)
    if not inside.any():
        return []
    users, rows, seconds, baskets = (column[inside] for column in purchases)
    order = np.lexsort((rows, baskets, seconds, users))
    users, rows, seconds, baskets = (c[order] for c in (users, rows, seconds, baskets))
    starts = np.flatnonzero(np.diff(baskets, prepend=-1) | np.diff(users, prepend=-1))
    found: dict[int, Basket] = {}
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        bought = np.unique(rows[start:end]).astype(np.int64)
        user = int(users[start])
        if user not in found and len(bought) >= SMALLEST_BASKET:
            found[user] = Basket(str(user_ids[user]), int(seconds[start]), bought)
    return list(found.values())
