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
from pipelines.release.layout import KINDS, PROMOTIONS
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import PICTURE_SCHEMA, PRODUCT_SCHEMA, USER_SCHEMA
from ranking.features.definitions import Catalogue
from retrieval.behaviour.promotions import Promotions, Runs, in_order, save_promotions
from retrieval.types import PromotionKind


def write_products(job: BuildContext) -> Columns:
    """Write the product and user columns; return the products."""
    products = job.folder / "products.arrow"
    paid = prices_paid(job.shop, job.until)
    batches = (_priced(batch, paid) for batch in job.shop.product_batches())
    Columns.write(products, batches, PRODUCT_SCHEMA)
    Columns.write(job.folder / "users.arrow", job.shop.users().to_batches(), USER_SCHEMA)
    return Columns.open(products)


def write_album(job: BuildContext, products: Columns) -> None:
    """Write every distinct picture once, and which product shows which."""
    picture_of = np.full(products.size, -1, np.int32)
    batches = _distinct_pictures(job.shop, products, picture_of)
    Columns.write(job.folder / "pictures.arrow", batches, PICTURE_SCHEMA)
    save_array(job.folder / "catalogue/picture_of.npy", picture_of)


def promotions_of(shop: Shop, products: Columns) -> Promotions:
    """Return what the shop puts forward of these products; of others nothing is kept."""
    table = shop.promotions()
    found = {}
    for kind in PromotionKind:
        runs = table.filter(pc.equal(table["kind"], kind.value))
        rows = pc.index_in(runs["product"], pa.array(products.ids)).fill_null(-1).to_numpy()
        starts, ends = (runs[name].to_numpy().astype("datetime64[s]") for name in ("start", "end"))
        columns = Runs(
            rows.astype(np.int32),
            starts.astype(np.int64),
            ends.astype(np.int64),
            runs["share"].to_numpy().astype(np.float32),
        )
        known = np.flatnonzero(rows >= 0)
        found[kind] = in_order(Runs(*(column[known] for column in columns)))
    return found


def write_catalogue(job: BuildContext, products: Columns) -> None:
    """Write numbers of categories and kinds, and the prices."""
    catalogue = categories_and_prices(products)
    save_array(job.folder / "catalogue/categories.npy", catalogue.categories)
    save_array(job.folder / "catalogue/prices.npy", catalogue.prices)
    save_array(job.folder / KINDS, kinds_of(products))


def write_promotions(job: BuildContext, products: Columns) -> None:
    """Write what the shop puts forward."""
    save_promotions(promotions_of(job.shop, products), job.folder / PROMOTIONS)


def prices_paid(shop: Shop, until: datetime | None) -> dict[str, float]:
    """Return what one unit of each product usually cost on receipts before `until`: the median."""
    columns = ["product", "quantity", "value"]
    parts = [_unit_prices(batch) for batch in shop.event_batches(until, columns)]
    if not parts:
        return {}
    paid = pa.concat_tables(parts).group_by("product").aggregate([("price", "approximate_median")])
    names, medians = (paid[name].to_pylist() for name in ("product", "price_approximate_median"))
    return {name: round(median, 2) for name, median in zip(names, medians, strict=True)}


def _unit_prices(batch: pa.RecordBatch) -> pa.Table:
    table = pa.Table.from_batches([batch])
    table = table.filter(pc.greater(table["value"], 0.0)).drop_null()
    price = pc.divide(table["value"], table["quantity"])
    return pa.table({"product": table["product"], "price": price})


def _priced(batch: pa.RecordBatch, paid: dict[str, float]) -> pa.RecordBatch:
    """Fill in the prices that the catalogue does not say with those that were paid."""
    receipts = pa.array([paid.get(name) for name in batch["id"].to_pylist()], pa.float64())
    place = batch.schema.get_field_index("price")
    return batch.set_column(place, "price", pc.coalesce(batch["price"], receipts))


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


def categories_and_prices(products: Columns) -> Catalogue:
    """Number the categories in the order of their names, and read the prices; 0: there is none."""
    codes = np.unique(np.asarray(category_names(products), dtype=str), return_inverse=True)[1]
    prices = np.nan_to_num(np.asarray(products.column("price"), np.float32))
    return Catalogue(codes.astype(np.int32), prices)
