"""Reads the words of a query into what to look for: as written, as meant, or in other words."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from index.words.synonyms import Synonyms, Words

MOST_WANTED = 64  # things that a query asks for; the rest is not looked at
MOST_TOKENS = 256  # of a query that are read at all
MOST_FORMS = 256  # of a query, beyond the words as written
MOST_CORRECTED = 8  # words of a query; the others stay as they are
EDIT_DISCOUNT = 0.8  # on the score of a corrected word, for each edit


class Form(NamedTuple):
    """One way to say what is wanted: the sum over its terms, times the factor."""

    terms: Words
    factor: float = 1.0
    together: bool = False  # a row needs all of the terms


class QueryTerm(NamedTuple):
    """One thing that a query asks for; of several forms the best one counts, not their sum."""

    forms: tuple[Form, ...]

    @property
    def plain(self) -> bool:
        """Whether it is one word as it was written."""
        return len(self.forms) == 1 and len(self.forms[0].terms) == 1


class QueryRewrite(NamedTuple):
    """What a word of a query was read as, and why."""

    asked: str
    read_as: tuple[str, ...]
    why: Literal["misspelt", "synonym"]


class Correction(NamedTuple):
    """What a misspelt word was meant to be: as written, its term, and how many edits away."""

    word: str
    term: str
    edits: int


class ParsedQuery(NamedTuple):
    """A query as it was read."""

    wanted: tuple[QueryTerm, ...] = ()
    told: tuple[QueryRewrite, ...] = ()  # of what was not taken as written


class Token(NamedTuple):
    """A word of a query: as written, its term, and what it was meant to be if it is misspelt."""

    word: str
    term: str
    correction: Correction | None = None

    @property
    def meant(self) -> str:
        """The term that synonyms are looked up by."""
        return self.term if self.correction is None else self.correction.term


Correct = Callable[[str, Words], Correction | None]  # a word, and the known terms beside it


def read(
    words: Sequence[str],
    terms: Sequence[str],
    known: Callable[[str], bool],
    correct: Correct,
    synonyms: Synonyms,
    synonym_weight: float,
) -> ParsedQuery:
    """Read a query, given as its words and the term of each.

    Only a word that no row has, and that no synonym is for, may be misspelt. Synonyms are looked
    up by whole words, the longest phrase first, each word used once.
    """
    tokens = _tokens(words[:MOST_TOKENS], terms[:MOST_TOKENS], known, correct, synonyms)
    meant = tuple(token.meant for token in tokens)
    wanted: dict[QueryTerm, None] = {}
    told: dict[QueryRewrite, None] = dict.fromkeys(
        QueryRewrite(token.word, (token.correction.word,), "misspelt")
        for token in tokens
        if token.correction is not None
    )
    place, room = 0, MOST_FORMS
    while place < len(tokens) and len(wanted) < MOST_WANTED:
        length, others = synonyms.at(meant, place)
        taken = tokens[place : place + max(length, 1)]
        forms = [*_as_written(taken), *(_form(one.words, synonym_weight) for one in others[:room])]
        room -= len(forms) - 1
        wanted[QueryTerm(tuple(forms))] = None
        if others:
            asked = " ".join(token.word for token in taken)
            told[QueryRewrite(asked, tuple(one.text for one in others), "synonym")] = None
        place += len(taken)
    return ParsedQuery(tuple(wanted), tuple(told))


def _tokens(
    words: Sequence[str],
    terms: Sequence[str],
    known: Callable[[str], bool],
    correct: Correct,
    synonyms: Synonyms,
) -> list[Token]:
    found = [term in synonyms.words or known(term) for term in terms]
    beside = tuple(
        dict.fromkeys(term for term, is_known in zip(terms, found, strict=True) if is_known)
    )
    corrections: dict[str, Correction | None] = {}
    for word, is_known in zip(words, found, strict=True):
        if not is_known and word not in corrections and len(corrections) < MOST_CORRECTED:
            corrections[word] = correct(word, beside)
    return [
        Token(word, term, None if is_known else corrections.get(word))
        for word, term, is_known in zip(words, terms, found, strict=True)
    ]


def _as_written(tokens: Sequence[Token]) -> list[Form]:
    """Return the forms of the words themselves; a misspelt one may yet stand in a newer row."""
    if len(tokens) > 1:
        return [Form(tuple(token.meant for token in tokens))]
    [token] = tokens
    if token.correction is None:
        return [Form((token.term,))]
    return [
        Form((token.term,)),
        Form((token.correction.term,), EDIT_DISCOUNT**token.correction.edits),
    ]


def _form(words: Words, factor: float) -> Form:
    return Form(words, factor, together=len(words) > 1)
