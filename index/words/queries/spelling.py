"""Spelling correction: replaces a word that no document has by the likeliest near one."""

import math
from collections.abc import Callable
from typing import NamedTuple

from index.words.terms.pieces import Words
from index.words.vocabulary import SpellingCandidate, Vocabulary

CANDIDATES = 8  # nearest words of the vocabulary; the likeliest is taken
CONTEXT_TERMS = 8  # other words of the query that a candidate is counted beside
EDIT_COSTS = 4.0  # in the logarithm of the rows that have a word
BESIDE_COUNTS = 1.0  # of the rows that have it beside another word of the query, likewise


class Correction(NamedTuple):
    """What a misspelt word was meant to be: as written, its term, and how many edits away."""

    word: str
    term: str
    edits: int


class SpellingCorrector:
    """Corrects words by a vocabulary: few edits, many rows, and rows shared with the query.

    `stem` gives the term of a word; `rows_beside` counts the rows that have a term together with
    any of the others.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        stem: Callable[[str], str],
        rows_beside: Callable[[str, Words], int],
    ) -> None:
        self._vocabulary = vocabulary
        self._stem = stem
        self._rows_beside = rows_beside

    def __call__(self, word: str, beside: Words) -> Correction | None:
        """Return the likeliest of the nearest words, beside these terms; None if none is near."""
        near = self._vocabulary.near(word, CANDIDATES)
        if not near:
            return None
        likeliest = near[0] if len(near) == 1 else self._likeliest(near, beside[:CONTEXT_TERMS])
        return Correction(likeliest.word, self._stem(likeliest.word), likeliest.edits)

    def _likeliest(self, near: list[SpellingCandidate], beside: Words) -> SpellingCandidate:
        return max(near, key=lambda candidate: self._likelihood(candidate, beside))

    def _likelihood(self, near: SpellingCandidate, beside: Words) -> float:
        rows = self._rows_beside(self._stem(near.word), beside) if beside else 0
        return math.log1p(near.rows) + BESIDE_COUNTS * math.log1p(rows) - EDIT_COSTS * near.edits
