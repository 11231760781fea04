"""The lexical channel: products that share words with the query, by BM25."""

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import Hits, LexicalIndex, WordMatches
from retrieval.encoded_query import EncodedQuery


class LexicalChannel:
    """BM25 over the products' words."""

    name = "lexical"

    def __init__(self, index: LexicalIndex) -> None:
        self._index = index

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the products with the best words, or None when the request has none."""
        return self._index.search(ask.text, k, ask.allowed) if ask.text.strip() else None

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return BM25 of each row; 0 where no word is shared."""
        return self._index.score(ask.text, rows) if ask.text.strip() else None

    def matches(self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]) -> WordMatches:
        """Return the share of the request's words that each row holds."""
        return self._index.matches(ask.text, rows)

    def holding_all(self, ask: EncodedQuery) -> Int64[np.ndarray, "m"]:
        """Return, ascending, every allowed row that holds all words of the request."""
        return self._index.holding_all(ask.text, ask.allowed)

    def permitted(self, ask: EncodedQuery) -> Bool[np.ndarray, "n"] | None:
        """Return which rows the request's operators permit; None: it has none."""
        return self._index.permitted(ask.text)
