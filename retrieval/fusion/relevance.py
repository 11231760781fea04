"""Relevance: how well products fit the words of a search, whoever buys them."""

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import WordMatches

NARROW = 0.25  # of a band, where nothing better than popularity orders it
LEAST_WIDTH = 1e-3  # of a band
HEAD = 0.125  # of a product whose title says what it is by a word of the query
ALL = 0.999  # of the words, so far as floats add up
CODE = 1.0  # of a product with a code of the query, whose meaning nobody can encode
UNNAMED = 0.7  # of a word that only a description or an attribute holds, against one that names


def relevance(
    cosines: Float32[np.ndarray, "c"], shares: Float32[np.ndarray, "c"], words_weight: float
) -> Float32[np.ndarray, "c"]:
    """Return the cosine of each product with the query, plus `words_weight` times its word share.

    Unlike ranks and BM25, both numbers mean the same in every query, so that products of about
    equal relevance can be told from others. The constants were chosen on judged searches:
    docs/benchmarks.md says which, under plain searches.
    """
    return np.asarray(cosines + np.float32(words_weight) * shares, np.float32)


def relevant_enough(
    relevances: Float32[np.ndarray, "c"], shares: Float32[np.ndarray, "c"], floor: float
) -> Bool[np.ndarray, "c"]:
    """Return which products answer a search: as relevant as the share `floor` of the best one.

    A product that holds all words of the query answers it, however much better others do.
    """
    enough = relevances >= np.float32(floor) * relevances.max(initial=0)
    return np.asarray(enough | (shares >= UNNAMED))


def word_shares(matches: WordMatches) -> Float32[np.ndarray, "c"]:
    """Return the share of the query's words that each product holds, from 0 to 1 + HEAD + CODE.

    A rare word counts more, and one that does not name the product counts UNNAMED. HEAD is for a
    product that the query names, not only something beside it: for `laptop`, a laptop and not its
    stand. CODE is for one that has a code of the query and all its other words: `rv-700 filter`
    is a filter for it.
    """
    shares = matches.named + np.float32(UNNAMED) * (matches.anywhere - matches.named)
    decided = matches.code * (matches.anywhere > ALL)
    beside = np.float32(HEAD) * matches.head + np.float32(CODE) * decided
    return np.asarray(shares + beside, np.float32)


def bands(relevances: Float32[np.ndarray, "c"], width: float) -> Int64[np.ndarray, "c"]:
    """Return the band of each product: 0 next to the most relevant one, then 1, and on.

    A band is as wide as the share `width` of the highest relevance: where nothing fits well, small
    differences are all there is to go by. Products of one band fit about equally well.
    """
    if not len(relevances):
        return np.empty(0, np.int64)
    most = float(relevances.max())
    return np.floor((most - relevances) / max(width * most, LEAST_WIDTH)).astype(np.int64)


def order_within_bands(
    band: Int64[np.ndarray, "c"],
    in_stock: Bool[np.ndarray, "c"],
    preference: Float32[np.ndarray, "c"],
) -> Int64[np.ndarray, "c"]:
    """Return an order: by band, in each what is in stock first, then by preference, highest first.

    Ties keep the order given.
    """
    return np.lexsort((-preference, ~in_stock, band))
