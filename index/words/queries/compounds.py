"""Compounds: words that the catalogue writes as one where the query has two, and the reverse."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from index.words.queries.parsed_query import Form
from index.words.rarity import rarity
from index.words.terms.analysis import QueryToken
from index.words.terms.pieces import Words, as_one
from index.words.vocabulary import SHORTEST

JOINED, PARTED = 0.9, 0.9  # of the score of what was written
SHORTEST_HALF = 2  # characters of a half of a word that no row has, but at a digit
SHORTEST_KNOWN_HALF = 3  # of a word that rows have
LONG_HALF = 4  # characters of a half that need not stand beside the other anywhere
LONGEST = 32  # characters of a word that is parted

COMMON = 10  # one row with the halves, for so many with the word, makes it a compound


class Parting(NamedTuple):
    """The two halves of a word: as written, and as a form of it, of which a row needs both."""

    words: Words
    form: Form


class Compounds:
    """Joins and parts the words of a query by what the index has.

    `rows_with` counts the rows that have a term, `rows_with_phrase` those where terms follow each
    other: only such neighbours are halves of a word. `is_word` knows words of letters.
    """

    def __init__(
        self,
        term: Callable[[str], str],
        is_word: Callable[[str], bool],
        rows_with: Callable[[str], int],
        rows_with_phrase: Callable[[Words], int],
        num_rows: int,
    ) -> None:
        """Take for a word what `is_word` says; digits are words wherever a row has them."""
        self._term = term
        self._is_word = is_word
        self._rows_with = rows_with
        self._rows_with_phrase = rows_with_phrase
        self._num_rows = num_rows

    def joined(self, tokens: Sequence[QueryToken], factor: float = JOINED) -> Form | None:
        """Return neighbouring words written as one, if a row has it.

        It counts `factor` of what the words would together, however rare it is itself.
        """
        if len(tokens) < 2 or any(token.kind != "word" for token in tokens):
            return None
        whole = as_one([token.word for token in tokens])
        if not whole or not self._stands(whole):
            return None
        apart, one = sum(self._rarity(token.term) for token in tokens), self._term(whole)
        return Form((one,), factor * apart / self._rarity(one), compound=True)

    def parting(self, token: QueryToken) -> Parting | None:
        """Return the halves that a word is written in, those of most rows; None if in none."""
        word, rows = token.word, self._rows_with(token.term)
        if token.kind != "word" or not SHORTEST_HALF < len(word) <= LONGEST:
            return None
        partings = [(self._rows_of(halves), halves) for halves in _halves(word, known=rows > 0)]
        most, best = max(partings, key=lambda pair: pair[0], default=(0, ("", "")))
        if not most or most * COMMON < rows:
            return None
        terms = (self._term(best[0]), self._term(best[1]))
        factor = PARTED * (self._rarity(token.term) / sum(map(self._rarity, terms)) if rows else 1)
        return Parting(best, Form(terms, factor, together=True, compound=True))

    def is_made_of(self, word: str) -> bool:
        """Tell whether both halves of a word are words of the catalogue, wherever they stand."""
        halves = ((word[:at], word[at:]) for at in range(LONG_HALF, len(word) - LONG_HALF + 1))
        return len(word) <= LONGEST and any(self._both(pair) for pair in halves)

    def _rows_of(self, halves: Words) -> int:
        return self._rows_with_phrase(tuple(map(self._term, halves))) if self._both(halves) else 0

    def _both(self, halves: Words) -> bool:
        return all(self._rows_with(self._term(half)) and self._stands(half) for half in halves)

    def _stands(self, word: str) -> bool:
        """Tell whether a word stands in the catalogue, not only another one with its stem."""
        if len(word) < SHORTEST or any(map(str.isdigit, word)):
            return self._rows_with(self._term(word)) > 0
        return self._is_word(word)

    def _rarity(self, term: str) -> float:
        return rarity(max(self._rows_with(term), 1), self._num_rows)


def _halves(word: str, *, known: bool) -> list[Words]:
    shortest = SHORTEST_KNOWN_HALF if known else SHORTEST_HALF
    halves = [(word[:at], word[at:]) for at in range(1, len(word))]
    return [pair for pair in halves if min(map(len, pair)) >= shortest or _digits_begin(*pair)]


def _digits_begin(before: str, after: str) -> bool:
    """Tell whether a word goes from letters to digits or back between these halves."""
    return before[-1].isdigit() != after[0].isdigit()
