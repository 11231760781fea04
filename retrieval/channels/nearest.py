"""Nearest-neighbour search among the products that are eligible for a request."""

import numpy as np
from jaxtyping import Float32

from index import FiltersItself, Hits, VectorIndex, compares_keys
from retrieval.encoded_query import EncodedQuery


def nearest(
    index: VectorIndex, vector: Float32[np.ndarray, "d"], k: int, ask: EncodedQuery
) -> Hits:
    """Return at most `k` rows that the request allows.

    An index that filters by itself is given the filter instead of the rows, and a few hits more
    are asked for, as the products that the request marks are no part of the filter. It holds no
    numbers of attributes.
    """
    if ask.where is None or ask.allowed is None or not isinstance(index, FiltersItself):
        return index.search(vector[None], k, ask.allowed)[0]
    if compares_keys(ask.where):
        return index.search(vector[None], k, ask.allowed)[0]
    [hits] = index.search_where(vector[None], k + len(ask.marked), ask.where)
    passes = np.flatnonzero(ask.allowed[hits.rows])[:k]
    return Hits(hits.rows[passes], hits.scores[passes], index.plan(ask.allowed, len(passes), k))
