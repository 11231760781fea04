"""Query parsing: turns the words of a query into terms, with corrections and synonyms."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from index.words.analysis import TextAnalysis, Words
from index.words.operators import read_operators
from index.words.spelling import Correction
from index.words.synonyms import Synonym, Synonyms

MOST_TERMS = 64  # of a query; the rest is not looked up
MOST_TOKENS = 256  # of a query that are read at all
MOST_FORMS = 256  # of a query, beyond the words as written
MOST_CORRECTED = 8  # words of a query; the others stay as they are
EDIT_DISCOUNT = 0.8  # on the score of a corrected word, for each edit
CACHED_QUERIES = 1_024


class Form(NamedTuple):
    """One way to express a term of a query: the sum over its terms, times the factor."""

    terms: Words
    factor: float = 1.0
    together: bool = False  # a row needs all of the terms


class QueryTerm(NamedTuple):
    """One thing that a query looks for; of several forms the best one counts, not their sum."""

    forms: tuple[Form, ...]

    @property
    def plain(self) -> bool:
        """Whether it is one word as it was written."""
        return len(self.forms) == 1 and len(self.forms[0].terms) == 1


class QueryWord(NamedTuple):
    """One word of a query: a row holds it that has all terms of one of the ways to say it."""

    ways: tuple[Words, ...]


class QueryRewrite(NamedTuple):
    """What a word of a query was read as, and why."""

    asked: str
    read_as: tuple[str, ...]
    why: Literal["misspelt", "synonym"]


class ParsedQuery(NamedTuple):
    """The terms of a query, and which of its words were not taken as written."""

    terms: tuple[QueryTerm, ...] = ()
    rewrites: tuple[QueryRewrite, ...] = ()
    phrases: tuple[Words, ...] = ()  # each of which a row must have
    excluded: tuple[Words, ...] = ()  # none of which a row may have

    @property
    def words(self) -> tuple[QueryWord, ...]:
        """The words that a row may hold, each alone, whatever they are also looked up as."""
        words: dict[QueryWord, None] = {}
        for term in self.terms:
            others = tuple(form.terms for form in term.forms[1:])
            for one in term.forms[0].terms:
                words[QueryWord(((one,), *others))] = None
        return tuple(words)


class Token(NamedTuple):
    """A word of a query: as written, its term, and its correction if it is misspelt."""

    word: str
    term: str
    correction: Correction | None = None

    @property
    def corrected_term(self) -> str:
        """The term that synonyms are looked up by."""
        return self.term if self.correction is None else self.correction.term


class Phrase(NamedTuple):
    """Neighbouring tokens that are looked up as one, and what they also stand for."""

    tokens: Sequence[Token]
    synonyms: tuple[Synonym, ...]


Correct = Callable[[str, Words], Correction | None]  # a word, and the known terms beside it


class QueryReader:
    """Parses queries for one index, and caches the last CACHED_QUERIES of them.

    Only a word that no row has, and that no synonym is for, may be misspelt. Synonyms are looked
    up by whole words, the longest phrase first, each word used once.
    """

    def __init__(
        self,
        analysis: TextAnalysis,
        is_indexed: Callable[[str], bool],
        correct: Correct | None,
        synonyms: Synonyms,
        synonym_weight: float,
    ) -> None:
        self._analysis = analysis
        self._is_indexed = is_indexed
        self._correct = correct
        self._synonyms = synonyms
        self._synonym_weight = synonym_weight
        self.read = lru_cache(CACHED_QUERIES)(self._read)

    def _read(self, text: str) -> ParsedQuery:
        operators = read_operators(text)
        tokens = self._tokens(*self._analysis.words_and_terms(operators.text))
        terms: dict[QueryTerm, None] = {}
        rewrites = dict.fromkeys(_corrections(tokens))
        room = MOST_FORMS
        for phrase in self._phrases(tokens):
            forms = _as_written(phrase.tokens)
            forms += [_synonym_form(s, self._synonym_weight) for s in phrase.synonyms[:room]]
            room -= len(forms) - 1
            terms[QueryTerm(tuple(forms))] = None
            if phrase.synonyms:
                rewrites[_synonym_rewrite(phrase)] = None
            if len(terms) == MOST_TERMS:
                break
        phrases, excluded = map(self._terms_of, (operators.phrases, operators.excluded))
        return ParsedQuery(tuple(terms), tuple(rewrites), phrases, excluded)

    def _terms_of(self, texts: Sequence[str]) -> tuple[Words, ...]:
        terms = (self._analysis.query_terms(text)[:MOST_TERMS] for text in texts)
        return tuple(words for words in terms if words)

    def _phrases(self, tokens: list[Token]) -> Iterator[Phrase]:
        terms = tuple(token.corrected_term for token in tokens)
        place = 0
        while place < len(tokens):
            length, synonyms = self._synonyms.at(terms, place)
            yield Phrase(tokens[place : place + max(length, 1)], synonyms)
            place += max(length, 1)

    def _tokens(self, words: Words, terms: Words) -> list[Token]:
        words, terms = words[:MOST_TOKENS], terms[:MOST_TOKENS]
        spelt_right = [self._is_spelt_right(term) for term in terms]
        pairs = list(zip(words, terms, spelt_right, strict=True))
        beside = tuple(dict.fromkeys(term for _, term, right in pairs if right))
        corrections: dict[str, Correction | None] = {}
        for word, _, right in pairs:
            if not right and word not in corrections and len(corrections) < MOST_CORRECTED:
                corrections[word] = self._correct(word, beside) if self._correct else None
        return [
            Token(word, term, None if right else corrections.get(word))
            for word, term, right in pairs
        ]

    def _is_spelt_right(self, term: str) -> bool:
        return term in self._synonyms.words or self._is_indexed(term)


def _corrections(tokens: Sequence[Token]) -> Iterator[QueryRewrite]:
    for token in tokens:
        if token.correction is not None:
            yield QueryRewrite(token.word, (token.correction.word,), "misspelt")


def _synonym_rewrite(phrase: Phrase) -> QueryRewrite:
    words = " ".join(token.word for token in phrase.tokens)
    return QueryRewrite(words, tuple(synonym.text for synonym in phrase.synonyms), "synonym")


def _as_written(tokens: Sequence[Token]) -> list[Form]:
    """Return the forms of the words themselves; a misspelt one may yet stand in a newer row."""
    if len(tokens) > 1:
        return [Form(tuple(token.corrected_term for token in tokens))]
    [token] = tokens
    if token.correction is None:
        return [Form((token.term,))]
    discount = EDIT_DISCOUNT**token.correction.edits
    return [Form((token.term,)), Form((token.correction.term,), discount)]


def _synonym_form(synonym: Synonym, weight: float) -> Form:
    return Form(synonym.words, weight, together=len(synonym.words) > 1)
