"""A small in-memory BM25 index that uses the statistics of the main index.

So the scores of both are comparable.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from index.words.lexical_index import LexicalIndex
from index.words.postings import NAMING_WEIGHT, PRESENCE, saturation
from index.words.queries.parsed_query import Form, QueryWord
from index.words.queries.word_matches import HeldWords, WordMatches
from index.words.terms.codes import FIELD as CODES
from index.words.terms.codes import beginning
from index.words.terms.heads import FIELD as HEAD
from index.words.terms.pieces import Words

PLACE_BITS = 32
PLACES = (1 << PLACE_BITS) - 1


class DeltaIndex:
    """BM25 of a few documents, by the statistics of the main index.

    As in the index, a word also counts for being there at all, and has one idf in all fields.
    A sum over fields and terms of `weight * idf * (k1 + 1) * tf / (tf + k1 * (1 - b + b * length
    / mean length))`, `idf = log(1 + (N - n + 0.5) / (n + 0.5))`: Robertson and Zaragoza, The
    Probabilistic Relevance Framework (2009), as tantivy has it. One thread adds documents, any may
    search.
    """

    def __init__(self, index: LexicalIndex) -> None:
        self._index = index
        self._postings: dict[tuple[str, str], list[int]] = {}  # times met, and where
        self._lengths: dict[str, list[int]] = {field: [] for field in index.weights}
        self._texts: list[dict[str, str]] = []  # the terms of each field, in order, for phrases
        self._codes: set[str] = set()
        self._size = 0

    @property
    def size(self) -> int:
        """How many documents there are; their places run from 0."""
        return self._size

    def add(self, document: Mapping[str, str]) -> int:
        """Add a document, text by field, and return its place."""
        place = self._size
        terms = {f: self._index.document_terms(f, document.get(f, "")) for f in self._lengths}
        self._texts.append({field: f"\n{chr(10).join(some)}\n" for field, some in terms.items()})
        for field, of_field in terms.items():
            self._lengths[field].append(len(of_field))
            for term in set(of_field):
                times = of_field.count(term)
                self._postings.setdefault((field, term), []).append(times << PLACE_BITS | place)
        self._codes.update(terms.get(CODES, ()))
        self._size += 1
        return place

    def scores(self, text: str, size: int) -> Float32[np.ndarray, "m"]:
        """Return BM25 of the first `size` documents; 0 where no word is shared."""
        sums = np.zeros(size, np.float64)
        for term in self._index.read(text).terms:
            forms = [form.factor * self._form(form, size) for form in term.forms]
            sums += np.max(forms, axis=0)  # the best of them, as the index has it
        permitted = self.permitted(text, size)
        return np.where(True if permitted is None else permitted, sums, 0).astype(np.float32)

    def matches(self, text: str, size: int) -> WordMatches:
        """Return the share of the query's words that each of the first `size` documents holds."""
        parsed = self._index.read(text)
        return self._held(parsed.words, size).shares(self._index.word_weights(parsed))

    def holding_all(self, text: str, size: int) -> Bool[np.ndarray, "m"]:
        """Return which documents hold all words of the query that any row or document has."""
        words, indexed = self._index.read(text).words, set(self._index.known_words(text))
        anywhere = self._held(words, size).anywhere
        known = [n for n, word in enumerate(words) if word in indexed or anywhere[n].any()]
        if not known:
            return np.zeros(size, bool)
        held, permitted = anywhere[known].all(axis=0), self.permitted(text, size)
        return np.asarray(held if permitted is None else held & permitted)

    def holding_new(self, text: str, size: int) -> Bool[np.ndarray, "m"]:
        """Return which documents hold a word of the query that no row of the index has."""
        indexed = set(self._index.known_words(text))
        new = [word for word in self._index.read(text).words if word not in indexed]
        return np.asarray(self._held(new, size).anywhere.any(axis=0))

    def permitted(self, text: str, size: int) -> Bool[np.ndarray, "m"] | None:
        """Return which documents the query's operators permit; None: it has none."""
        parsed = self._index.read(text)
        if not parsed.phrases and not parsed.excluded:
            return None
        mask, fields = np.ones(size, bool), list(self._index.weights)
        for words in parsed.phrases:
            mask &= self._having_phrase(words, fields, size)
        for words in parsed.excluded:
            mask &= ~self._having_phrase(words, fields, size)
        return mask

    def _held(self, words: Sequence[QueryWord], size: int) -> HeldWords:
        fields = self._index.weights
        naming = [field for field, weight in fields.items() if weight >= NAMING_WEIGHT]
        shape = (len(words), size)
        named, anywhere = (
            np.array([self._holding(word, some, size) for word in words], bool).reshape(shape)
            for some in (naming, list(fields))
        )
        head, code = (
            np.any(
                [np.zeros(size, bool), *(self._holding(word, [field], size) for word in words)],
                axis=0,
            )
            for field in (HEAD, CODES)
        )
        return HeldWords(named, anywhere, head, code)

    def _holding(self, word: QueryWord, fields: Sequence[str], size: int) -> Bool[np.ndarray, "m"]:
        ways = [[self._having(term, fields, size) for term in way] for way in word.ways]
        held = [np.all(terms, axis=0) for terms in ways]
        phrases = [self._having_phrase(words, fields, size) for words in word.phrases]
        return np.asarray(np.any([*held, *phrases], axis=0))

    def _having(self, term: str, fields: Sequence[str], size: int) -> Bool[np.ndarray, "m"]:
        mask = np.zeros(size, bool)
        for field, longer in product(fields, self._terms(term)):
            places = np.array(self._postings.get((field, longer), ()), np.int64) & PLACES
            mask[places[places < size]] = True
        return mask

    def _terms(self, term: str) -> list[str]:
        """Return the terms that a term stands for: itself, or all codes that begin so."""
        prefix = beginning(term)
        if prefix is None:
            return [term]
        return [code for code in tuple(self._codes) if code.startswith(prefix)]

    def _having_phrase(
        self, words: Words, fields: Sequence[str], size: int
    ) -> Bool[np.ndarray, "m"]:
        mask = np.array(np.all([self._having(word, fields, size) for word in words], axis=0))
        for place in np.flatnonzero(mask).tolist() if len(words) > 1 else ():
            texts = (self._texts[place][field] for field in fields)
            mask[place] = any(f"\n{chr(10).join(words)}\n" in text for text in texts)
        return mask

    def _form(self, form: Form, size: int) -> Float64[np.ndarray, "m"]:
        scores = np.stack([self._term(term, size) for term in form.terms])
        sums = scores.sum(axis=0)
        return np.where((scores > 0).all(axis=0), sums, 0) if form.together else sums

    def _term(self, term: str, size: int) -> Float64[np.ndarray, "m"]:
        impacts = [np.zeros(size), *(self._in_fields(one, size) for one in self._terms(term))]
        most = np.max(impacts, axis=0)
        return np.where(most > 0, self._index.rarity(term) * (most + PRESENCE), 0)

    def _in_fields(self, term: str, size: int) -> Float64[np.ndarray, "m"]:
        """Return the impact of one term in each document, before PRESENCE and its idf."""
        sums = np.zeros(size, np.float64)
        for field, weight in self._index.weights.items():
            if postings := self._postings.get((field, term)):
                places, shares = self._shares(field, np.array(postings, np.int64), size)
                sums[places] += weight * shares
        return sums

    def _shares(
        self, field: str, postings: Int64[np.ndarray, "p"], size: int
    ) -> tuple[Int64[np.ndarray, "q"], np.ndarray]:
        """Return where a term is met, and how much each meeting counts before its rarity."""
        places, times = postings & PLACES, postings >> PLACE_BITS
        places, times = places[places < size], times[places < size]
        lengths = np.array([self._lengths[field][place] for place in places.tolist()], np.float64)
        return places, saturation(times, lengths, self._index.mean_lengths[field])
