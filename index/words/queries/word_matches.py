"""Which words of a query rows hold, as shares weighted by how rare the words are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tantivy
from jaxtyping import Bool, Float32, Float64, Int64

from index.words.queries.parsed_query import QueryWord
from index.words.queries.term_queries import TermQueries, any_of
from index.words.terms.codes import FIELD as CODES
from index.words.terms.heads import FIELD as HEAD

NAMING_WEIGHT = 1.0  # fields of at least this weight name a product, such as its title
WORDS_AT_ONCE = 11  # two bits a word, one for the head, one for codes: a float32 adds them exactly


class WordMatches(NamedTuple):
    """The share of a query's words that each row holds, from 0 to 1, each word weighing its idf.

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
    def none(cls, num_words: int, num_rows: int) -> "HeldWords":
        """Return that rows hold none of the words."""
        return cls(*np.zeros((2, num_words, num_rows), bool), *np.zeros((2, num_rows), bool))

    def shares(self, weights: Float64[np.ndarray, "w"]) -> WordMatches:
        """Return the weighted share of the words that each row holds; 0 where there is none."""
        total = float(weights.sum()) or 1.0
        named, anywhere = (
            (weights @ held / total).astype(np.float32) for held in (self.named, self.anywhere)
        )
        head, code = self.head.astype(np.float32), self.code.astype(np.float32)
        return WordMatches(named, anywhere, head, code)


def flagging_query(words: Sequence[QueryWord], queries: TermQueries) -> tantivy.Query:
    """Return a query whose score is a sum of 1 << 2 w for each word held, and twice that if named.

    A head that is one of the words adds 1 << 2 len(words), a code twice that.
    At most WORDS_AT_ONCE words, so that the sum is exact.
    """
    naming = [field for field, weight in queries.weights.items() if weight >= NAMING_WEIGHT]
    parts = []
    for place, word in enumerate(words):
        parts.append((queries.holding(word, queries.weights), float(1 << 2 * place)))
        parts.append((queries.holding(word, naming), float(2 << 2 * place)))
    for bit, field in enumerate((HEAD, CODES)):
        if field in queries.weights:
            some = any_of(queries.holding(word, [field]) for word in words)
            parts.append((some, float(1 << 2 * len(words) + bit)))
    return any_of(tantivy.Query.const_score_query(query, score) for query, score in parts)


def held_words(sums: Float32[np.ndarray, "c"], num_words: int) -> HeldWords:
    """Return what the scores of a flagging query say."""
    flags: Int64[np.ndarray, c] = sums.astype(np.int64)
    bits = (flags[None, :] >> (2 * np.arange(num_words))[:, None]) & 3
    beside = flags >> 2 * num_words
    return HeldWords((bits & 2) > 0, (bits & 1) > 0, (beside & 1) > 0, (beside & 2) > 0)


def joined(parts: Sequence[HeldWords]) -> HeldWords:
    """Return the words of several parts of one query as one."""
    return HeldWords(
        np.concatenate([part.named for part in parts]),
        np.concatenate([part.anywhere for part in parts]),
        np.any([part.head for part in parts], axis=0),
        np.any([part.code for part in parts], axis=0),
    )
