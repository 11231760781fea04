"""A small in-memory BM25 index that uses the statistics of the main index.

So the scores of both are comparable.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Float64, Int64

from index.words.lexical_index import LexicalIndex
from index.words.query_reading import Form

K1, B = 1.2, 0.75  # as tantivy's BM25
PLACE_BITS = 32


class DeltaIndex:
    """BM25 of a few documents, by the statistics of the main index.

    A sum over fields and terms of `weight * idf * (k1 + 1) * tf / (tf + k1 * (1 - b + b * length
    / mean length))`, `idf = log(1 + (N - n + 0.5) / (n + 0.5))`: Robertson and Zaragoza, The
    Probabilistic Relevance Framework (2009), as tantivy has it. One thread adds documents, any may
    search.
    """

    def __init__(self, index: LexicalIndex) -> None:
        self._index = index
        self._means = {field: index.mean_length(field) for field in index.weights}
        self._postings: dict[tuple[str, str], list[int]] = {}  # times met, and where
        self._lengths: dict[str, list[int]] = {field: [] for field in index.weights}
        self._size = 0

    @property
    def size(self) -> int:
        """How many documents there are; their places run from 0."""
        return self._size

    def add(self, document: Mapping[str, str]) -> int:
        """Add a document, text by field, and return its place."""
        place = self._size
        terms = {f: self._index.document_terms(document.get(f, "")) for f in self._lengths}
        for field, of_field in terms.items():
            self._lengths[field].append(len(of_field))
            for term in set(of_field):
                times = of_field.count(term)
                self._postings.setdefault((field, term), []).append(times << PLACE_BITS | place)
        self._size += 1
        return place

    def scores(self, text: str, size: int) -> Float32[np.ndarray, "m"]:
        """Return BM25 of the first `size` documents; 0 where no word is shared."""
        sums = np.zeros(size, np.float64)
        for term in self._index.read(text).terms:
            forms = [form.factor * self._form(form, size) for form in term.forms]
            sums += np.max(forms, axis=0)  # the best of them, as the index has it
        return sums.astype(np.float32)

    def _form(self, form: Form, size: int) -> Float64[np.ndarray, "m"]:
        scores = np.stack([self._term(term, size) for term in form.terms])
        sums = scores.sum(axis=0)
        return np.where((scores > 0).all(axis=0), sums, 0) if form.together else sums

    def _term(self, term: str, size: int) -> Float64[np.ndarray, "m"]:
        sums = np.zeros(size, np.float64)
        for field, weight in self._index.weights.items():
            if postings := self._postings.get((field, term)):
                places, shares = self._shares(field, np.array(postings, np.int64), size)
                sums[places] += weight * self._rarity(field, term) * shares
        return sums

    def _shares(
        self, field: str, postings: Int64[np.ndarray, "p"], size: int
    ) -> tuple[Int64[np.ndarray, "q"], np.ndarray]:
        """Return where a term is met, and how much each meeting counts before its rarity."""
        places, times = postings & ((1 << PLACE_BITS) - 1), postings >> PLACE_BITS
        places, times = places[places < size], times[places < size]
        lengths = np.array([self._lengths[field][place] for place in places.tolist()], np.float64)
        mean = self._means[field] or 1.0
        return places, (K1 + 1) * times / (times + K1 * (1 - B + B * lengths / mean))

    def _rarity(self, field: str, term: str) -> float:
        """Return the idf of a term; one that the main index lacks is as rare as if it had one."""
        rows = max(self._index.frequency(field, term), 1)
        return float(np.log(1 + (max(self._index.size - rows, 0) + 0.5) / (rows + 0.5)))
