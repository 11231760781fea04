"""Writes products, users, pictures, categories, prices and promotions."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32

from index import Columns, save_array
from pipelines.building.context import BuildContext
from pipelines.encoding.embedding_cache import content_hash
from pipelines.release.layout import (
    KINDS,
    PICTURE_OF,
    PICTURES,
    PRICES,
    PRODUCT_CATEGORIES,
    PRODUCTS,
    PROMOTIONS,
    USERS,
)
from pipelines.shop.purchases.prices import priced_batches
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import PICTURE_SCHEMA, PRODUCT_SCHEMA, USER_SCHEMA
from retrieval.behaviour.promotions import Promotions, by_product, save_promotions
from retrieval.types import PromotionKind


def write_products(context: BuildContext) -> None:
    """Write the product and user columns."""
    batches = priced_batches(context.shop, context.until)
    Columns.write(context.folder / PRODUCTS, batches, PRODUCT_SCHEMA)
    users = context.shop.users().to_batches()
    Columns.write(context.folder / USERS, users, USER_SCHEMA)


def write_album(context: BuildContext) -> None:
    """Write every distinct picture once, and which product shows which."""
    picture_of = np.full(context.products.size, -1, np.int32)
    batches = _distinct_pictures(context.shop, context.products, picture_of)
    Columns.write(context.folder / PICTURES, batches, PICTURE_SCHEMA)
    save_array(context.folder / PICTURE_OF, picture_of)


def promotions_of(shop: Shop, products: Columns, until: datetime | None = None) -> Promotions:
    """Return what the shop puts forward of these products; of others nothing is kept.

    With `until`, only what was known before it: from `known_from`, or from the start of a promotion
    that does not say since when it was known. What is known later than it starts begins then.
    """
    table = shop.promotions()
    known_from = pc.coalesce(table["known_from"], table["start"])
    begins = pc.max_element_wise(table["start"], known_from)
    table = table.set_column(table.column_names.index("start"), "start", begins)
    if until is not None:
        table = table.filter(pc.less(known_from, pa.scalar(until, known_from.type)))
    found = {}
    for kind in PromotionKind:
        runs = table.filter(pc.equal(table["kind"], kind.value))
        rows = pc.index_in(runs["product"], pa.array(products.ids)).fill_null(-1).to_numpy()
        starts, ends = (runs[name].to_numpy().astype("datetime64[s]") for name in ("start", "end"))
        shares, known = runs["share"].to_numpy(), np.flatnonzero(rows >= 0)
        found[kind] = by_product(
            rows[known].astype(np.int32),
            starts[known].astype(np.int64),
            ends[known].astype(np.int64),
            shares[known].astype(np.float32),
            products.size,
        )
    return found


def write_catalogue(context: BuildContext) -> None:
    """Write numbers of categories and kinds, and what was usually paid before `until`."""
    usual = context.log.usual_prices(context.products.size)
    save_array(context.folder / PRODUCT_CATEGORIES, category_numbers(context.products))
    save_array(context.folder / PRICES, usual)
    save_array(context.folder / KINDS, kinds_of(context.products))


def write_promotions(context: BuildContext) -> None:
    """Write the promotions of the shop that were known before `until`."""
    promotions = promotions_of(context.shop, context.products, context.until)
    save_promotions(promotions, context.folder / PROMOTIONS)


def _distinct_pictures(
    shop: Shop, products: Columns, picture_of: np.ndarray
) -> Iterator[pa.RecordBatch]:
    place: dict[str, int] = {}
    row_of = {product_id: row for row, product_id in enumerate(products.ids)}
    for batch in shop.picture_batches():
        fresh = []
        for record in batch.to_pylist():
            row = row_of.get(record["id"])
            if row is None or not record["image"] or picture_of[row] >= 0:  # its first is shown
                continue
            name = content_hash(record["image"])
            if name not in place:
                place[name] = len(place)
                fresh.append({**record, "id": name})
            picture_of[row] = place[name]
        yield pa.RecordBatch.from_pylist(fresh, PICTURE_SCHEMA)


def kinds_of(products: Columns) -> Int32[np.ndarray, "n"]:
    """Number the kinds of products: the whole first category path, and the brand."""
    paths, brands = products.column("categories"), products.column("brand")
    names = [
        f"{path[0] if path else ''}\0{brand or ''}"
        for path, brand in zip(paths, brands, strict=True)
    ]
    codes = np.unique(np.asarray(names, dtype=str), return_inverse=True)[1]
    return codes.astype(np.int32)


def category_names(products: Columns) -> list[str]:
    """Return the category of each product, two levels deep; "" where it has none."""
    paths = products.column("categories")
    return [" > ".join(path[0].split(" > ")[:2]) if path else "" for path in paths]


def category_numbers(products: Columns) -> Int32[np.ndarray, "n"]:
    """Number the categories in the order of their names."""
    names = np.asarray(category_names(products), dtype=str)
    return np.unique(names, return_inverse=True)[1].astype(np.int32)
