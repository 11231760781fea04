"""Query parsing: turns a query into terms, with corrections, compounds, codes and synonyms."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from index.words.queries.compounds import JOINED, Compounds, Parting
from index.words.queries.operators import read_operators
from index.words.queries.parsed_query import Form, ParsedQuery, QueryRewrite, QueryTerm
from index.words.queries.spelling import Correction
from index.words.queries.synonyms import Synonym, Synonyms
from index.words.terms.analysis import Analysis, QueryToken
from index.words.terms.codes import query_codes
from index.words.terms.heads import PARTING
from index.words.terms.pieces import Words

MOST_TERMS = 64  # of a query; the rest is not looked up
MOST_TOKENS = 256  # of a query that are read at all
MOST_FORMS = 256  # of a query, beyond the words as written
MOST_CORRECTED = 8  # words of a query; the others stay as they are
MOST_PARTED = 16  # words of a query that may be compounds
EDIT_DISCOUNT = 0.8  # on the score of a corrected word, for each edit
CACHED_QUERIES = 1_024


class Token(NamedTuple):
    """A word of a query as written, and what else it may mean."""

    word: QueryToken
    correction: Correction | None = None
    parting: Parting | None = None

    @property
    def corrected_term(self) -> str:
        """The term that synonyms are looked up by."""
        return self.word.term if self.correction is None else self.correction.term


class Phrase(NamedTuple):
    """Neighbouring tokens that are looked up as one, and what they also stand for."""

    tokens: Sequence[Token]
    synonyms: tuple[Synonym, ...] = ()
    others: tuple[Form, ...] = ()


class Neighbours(NamedTuple):
    """Tokens from `first` to `last`, which is not included, that are also looked up as one."""

    first: int
    last: int
    forms: tuple[Form, ...]


Correct = Callable[[str, Words], Correction | None]  # a word, and the known terms beside it


class QueryReader:
    """Parses queries for one index, and caches the last CACHED_QUERIES of them.

    Only a word that no row has, that no synonym is for, that is no compound and not in the lexicon,
    may be misspelt.
    Synonyms are looked up by whole words, the longest phrase first, each word used once; then come
    codes, then words that are written as one. Words such as `and` are left out beside others.
    """

    def __init__(  # noqa: PLR0913 - all that a reading depends on
        self,
        analysis: Analysis,
        is_indexed: Callable[[str], bool],
        correct: Correct | None,
        synonyms: Synonyms,
        synonym_weight: float,
        compounds: Compounds | None = None,
        lexicon: frozenset[str] = frozenset(),
        *,
        codes: bool = False,
    ) -> None:
        """Without `compounds` no words are joined or parted; words of `lexicon` are spelt right.

        `codes`: the index has a field of them.
        """
        self._analysis = analysis
        self._is_indexed = is_indexed
        self._correct = correct
        self._synonyms = synonyms
        self._synonym_weight = synonym_weight
        self._compounds = compounds
        self._lexicon = lexicon
        self._codes = codes
        self.read = lru_cache(CACHED_QUERIES)(self._read)

    def _read(self, text: str) -> ParsedQuery:
        operators = read_operators(text)
        folded = self._analysis.fold(operators.text)
        words = self._analysis.tokens(folded)[:MOST_TOKENS]
        neighbours = {one.first: one for one in self._neighbours(folded, words)}
        tokens = self._tokens(words, _covered(neighbours.values()))
        terms: dict[QueryTerm, None] = {}
        rewrites = dict.fromkeys(self._rewrites(tokens))
        says_more = not all(self._analysis.is_filler(token.word.word) for token in tokens)
        room = MOST_FORMS
        for phrase in self._phrases(tokens, neighbours):
            if says_more and self._is_filler(phrase):
                continue
            forms = _as_written(phrase.tokens)
            others = [_synonym_form(one, self._synonym_weight) for one in phrase.synonyms]
            forms += [*phrase.others, *others][:room]
            room -= len(forms) - 1
            terms[QueryTerm(tuple(dict.fromkeys(forms)))] = None
            if phrase.synonyms:
                rewrites[_synonym_rewrite(phrase)] = None
            if len(terms) == MOST_TERMS:
                break
        phrases, excluded = map(self._terms_of, (operators.phrases, operators.excluded))
        return ParsedQuery(tuple(terms), tuple(rewrites), phrases, excluded, self._head(tokens))

    def _head(self, tokens: Sequence[Token]) -> Words:
        """Return the terms of the word that says what is looked for: the last of `can of tuna`.

        Unlike in a title, what a thing comes in is not the thing.
        """
        naming = [
            token
            for token in tokens
            if token.word.kind == "word"
            and (token.word.word in PARTING or not self._analysis.is_filler(token.word.word))
        ]
        head = self._analysis.head(" ".join(token.word.word for token in naming))
        found = [token for token in naming if token.word.word == head][-1:]
        return tuple(term for one in found for term in (one.word.term, one.corrected_term))

    def _rewrites(self, tokens: Sequence[Token]) -> Iterator[QueryRewrite]:
        """Yield what words are read as in place of themselves: a word that rows have stays one."""
        for word, correction, parting in tokens:
            if correction is not None:
                yield QueryRewrite(word.word, (correction.word,), "misspelt")
            elif parting is not None and not self._is_indexed(word.term):
                yield QueryRewrite(word.word, (" ".join(parting.words),), "compound")

    def _is_filler(self, phrase: Phrase) -> bool:
        """Tell whether this is one word such as `and`, which nothing else stands for."""
        one, beside = phrase.tokens[0].word, (*phrase.synonyms, *phrase.others)
        return len(phrase.tokens) == 1 and not beside and self._analysis.is_filler(one.word)

    def _terms_of(self, texts: Sequence[str]) -> tuple[Words, ...]:
        """Return the terms of each text that has any."""
        tokens = (self._analysis.tokens(self._analysis.fold(text))[:MOST_TERMS] for text in texts)
        return tuple(tuple(one.term for one in words) for words in tokens if words)

    def _phrases(self, tokens: list[Token], neighbours: dict[int, Neighbours]) -> Iterator[Phrase]:
        terms = tuple(token.corrected_term for token in tokens)
        place = 0
        while place < len(tokens):
            length, synonyms = self._synonyms.at(terms, place)
            beside = neighbours.get(place)
            if beside is not None and beside.last - place >= length:
                synonyms = synonyms if length == beside.last - place else ()
                length, others = beside.last - place, beside.forms
            else:
                length, others = max(length, 1), ()
            yield Phrase(tokens[place : place + length], synonyms, others)
            place += length

    def _neighbours(self, folded: str, words: list[QueryToken]) -> Iterator[Neighbours]:
        """Yield, none overlapping another, what of a query is also looked up as one."""
        taken: set[int] = set()
        candidates = [*self._code_neighbours(folded, words), *self._compound_neighbours(words)]
        for one in candidates:
            places = set(range(one.first, one.last))
            if not places & taken:
                taken |= places
                yield one

    def _code_neighbours(self, folded: str, words: list[QueryToken]) -> Iterator[Neighbours]:
        if not self._codes:
            return
        chunks, chunk_of = folded.split(), _chunks(folded, words)
        for code in query_codes(chunks, self._is_indexed):
            places = [at for at, chunk in enumerate(chunk_of) if code.first <= chunk <= code.last]
            if places:
                first, last = places[0], places[-1] + 1
                several = last - first  # words that the code stands for
                forms = [Form((term,), several * factor) for term, factor in code.terms.items()]
                yield Neighbours(first, last, (*forms, *self._joined(words[first:last], 1.0)))

    def _compound_neighbours(self, words: list[QueryToken]) -> Iterator[Neighbours]:
        """Yield words with signs between them, such as wi-fi, then pairs."""
        for first, last in _runs(words):
            if forms := self._joined(words[first:last], 1.0):
                yield Neighbours(first, last, forms)
        for first in range(min(len(words) - 1, MOST_TERMS)):
            if forms := self._joined(words[first : first + 2], JOINED):
                yield Neighbours(first, first + 2, forms)

    def _joined(self, words: list[QueryToken], factor: float) -> tuple[Form, ...]:
        """Return the words as one, which counts for each of them."""
        joined = self._compounds.joined(words, factor) if self._compounds else None
        return () if joined is None else (joined,)

    def _tokens(self, words: list[QueryToken], covered: set[int]) -> list[Token]:
        named = self._named([word.term for word in words])
        right = [at in named or self._is_indexed(word.term) for at, word in enumerate(words)]
        beside = tuple(
            dict.fromkeys(word.term for word, known in zip(words, right, strict=True) if known)
        )
        corrections: dict[str, Correction | None] = {}
        tokens = []
        for place, (word, known) in enumerate(zip(words, right, strict=True)):
            parting = self._parting(word) if place < MOST_PARTED and place not in covered else None
            misspelt = not (known or parting or place in covered or self._is_real(word.word))
            if misspelt and word.word not in corrections and len(corrections) < MOST_CORRECTED:
                correct = self._correct if word.kind == "word" else None
                corrections[word.word] = correct(word.word, beside) if correct else None
            correction = corrections.get(word.word) if misspelt else None
            tokens.append(Token(word, correction, parting))
        return tokens

    def _is_real(self, word: str) -> bool:
        """Tell whether a word that no row has is none the less a word, or made of two words."""
        return word in self._lexicon or bool(self._compounds and self._compounds.is_made_of(word))

    def _parting(self, word: QueryToken) -> Parting | None:
        return self._compounds.parting(word) if self._compounds else None

    def _named(self, terms: Sequence[str]) -> set[int]:
        """Return the places of whole phrases that have synonyms."""
        place, named = 0, set[int]()
        while place < len(terms):
            length, _ = self._synonyms.at(tuple(terms), place)
            named.update(range(place, place + length))
            place += max(length, 1)
        return named


def _covered(neighbours: Iterable[Neighbours]) -> set[int]:
    """Return the places that are looked up with others, so that none of them is misspelt."""
    several = (one for one in neighbours if one.last - one.first > 1)
    return {at for one in several for at in range(one.first, one.last)}


def _chunks(folded: str, words: Sequence[QueryToken]) -> list[int]:
    """Return in which chunk of a query, split at spaces, each word begins."""
    starts = [match.start() for match in re.finditer(r"\S+", folded)]
    return [bisect_right(starts, word.start) - 1 for word in words]


def _runs(words: Sequence[QueryToken]) -> Iterator[tuple[int, int]]:
    """Yield where words with signs between them begin and end."""
    first = 0
    for place in range(1, len(words) + 1):
        if place == len(words) or not words[place].joined:
            if place - first > 1:
                yield first, place
            first = place


def _synonym_rewrite(phrase: Phrase) -> QueryRewrite:
    words = " ".join(token.word.word for token in phrase.tokens)
    return QueryRewrite(words, tuple(synonym.text for synonym in phrase.synonyms), "synonym")


def _as_written(tokens: Sequence[Token]) -> list[Form]:
    """Return the forms of the words themselves; a misspelt one may yet stand in a newer row."""
    if len(tokens) > 1:
        return [Form(tuple(token.corrected_term for token in tokens))]
    [(word, correction, parting)] = tokens
    forms = [Form((word.term,)), *(Form((term,), factor) for term, factor in word.others)]
    if correction is not None:
        forms.append(Form((correction.term,), EDIT_DISCOUNT**correction.edits))
    if parting is not None:
        forms.append(parting.form)
    return forms


def _synonym_form(synonym: Synonym, weight: float) -> Form:
    return Form(synonym.words, weight, together=len(synonym.words) > 1)
