"""Cold start: products that nobody bought inherit scores from products with similar content."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from scipy import sparse

from index import FaissIndex, VectorIndex

INHERITED_FROM = 5  # products of the nearest content
LEAST_SIMILAR = 0.3  # cosine; what is further away tells nothing
CAUTION = 0.5  # how much of the inherited score a product gets that nobody has proved
AT_ONCE = 4_096  # products whose nearest are sought in one call
MOST_PAIRS = 4_000_000_000  # of cold and bought products that are compared directly


class Content(NamedTuple):
    """Products that nobody bought before a moment, and the products most similar to them."""

    rows: Int64[np.ndarray, "c"]
    near: Int32[np.ndarray, "c m"]  # nearest products in content, best first; -1: no more
    similarities: Float32[np.ndarray, "c m"]


class Bridge(NamedTuple):
    """Cold products and their donors; the weights of one product sum to at most `CAUTION`."""

    rows: Int64[np.ndarray, "c"]
    near: Int32[np.ndarray, "c m"]
    weights: Float32[np.ndarray, "c m"]


NO_CONTENT = Content(
    np.empty(0, np.int64), np.empty((0, 0), np.int32), np.empty((0, 0), np.float32)
)


def nearest_content(
    index: VectorIndex,
    vectors: Float32[np.ndarray, "n d"],
    cold: Bool[np.ndarray, "n"],
) -> Content:
    """Return the bought products whose vectors are nearest to those of each cold one.

    Products of equal vectors, such as sizes of one thing, are sought once. Up to MOST_PAIRS all
    pairs are compared by matrix products, which takes a tenth of the time of a search of `index`
    under a filter; beyond that `index` is searched.
    """
    described = np.abs(vectors).max(axis=1, initial=0) > 0
    rows, bought = np.flatnonzero(cold & described), np.flatnonzero(~cold & described)
    distinct, which = _distinct(vectors[rows])
    near = np.full((len(distinct), INHERITED_FROM), -1, np.int32)
    similarities = np.zeros((len(distinct), INHERITED_FROM), np.float32)
    if cold.all():
        return Content(rows[:0], near[:0], similarities[:0])
    allowed: Bool[np.ndarray, n] | None = ~cold
    if 0 < len(distinct) * len(bought) <= MOST_PAIRS:
        index, allowed = FaissIndex.build(vectors, "Flat", bought), None
    for start in range(0, len(distinct), AT_ONCE):
        part = np.ascontiguousarray(distinct[start : start + AT_ONCE], np.float32)
        for place, hits in enumerate(index.search(part, INHERITED_FROM, allowed), start):
            near[place, : len(hits.rows)] = hits.rows
            similarities[place, : len(hits.rows)] = hits.scores
    return Content(rows, near[which], similarities[which])


def _distinct(
    vectors: Float32[np.ndarray, "c d"],
) -> tuple[Float32[np.ndarray, "u d"], Int64[np.ndarray, "c"]]:
    """Return each different vector once, and which of them each row holds."""
    flat = np.ascontiguousarray(vectors)
    whole = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize))).ravel()
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return flat[first], which


def bridge(content: Content, bought: Bool[np.ndarray, "n"]) -> Bridge:
    """Weigh what each product inherits by similarity; one that was bought inherits nothing."""
    cold = ~bought[content.rows]
    rows, near, similar = (column[cold] for column in content)
    known = (near >= 0) & (similar >= LEAST_SIMILAR)
    known &= bought[np.maximum(near, 0)]
    strength = np.where(known, similar, 0.0)
    sums = np.maximum(strength.sum(axis=1, keepdims=True), 1e-9)
    weights = CAUTION * np.minimum(strength.max(axis=1, initial=0), 1)[:, None] * strength / sums
    keep = known.any(axis=1)
    return Bridge(rows[keep], near[keep], weights[keep].astype(np.float32))


def donor_matrix(over: Bridge, num_products: int) -> sparse.csr_array:
    """Return what each cold product inherits of each product, as a matrix: cold x products."""
    # Where there are no more donors, near is -1 and the weight 0.
    ends = np.arange(len(over.rows) + 1, dtype=np.int32) * over.near.shape[1]
    columns = (over.weights.ravel(), np.maximum(over.near, 0).ravel(), ends)
    return sparse.csr_array(columns, shape=(len(over.rows), num_products))


def inherited(
    donors: sparse.csr_array, scores: Float32[np.ndarray, "n"]
) -> Float32[np.ndarray, "c"]:
    """Return what each cold product inherits: the weighted scores above 0 of its donors.

    The same as giving each of them the similarity-weighted mean column of EASE.
    """
    return np.asarray(donors @ np.maximum(scores, 0))
