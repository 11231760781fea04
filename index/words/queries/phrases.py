"""Phrases: the rows where words follow each other in one field."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import tantivy
from jaxtyping import Int32, UInt8

from index.words.postings import ANYWHERE, Postings, field_bits
from index.words.terms.pieces import Words

CACHED_PHRASES = 256


class PhraseRows(NamedTuple):
    """Where a phrase is."""

    rows: Int32[np.ndarray, "p"]  # ascending
    fields: UInt8[np.ndarray, "p"]  # bits, as in the postings


class PhraseFinder:
    """Finds phrases with tantivy, which stores the place of each word; caches the last ones."""

    def __init__(
        self, index: tantivy.Index, weights: Mapping[str, float], postings: Postings
    ) -> None:
        self._schema = index.schema
        self._searcher = index.searcher()
        self._bits = {field: field_bits(field, weight) for field, weight in weights.items()}
        self._postings = postings
        self._found = lru_cache(CACHED_PHRASES)(self._find)

    def of(self, words: Words) -> PhraseRows:
        """Return the rows that hold these terms one after the other."""
        if len(words) == 1:
            return PhraseRows(*self._postings.of(words[0])[::2])
        return self._found(words)

    def _find(self, words: Words) -> PhraseRows:
        parts = [(self._any_field(words, bit), float(bit)) for bit in self._distinct_bits()]
        flagged = (tantivy.Query.const_score_query(query, score) for query, score in parts)
        query = _any_of(flagged)
        hits = self._searcher.search(query, max(self._postings.num_rows, 1), count=False).hits
        found = self._searcher.fast_field_values("row", [address for _, address in hits])
        rows = np.asarray(found, np.int32)
        fields = np.fromiter((int(score) for score, _ in hits), np.uint8, len(hits))
        order = np.argsort(rows)
        return PhraseRows(rows[order], fields[order])

    def _distinct_bits(self) -> list[int]:
        every = np.bitwise_or.reduce(list(self._bits.values()), initial=ANYWHERE)
        return [1 << place for place in range(8) if every >> place & 1]

    def _any_field(self, words: Words, bit: int) -> tantivy.Query:
        fields = [field for field, bits in self._bits.items() if bits & bit]
        phrase = tantivy.Query.phrase_query
        return _any_of(phrase(self._schema, field, list(words)) for field in fields)


def _any_of(queries: Iterable[tantivy.Query]) -> tantivy.Query:
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])
