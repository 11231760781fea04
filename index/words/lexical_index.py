"""A lexical index: finds and scores the rows whose texts share words with a query, by BM25."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tantivy
from jaxtyping import Bool, Float32, Float64, Int64

from index.top_k import best
from index.types import Hits
from index.words import lexical_files
from index.words.completions import WordCompleter
from index.words.lexical_files import USUAL, LexicalFiles, QueryRelaxation
from index.words.queries.compounds import Compounds
from index.words.queries.parsed_query import QueryWord
from index.words.queries.query_reading import QueryReader
from index.words.queries.spelling import SpellingCorrector
from index.words.queries.synonyms import Synonyms, read_rules
from index.words.queries.term_queries import (
    TermQueries,
    all_of,
    any_of,
)
from index.words.queries.word_matches import (
    WORDS_AT_ONCE,
    HeldWords,
    WordMatches,
    flagging_query,
    held_words,
    joined,
)
from index.words.rarity import rarity
from index.words.terms.analysis import analysis_of, query_terms
from index.words.terms.codes import FIELD as CODES
from index.words.terms.pieces import Words

RESTRICTED_ROWS = 5_000  # up to here the rows go into the query, above it the answer is filtered


class LexicalIndex:
    """BM25 over weighted fields, stems of one language, words in any order; no query syntax.

    A word that no document has is read as one that is nearly it, at a discount; a word of the
    synonyms stands for the others, and the best of them counts. Chinese, Japanese and Korean are
    found by pairs of characters. A query is read as the documents were, whatever the defaults
    have become.
    """

    def __init__(self, files: LexicalFiles) -> None:
        settings = files.settings
        self._searcher = files.index.searcher()
        self._queries = TermQueries(
            files.index.schema, self._searcher, settings.weights, positions=settings.positions
        )
        self._analysis = analysis_of(settings.language, settings.segmenting)
        self._weights = settings.weights
        self._num_rows = settings.num_rows
        self._completer = WordCompleter(files.vocabulary, self._query_terms, self._rows_with)
        self.read = self._reader(files).read

    @classmethod
    def build(
        cls,
        folder: Path,
        weights: Mapping[str, float],
        documents: Iterable[Mapping[str, str]],
        language: str = "english",
        relaxation: QueryRelaxation = USUAL,
    ) -> "LexicalIndex":
        """Write an index of these documents, row by row, into an empty folder, and open it.

        `language` is one of LANGUAGES; with "none" a word is found only as it is written. The
        synonyms are copied; SynonymError where they cannot be read.
        """
        lexical_files.write(folder, weights, documents, language, relaxation)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> "LexicalIndex":
        """Map a folder of `build` into memory; the caller has checked its checksums."""
        return cls(lexical_files.read(folder))

    def search(self, text: str, k: int, allowed: Bool[np.ndarray, "n"] | None = None) -> Hits:
        """Return at most `k` rows that share a word with `text`, ties by the lower row."""
        query = self._queries.of(self.read(text))
        if query is None or k == 0 or (allowed is not None and not allowed.any()):
            return Hits(np.empty(0, np.int64), np.empty(0, np.float32))
        if allowed is None:
            return best(*self._run(query, k + 100), k)
        rows = np.flatnonzero(allowed)
        if len(rows) <= RESTRICTED_ROWS:
            return best(*self._run(self._queries.among(query, rows), len(rows)), k)
        return self._filtered(query, allowed, k)

    def last_words(self, before: str, prefix: str, k: int) -> list[str]:
        """Return words of the index that begin so, the most frequent beside `before` first."""
        return self._completer.complete(before, prefix, k)

    def score(self, text: str, rows: Int64[np.ndarray, "c"]) -> Float32[np.ndarray, "c"]:
        """Return BM25 of each row; 0 where no word is shared."""
        query = self._queries.of(self.read(text))
        if query is None or not len(rows):
            return np.zeros(len(rows), np.float32)
        return self._scores(query, rows)

    def matches(self, text: str, rows: Int64[np.ndarray, "c"]) -> WordMatches:
        """Return the share of the query's words that each row holds, weighted by idf."""
        words = self.read(text).words
        return self._held(words, rows).shares(self.rarities(words))

    def holding_all(
        self, text: str, allowed: Bool[np.ndarray, "n"] | None = None
    ) -> Int64[np.ndarray, "m"]:
        """Return, ascending, every allowed row that holds all words of the query that any row has.

        Empty if no row has any of them. Operators are obeyed.
        """
        known = self.known_words(text)
        if not known:
            return np.empty(0, np.int64)
        query = self._queries.holding_all(known)
        rows, _ = self._run(query, self._num_rows)
        mask = np.zeros(self._num_rows, bool)
        mask[rows] = True
        for condition in (allowed, self.permitted(text)):
            if condition is not None:
                mask &= condition
        return np.flatnonzero(mask)

    def known_words(self, text: str) -> tuple[QueryWord, ...]:
        """Return the words of a query that any row has."""
        return tuple(word for word in self.read(text).words if self._frequency_of(word))

    def permitted(self, text: str) -> Bool[np.ndarray, "n"] | None:
        """Return which rows the operators (`-oat`, `"rye bread"`) permit; None: there are none."""
        query = self._queries.permitted(self.read(text))
        if query is None:
            return None
        mask = np.zeros(self._num_rows, bool)
        mask[self._run(query, self._num_rows)[0]] = True
        return mask

    def rarities(self, words: Sequence[QueryWord]) -> Float64[np.ndarray, "w"]:
        """Return the idf of each word, by the most frequent of the ways to say it."""
        rows = [self._frequency_of(word) for word in words]
        return np.array([rarity(n, self._num_rows) for n in rows], np.float64)

    def rarity(self, term: str) -> float:
        """Return the idf of a term; one that no row has is as rare as if one had it."""
        return rarity(max(self._queries.most_rows(term), 1), self._num_rows)

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each field."""
        return self._weights

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self._num_rows

    def document_terms(self, field: str, text: str) -> list[str]:
        """Return the terms that a field with this text would be found by, each as often as met."""
        return self._analysis.document_terms(field, text)

    def frequency(self, field: str, term: str) -> int:
        """Return how many rows have a term in a field."""
        return int(self._searcher.doc_freq(field, term))

    def mean_length(self, field: str) -> float:
        """Return how many terms a field has on average, as BM25 here counts it.

        tantivy tells it only where it explains a score, so the most frequent term is asked for.
        """
        for term, _ in self._searcher.terms_with_prefix(field, "", limit=1):
            query = self._queries.exactly(field, term)
            [(_, address)] = self._searcher.search(query, 1, count=False).hits
            explanation = query.explain(self._searcher, address).to_json()
            return _explained(msgspec.json.decode(explanation), "avgdl")
        return 0.0

    def _reader(self, files: LexicalFiles) -> QueryReader:
        corrector = None
        if files.vocabulary is not None and files.settings.corrects:
            corrector = SpellingCorrector(files.vocabulary, self._analysis.stem, self._rows_beside)
        compounds, vocabulary = None, files.vocabulary
        if vocabulary is not None and files.settings.positions:
            compounds = Compounds(
                self._term_of,
                lambda word: vocabulary.has_form_of(word, self._analysis.stem),
                self._queries.most_rows,
                self._rows_with_phrase,
                self._num_rows,
            )
        return QueryReader(
            self._analysis,
            self._is_indexed,
            corrector,
            Synonyms(read_rules(files.synonyms), self._query_terms),
            files.settings.synonym_weight,
            compounds,
            files.lexicon,
            codes=CODES in self._weights,
        )

    def _query_terms(self, text: str) -> Words:
        return query_terms(self._analysis, text)

    def _term_of(self, word: str) -> str:
        """Return the term of a word of a document, which may be a measure such as 18v."""
        tokens = self._analysis.tokens(word)
        return tokens[0].term if len(tokens) == 1 else self._analysis.stem(word)

    def _rows_with_phrase(self, terms: Words) -> int:
        """Return how many rows have these terms one after the other."""
        return self._count(self._queries.phrase(terms))

    def _scores(
        self, query: tantivy.Query, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"]:
        """Return the score of each row; 0 where it does not match."""
        scores = np.zeros(self._num_rows, np.float32)
        few = len(rows) <= RESTRICTED_ROWS
        restricted = self._queries.among(query, rows) if few else query
        matches, values = self._run(restricted, len(rows) if few else self._num_rows)
        scores[matches] = values
        return np.asarray(scores[rows])

    def _held(self, words: Sequence[QueryWord], rows: Int64[np.ndarray, "c"]) -> HeldWords:
        if not len(rows):
            return HeldWords.none(len(words), 0)
        parts = [HeldWords.none(0, len(rows))]
        for start in range(0, len(words), WORDS_AT_ONCE):
            some = words[start : start + WORDS_AT_ONCE]
            sums = self._scores(flagging_query(some, self._queries), rows)
            parts.append(held_words(sums, len(some)))
        return joined(parts)

    def _frequency_of(self, word: QueryWord) -> int:
        ways = (*word.ways, *word.phrases)
        return max(min(map(self._queries.most_rows, way)) for way in ways)

    def _is_indexed(self, term: str) -> bool:
        return any(self.frequency(field, term) > 0 for field in self._weights)

    def _rows_with(self, terms: Words) -> int:
        """Return how many rows have all of these terms."""
        return self._count(all_of(map(self._queries.anywhere, terms)))

    def _rows_beside(self, term: str, others: Words) -> int:
        """Return how many rows have a term and any of the others."""
        beside = any_of(map(self._queries.anywhere, others))
        return self._count(all_of([self._queries.anywhere(term), beside]))

    def _count(self, query: tantivy.Query) -> int:
        return int(self._searcher.search(query, 1, count=True).count or 0)

    def _filtered(self, query: tantivy.Query, allowed: Bool[np.ndarray, "n"], k: int) -> Hits:
        """Return the best allowed rows, fetching deeper until there are enough of them."""
        depth = int((k + 100) / allowed.mean())
        while True:
            rows, scores = self._run(query, min(depth, self._num_rows))
            keep = allowed[rows]
            if keep.sum() >= k or len(rows) < depth:
                return best(rows[keep], scores[keep], k)
            depth *= 4

    def _run(
        self, query: tantivy.Query, limit: int
    ) -> tuple[Int64[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
        hits = self._searcher.search(query, max(limit, 1), count=False).hits
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        scores = np.fromiter((score for score, _ in hits), np.float32, len(hits))
        return np.asarray(rows, np.int64), scores


def _explained(explanation: Mapping[str, Any], name: str) -> float:
    """Return the number that an explanation of a score gives by this name; 0 if it has none."""
    if str(explanation["description"]).startswith(name):
        return float(explanation["value"])
    return max((_explained(part, name) for part in explanation.get("details", ())), default=0.0)
