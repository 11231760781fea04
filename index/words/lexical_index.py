"""A lexical index: finds and scores the rows whose texts share words with a query, by BM25."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from index.top_k import best
from index.types import Hits
from index.words import lexical_files
from index.words.completions import WordCompleter
from index.words.lexical_files import USUAL, LexicalFiles, QueryRelaxation
from index.words.postings import Postings
from index.words.queries.compounds import Compounds
from index.words.queries.parsed_query import ParsedQuery, QueryWord
from index.words.queries.phrases import PhraseFinder
from index.words.queries.query_reading import QueryReader
from index.words.queries.scoring import row_scores
from index.words.queries.spelling import SpellingCorrector
from index.words.queries.synonyms import Synonyms, read_rules
from index.words.queries.word_matches import WordHolders, WordMatches
from index.words.rarity import rarity
from index.words.terms.analysis import Analysis, query_terms
from index.words.terms.codes import FIELD as CODES
from index.words.terms.pieces import Words

HEAD_WEIGHT = 1.5  # of the word that says what is looked for, against one beside it


class LexicalIndex:
    """BM25 over weighted fields, stems of one language, words in any order.

    A word that no document has is read as one that is nearly it, at a discount; a word of the
    synonyms stands for the others, and the best of them counts. Chinese, Japanese and Korean are
    found by pairs of characters. A query is read as the documents were, whatever the defaults
    have become.
    """

    def __init__(self, files: LexicalFiles) -> None:
        settings = files.settings
        self._postings = Postings.open(files.folder, settings.num_rows)
        self._phrases = PhraseFinder(files.index, settings.weights, self._postings)
        self._holders = WordHolders(self._postings, self._phrases)
        self._analysis = Analysis(settings.language)
        self._settings = settings
        self._completer = WordCompleter(files.vocabulary, self._query_terms, self._rows_with)
        self.read = self._reader(files).read
        self._last: tuple[str, Float32[np.ndarray, n]] | None = None

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
        scores = self._scores(text)
        if allowed is not None:
            scores = scores * allowed
        rows = np.flatnonzero(scores != 0)  # of bools it is ten times faster than of floats
        return best(rows, scores[rows], k)

    def last_words(self, before: str, prefix: str, k: int) -> list[str]:
        """Return words of the index that begin so, the most frequent beside `before` first."""
        return self._completer.complete(before, prefix, k)

    def score(self, text: str, rows: Int64[np.ndarray, "c"]) -> Float32[np.ndarray, "c"]:
        """Return BM25 of each row; 0 where no word is shared."""
        return np.asarray(self._scores(text)[rows])

    def matches(self, text: str, rows: Int64[np.ndarray, "c"]) -> WordMatches:
        """Return the share of the query's words that each row holds, weighted by `word_weights`."""
        parsed = self.read(text)
        held = self._holders.among(parsed.words, rows.astype(np.int32))
        return held.shares(self.word_weights(parsed))

    def holding_all(
        self, text: str, allowed: Bool[np.ndarray, "n"] | None = None
    ) -> Int64[np.ndarray, "m"]:
        """Return, ascending, every allowed row that holds all words of the query that any row has.

        Empty if no row has any of them. Operators are obeyed.
        """
        known = self.known_words(text)
        if not known:
            return np.empty(0, np.int64)
        mask = self._holders.holding_all(known)
        for condition in (allowed, self.permitted(text)):
            if condition is not None:
                mask &= condition
        return np.flatnonzero(mask)

    def known_words(self, text: str) -> tuple[QueryWord, ...]:
        """Return the words of a query that any row has."""
        return tuple(word for word in self.read(text).words if self._frequency_of(word))

    def permitted(self, text: str) -> Bool[np.ndarray, "n"] | None:
        """Return which rows the operators (`-oat`, `"rye bread"`) permit; None: there are none."""
        parsed = self.read(text)
        if not parsed.phrases and not parsed.excluded:
            return None
        mask = np.ones(self.size, bool)
        for words in parsed.phrases:
            mask &= np.isin(np.arange(self.size), self._phrases.of(words).rows)
        for words in parsed.excluded:
            mask[self._phrases.of(words).rows] = False
        return mask

    def word_weights(self, parsed: ParsedQuery) -> Float64[np.ndarray, "w"]:
        """Return how much each word of a query weighs: its idf, the head HEAD_WEIGHT times that.

        The idf is by the most frequent of the ways to say a word. The head says what is looked for:
        `lemon cookies` are cookies, however rare lemons are.
        """
        rows = [self._frequency_of(word) for word in parsed.words]
        rarities = np.array([rarity(n, self.size) for n in rows], np.float64)
        heads = [word.ways[0][0] in parsed.head for word in parsed.words]
        return np.where(heads, HEAD_WEIGHT, 1.0) * rarities

    def rarity(self, term: str) -> float:
        """Return the idf of a term; one that no row has is as rare as if one had it."""
        return self._postings.rarity(term)

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each field."""
        return self._settings.weights

    @property
    def mean_lengths(self) -> Mapping[str, float]:
        """How many terms each field has on average."""
        return self._settings.mean_lengths

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self._settings.num_rows

    def document_terms(self, field: str, text: str) -> list[str]:
        """Return the terms that a field with this text would be found by, each as often as met."""
        return self._analysis.document(field, text).terms

    def _reader(self, files: LexicalFiles) -> QueryReader:
        corrector, vocabulary = None, files.vocabulary
        if files.settings.corrects:
            corrector = SpellingCorrector(vocabulary, self._analysis.stem, self._rows_beside)
        compounds = Compounds(
            self._term_of,
            lambda word: vocabulary.has_form_of(word, self._analysis.stem),
            self._postings.most_rows,
            self._rows_with_phrase,
            self.size,
        )
        return QueryReader(
            self._analysis,
            self._is_indexed,
            corrector,
            Synonyms(read_rules(files.synonyms), self._query_terms),
            files.settings.synonym_weight,
            compounds,
            files.lexicon,
            codes=CODES in self.weights,
        )

    def _scores(self, text: str) -> Float32[np.ndarray, "n"]:
        """Return the score of every row under the query's operators.

        Those of the last query are kept, because a request asks for them twice.
        """
        last = self._last
        if last is None or last[0] != text:
            last = self._last = text, self._scored(text)
        return last[1]

    def _scored(self, text: str) -> Float32[np.ndarray, "n"]:
        scores, permitted = row_scores(self.read(text), self._postings), self.permitted(text)
        if permitted is not None:
            scores *= permitted
        return scores

    def _query_terms(self, text: str) -> Words:
        return query_terms(self._analysis, text)

    def _term_of(self, word: str) -> str:
        """Return the term of a word of a document, which may be a measure such as 18v."""
        tokens = self._analysis.tokens(word)
        return tokens[0].term if len(tokens) == 1 else self._analysis.stem(word)

    def _rows_with_phrase(self, terms: Words) -> int:
        """Return how many rows have these terms one after the other."""
        return len(self._phrases.of(terms).rows)

    def _frequency_of(self, word: QueryWord) -> int:
        ways = (*word.ways, *word.phrases)
        return max(min(map(self._postings.most_rows, way)) for way in ways)

    def _is_indexed(self, term: str) -> bool:
        return self._postings.most_rows(term) > 0

    def _rows_with(self, terms: Words) -> int:
        """Return how many rows have all of these terms."""
        return len(self._holders.with_all(terms)) if terms else 0

    def _rows_beside(self, term: str, others: Words) -> int:
        """Return how many rows have a term and any of the others."""
        beside = [self._postings.of(other).rows for other in others]
        rows = self._postings.of(term).rows
        return len(np.intersect1d(rows, np.concatenate(beside))) if beside else 0
