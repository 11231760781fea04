"""Which words of a query rows hold, as shares weighted by how rare the words are."""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

from index.words.postings import ANYWHERE, IN_CODE, IN_HEAD, NAMED, Postings
from index.words.queries.parsed_query import QueryWord
from index.words.queries.phrases import PhraseFinder
from index.words.queries.scoring import places_in
from index.words.terms.pieces import Words


class WordMatches(NamedTuple):
    """The share of a query's words that each row holds, 0 to 1: by idf, and more of its head.

    A word counts as held if the row has it, its correction, a synonym or its compound.
    """

    named: Float32[np.ndarray, "c"]  # in the fields that name a product
    anywhere: Float32[np.ndarray, "c"]
    head: Float32[np.ndarray, "c"]  # 1 where the head of the title is a word of the query, else 0
    code: Float32[np.ndarray, "c"]  # 1 where a code of the row is a word of the query, else 0


class HeldWords(NamedTuple):
    """Which rows hold which words of a query."""

    named: Bool[np.ndarray, "w c"]
    anywhere: Bool[np.ndarray, "w c"]
    head: Bool[np.ndarray, "c"]  # whether the head of the title is one of them
    code: Bool[np.ndarray, "c"]  # whether a code is

    @classmethod
    def of(cls, fields: UInt8[np.ndarray, "w c"]) -> "HeldWords":
        """Return what the bits say of the fields in which each row holds each word."""
        named, anywhere = (fields & bit > 0 for bit in (NAMED, ANYWHERE))
        head, code = (np.any(fields & bit > 0, axis=0) for bit in (IN_HEAD, IN_CODE))
        return cls(named, anywhere, np.asarray(head), np.asarray(code))

    def shares(self, weights: Float64[np.ndarray, "w"]) -> WordMatches:
        """Return the weighted share of the words that each row holds; 0 where there is none."""
        total = float(weights.sum()) or 1.0
        named, anywhere = (
            (weights @ held / total).astype(np.float32) for held in (self.named, self.anywhere)
        )
        head, code = self.head.astype(np.float32), self.code.astype(np.float32)
        return WordMatches(named, anywhere, head, code)


class WordHolders:
    """Tells which rows hold a word of a query, in one of the ways to say it."""

    def __init__(self, postings: Postings, phrases: PhraseFinder) -> None:
        self._postings = postings
        self._phrases = phrases

    def among(self, words: Sequence[QueryWord], rows: Int32[np.ndarray, "c"]) -> HeldWords:
        """Return which of these rows hold which words."""
        fields = np.zeros((len(words), len(rows)), np.uint8)
        for of_word, word in zip(fields, words, strict=True):
            for way in word.ways:
                of_word |= reduce(np.bitwise_and, (self._term_bits(term, rows) for term in way))
            for phrase in word.phrases:
                of_word |= _bits_at(*self._phrases.of(phrase), rows)
        return HeldWords.of(fields)

    def holding_all(self, words: Iterable[QueryWord]) -> Bool[np.ndarray, "n"]:
        """Return which rows of the index hold each of these words."""
        mask = np.ones(self._postings.num_rows, bool)
        for word in words:
            mask &= self._holding(word)
        return mask

    def with_all(self, terms: Words) -> Int32[np.ndarray, "m"]:
        """Return, ascending, the rows that have all of these terms."""
        rows = [self._postings.of(term).rows for term in sorted(terms, key=self._most_rows)]
        return reduce(lambda some, more: some[places_in(more, some)[0]], rows)

    def _holding(self, word: QueryWord) -> Bool[np.ndarray, "n"]:
        mask = np.zeros(self._postings.num_rows, bool)
        for way in word.ways:
            mask[self.with_all(way)] = True
        for phrase in word.phrases:
            mask[self._phrases.of(phrase).rows] = True
        return mask

    def _term_bits(self, term: str, rows: Int32[np.ndarray, "c"]) -> UInt8[np.ndarray, "c"]:
        postings = self._postings.of(term)
        return _bits_at(postings.rows, postings.fields, rows)

    def _most_rows(self, term: str) -> int:
        return self._postings.most_rows(term)


def _bits_at(
    rows: Int32[np.ndarray, "p"], fields: UInt8[np.ndarray, "p"], wanted: Int32[np.ndarray, "c"]
) -> UInt8[np.ndarray, "c"]:
    """Return the bits of each wanted row; 0 where it is not among the rows."""
    bits = np.zeros(len(wanted), np.uint8)
    held, places = places_in(rows, wanted)
    bits[held] = fields[places]
    return bits
