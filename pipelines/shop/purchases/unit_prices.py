"""What one unit of a product was paid for, line by line, and what it usually costs by that."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from retrieval import EventType

COLUMNS = ("type", "quantity", "value", "consent")
CENTS = 2  # decimals of a usual price


def unit_prices(batch: pa.RecordBatch) -> pa.Array:
    """Return what one unit cost on each line; null where the line tells no price.

    A price is told by what was paid for: by a purchase with a value and a quantity above 0, of
    someone who consents to training. A view, a cart or a rating pays nothing.
    """
    value, quantity = batch.column("value"), batch.column("quantity")
    tells = pc.and_(
        pc.and_(
            pc.equal(batch.column("type"), EventType.PURCHASE.value),
            pc.struct_field(batch.column("consent"), "train"),
        ),
        pc.and_(pc.greater(value, 0.0), pc.greater(quantity, 0.0)),
    )
    price = pc.divide(value, quantity)
    return pc.if_else(pc.and_(tells, pc.is_finite(price)), price, pa.scalar(None, pa.float64()))


def medians(
    numbers: Int64[np.ndarray, "p"], prices: Float32[np.ndarray, "p"], count: int
) -> Float32[np.ndarray, "n"]:
    """Return the median price of each number below `count`; 0 where it has none.

    Of an even number of prices the mean of the middle two counts; NaN is no price.
    """
    known = ~np.isnan(prices)
    numbers, prices = numbers[known], prices[known]
    ordered = prices[np.lexsort((prices, numbers))]
    sizes = np.bincount(numbers, minlength=count)
    starts, found = np.cumsum(sizes) - sizes, np.flatnonzero(sizes)
    low = ordered[starts[found] + (sizes[found] - 1) // 2]
    high = ordered[starts[found] + sizes[found] // 2]
    usual = np.zeros(count, np.float32)
    usual[found] = np.round((low.astype(np.float64) + high) / 2, CENTS)
    return usual
