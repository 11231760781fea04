"""Takes purchases that were returned, cancelled or refunded out of a log of purchases."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool

ENOUGH = 1e-6  # pieces that are left of a purchase by the rounding of its quantities


def without_returns(purchases: pa.Table, refunds: pa.Table) -> pa.Table:
    """Return the purchases that were kept, in their order.

    Both tables have `user`, `session`, `row` of the product (null in a refund of a whole order),
    `seconds` and `quantity`. A refund takes back pieces that its user bought of the product until
    then: those of its session, or the latest where that had none, so that several refunds of an
    order never take back more than the order. A purchase of which all pieces went back is left out,
    one of which some did stays. A refund without a product takes back its session.
    """
    if not refunds.num_rows or not purchases.num_rows:
        return purchases
    return purchases.filter(pa.array(_kept(purchases, refunds)))


def _kept(purchases: pa.Table, refunds: pa.Table) -> Bool[np.ndarray, "n"]:
    concerned = pc.is_in(purchases["user"], value_set=refunds["user"].combine_chunks().unique())
    places = np.flatnonzero(np.asarray(concerned))
    rows = purchases.take(places).to_pylist()
    left = np.array([row["quantity"] for row in rows], np.float64)
    of_order: dict[tuple, list[int]] = defaultdict(list)
    of_product: dict[tuple, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        of_order[row["user"], row["session"]].append(i)
        of_product[row["user"], row["row"]].append(i)
    for refund in refunds.sort_by("seconds").to_pylist():
        if refund["row"] is not None:
            _take_back(refund, rows, of_product[refund["user"], refund["row"]], left)
        elif refund["session"]:
            order = of_order[refund["user"], refund["session"]]
            left[[i for i in order if rows[i]["seconds"] <= refund["seconds"]]] = 0
    kept = np.ones(purchases.num_rows, bool)
    kept[places[left <= ENOUGH]] = False
    return kept


def _take_back(refund: dict, rows: list[dict], mine: list[int], left: np.ndarray) -> None:
    """Lower what is left of a user's purchases of the product that a refund names."""
    pieces = refund["quantity"]
    before = [i for i in mine if rows[i]["seconds"] <= refund["seconds"]]
    if refund["session"]:
        own = [i for i in before if rows[i]["session"] == refund["session"]]
        before = own or before
    for i in sorted(before, key=lambda i: -rows[i]["seconds"]):
        taken = min(pieces, left[i])
        left[i] -= taken
        pieces -= taken
        if pieces <= ENOUGH:
            return
