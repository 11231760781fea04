"""The parts of a query that was read: its terms, each in several forms, and its operators."""

from typing import Literal, NamedTuple

from index.words.terms.pieces import Words

LEAST_FACTOR = 0.5  # of a form that a row with it holds the word by


class Form(NamedTuple):
    """One way to express a term of a query: the sum over its terms, times the factor."""

    terms: Words
    factor: float = 1.0
    together: bool = False  # a row needs all of the terms
    compound: bool = False  # the word itself, written as one or as two, whatever the factor


class QueryTerm(NamedTuple):
    """One thing that a query looks for; of several forms the best one counts, not their sum."""

    forms: tuple[Form, ...]

    @property
    def plain(self) -> bool:
        """Whether it is one word as it was written."""
        return len(self.forms) == 1 and len(self.forms[0].terms) == 1


class QueryWord(NamedTuple):
    """One word of a query: a row holds it that has all terms of one of the ways to say it.

    So does one where the terms of one of the `phrases` follow each other.
    """

    ways: tuple[Words, ...]
    phrases: tuple[Words, ...] = ()


class QueryRewrite(NamedTuple):
    """What a word of a query was read as, and why."""

    asked: str
    read_as: tuple[str, ...]
    why: Literal["misspelt", "synonym", "compound"]


class ParsedQuery(NamedTuple):
    """The terms of a query, and which of its words were not taken as written."""

    terms: tuple[QueryTerm, ...] = ()
    rewrites: tuple[QueryRewrite, ...] = ()
    phrases: tuple[Words, ...] = ()  # each of which a row must have
    excluded: tuple[Words, ...] = ()  # none of which a row may have
    head: Words = ()  # terms of the word that says what is looked for: as written, and corrected

    @property
    def words(self) -> tuple[QueryWord, ...]:
        """The words that a row may hold, each alone, whatever they are also looked up as."""
        words: dict[QueryWord, None] = {}
        for term in self.terms:
            others = [f for f in term.forms[1:] if f.compound or f.factor >= LEAST_FACTOR]
            phrases = tuple(f.terms for f in others if f.compound and len(f.terms) > 1)
            ways = [f.terms for f in others if f.terms not in phrases]
            for one in term.forms[0].terms:
                words[QueryWord(((one,), *ways), phrases)] = None
        return tuple(words)
