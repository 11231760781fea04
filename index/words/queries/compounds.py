"""Compounds: words that the catalogue writes as one where the query has two, and the reverse."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from index.words.queries.parsed_query import Form
from index.words.terms.analysis import QueryToken
from index.words.terms.pieces import Words, as_one

JOINED, PARTED = 0.9, 0.9  # of the score of what was written
SHORTEST_HALF = 2  # characters of a half of a word that no row has, but at a digit
SHORTEST_KNOWN_HALF = 3  # of a word that rows have
LONGEST = 32  # characters of a word that is parted

COMMON = 10  # one row with the halves, for so many with the word, makes it a compound


class Parting(NamedTuple):
    """The two halves of a word: as written, and their terms."""

    words: Words
    terms: Words

    @property
    def form(self) -> Form:
        """The halves as a form of the word; a row needs both."""
        return Form(self.terms, PARTED, together=True)


class Compounds:
    """Joins and parts the words of a query by what the index has.

    `rows_with` counts the rows that have a term, `rows_with_phrase` those where terms follow each
    other: only such neighbours are halves of a word.
    """

    def __init__(
        self,
        stem: Callable[[str], str],
        rows_with: Callable[[str], int],
        rows_with_phrase: Callable[[Words], int],
    ) -> None:
        self._stem = stem
        self._rows_with = rows_with
        self._rows_with_phrase = rows_with_phrase

    def joined(self, tokens: Sequence[QueryToken]) -> str:
        """Return the term of neighbouring words written as one; "" if no row has it."""
        if any(token.kind != "word" for token in tokens):
            return ""
        whole = as_one([token.word for token in tokens])
        term = self._stem(whole) if whole else ""
        return term if term and self._rows_with(term) else ""

    def parting(self, token: QueryToken) -> Parting | None:
        """Return the halves that a word is written in, those of most rows; None if in none."""
        if token.kind != "word" or not SHORTEST_HALF < len(token.word) <= LONGEST:
            return None
        rows = self._rows_with(token.term)
        partings = [(self._rows_of(one), one) for one in self._partings(token.word, known=rows > 0)]
        most, best = max(partings, key=lambda pair: pair[0], default=(0, None))
        return best if most and most * COMMON >= rows else None

    def _rows_of(self, parting: Parting) -> int:
        if not all(map(self._rows_with, parting.terms)):
            return 0
        return self._rows_with_phrase(parting.terms)

    def _partings(self, word: str, *, known: bool) -> list[Parting]:
        shortest = SHORTEST_KNOWN_HALF if known else SHORTEST_HALF
        halves = [(word[:at], word[at:]) for at in range(1, len(word))]
        return [
            Parting(pair, (self._stem(pair[0]), self._stem(pair[1])))
            for pair in halves
            if min(map(len, pair)) >= shortest or _digits_begin(*pair)
        ]


def _digits_begin(before: str, after: str) -> bool:
    """Tell whether a word goes from letters to digits or back between these halves."""
    return before[-1].isdigit() != after[0].isdigit()
