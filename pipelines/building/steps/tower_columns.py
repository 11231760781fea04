"""Gathers what the product tower sees of a release: vectors, attributes, price, popularity."""

from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from pipelines.building.context import BuildContext
from pipelines.encoding.pictures import Several, encode_all_pictures, encode_videos
from pipelines.encoding.texts import encode_texts
from pipelines.release.parts import Parts
from pipelines.shop.purchases.log import Log
from retrieval.behaviour.purchase_log import purchases_before
from retrieval.behaviour.statistics import ProductStatistics, product_statistics
from retrieval.towers.columns import MOST_CODES, Dense, TowerColumns, code, one_each

LEAST_BASKETS = 5  # with which a product gets an embedding of its own


def tower_columns(
    context: BuildContext,
    parts: Parts,
    statistics: ProductStatistics,
    prices: Float32[np.ndarray, "n"],
) -> TowerColumns:
    """Return all that is known of each product; `prices` are as old as `statistics`, 0: none."""
    return TowerColumns(
        dense=_dense(context, parts),
        codes=codes_of(list(_records(context))),
        own=numbered(statistics.baskets),
        price=standardised(_logs(prices)[:, None])[:, 0],
        popularity=popularity_of(statistics),
    )


def columns_at(now: TowerColumns, log: Log, at_seconds: int) -> TowerColumns:
    """Return what was known of each product at a moment.

    An embedding of its own is seen of a product that was bought often enough by then.
    """
    past, num_products = purchases_before(log.purchases, at_seconds), now.size
    statistics = product_statistics(past, num_products, at_seconds)
    prices = log.before(at_seconds).usual_prices(num_products)
    return now._replace(
        own=np.where(statistics.baskets >= LEAST_BASKETS, now.own, 0),
        price=standardised(_logs(prices)[:, None])[:, 0],
        popularity=popularity_of(statistics),
    )


def codes_of(records: list[dict[str, Any]]) -> Int64[np.ndarray, "n a"]:
    """Hash brand, every level of every category, attributes and tags; the first of them count."""
    codes = np.zeros((len(records), MOST_CODES), np.int64)
    for row, record in enumerate(records):
        found = [code(fact) for fact in dict.fromkeys(_facts(record))][:MOST_CODES]
        codes[row, : len(found)] = found
    return codes


def numbered(baskets: Float32[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Number the products that were bought often enough, from 1 on; 0: the others."""
    often = baskets >= LEAST_BASKETS
    return np.where(often, np.cumsum(often), 0).astype(np.int64)


def popularity_of(statistics: ProductStatistics) -> Float32[np.ndarray, "n f"]:
    """Return how often each product is bought and how its buyers come back, near 0 and 1."""
    counts = np.concatenate([statistics.popularity, statistics.buyers[None]])
    columns = np.concatenate([np.log1p(counts), statistics.repeat_share[None]])
    return standardised(columns.T)


def standardised(columns: Float32[np.ndarray, "n f"]) -> Float32[np.ndarray, "n f"]:
    """Return columns of mean 0 and deviation 1; what never moves is 0, NaN stays."""
    if np.isnan(columns).all():
        return columns
    spread = np.nanstd(columns, axis=0)
    centred = columns - np.nanmean(columns, axis=0)
    return np.asarray(centred / np.where(spread > 1e-6, spread, 1e6), np.float32)


def _logs(prices: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    return np.where(prices > 0, np.log1p(prices), np.nan).astype(np.float32)


def _dense(context: BuildContext, parts: Parts) -> dict[str, Dense]:
    picture_dim = 0 if context.encoders.image is None else context.encoders.image.dim
    texts = np.array(parts.joined_vectors[:, : parts.joined_vectors.shape[1] - picture_dim])
    lengths = np.linalg.norm(texts, axis=1, keepdims=True)
    found = {"title": one_each(texts / np.maximum(lengths, 1e-9))}
    descriptions = [str(record["description"] or "") for record in _records(context)]
    if any(descriptions):
        vectors = encode_texts(
            descriptions, context.encoders.text, context.embeddings, context.track
        )
        vectors[[not text for text in descriptions]] = 0
        found["description"] = one_each(vectors)
    if context.encoders.image is not None:
        found |= _seen(context, parts)
    return found


def _seen(context: BuildContext, parts: Parts) -> dict[str, Dense]:
    """Return several pictures and the frames of videos, as far as the shop has them."""
    assert context.encoders.image is not None
    counts, found = context.shop.meta.counts, {}
    makers = {"picture": ("pictures", encode_all_pictures), "video": ("videos", encode_videos)}
    for kind, (counted, encode) in makers.items():
        if counts.get(counted, 0):
            several: Several = encode(
                parts.products.ids,
                context.shop,
                context.encoders.image,
                context.embeddings,
                max_failed_share=context.config.encoders.max_failed_share,
                track=context.track,
            )
            if len(several.vectors):
                found[kind] = Dense(several.vectors, several.offsets)
    return found


def _records(context: BuildContext) -> Any:
    for batch in context.shop.product_batches():
        yield from batch.to_pylist()


def _facts(record: dict[str, Any]) -> list[str]:
    paths = [path.split(" > ") for path in record.get("categories") or ()]
    levels = [" > ".join(path[: i + 1]) for path in paths for i in range(len(path))]
    facts = [f"brand={record['brand']}"] if record.get("brand") else []
    facts += [f"category={level}" for level in levels]
    facts += [f"{name}={value}" for name, value in sorted(set(record["attributes"] or ()))]
    return facts + [f"tag={tag}" for tag in record.get("tags") or ()]
