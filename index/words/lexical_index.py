"""The one module that knows tantivy: words in, rows with BM25 scores out."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import tantivy
from jaxtyping import Bool, Float32, Int64

from index.errors import DamagedIndex
from index.top_k import best
from index.types import Hits
from index.words.analysis import LANGUAGES, _analyzer
from index.words.query_reading import Correction, Form, ParsedQuery, QueryTerm, read
from index.words.segmentation import document_words, query_words
from index.words.synonyms import Synonyms, Words, read_rules
from index.words.vocabulary import SpellingCandidate, Vocabulary, WordCounts

ANALYZER = "words"
REMEMBERED = 1_024  # queries as they were read
NEAREST = 8  # known words that a misspelt one is taken for; the likeliest is
EDIT_COSTS = 4.0  # in the logarithm of the rows that have a word
BESIDE_COUNTS = 1.0  # of the rows that have it beside another word of the query, likewise
SYNONYMS = "synonyms.txt"
MOST_TRIED = 12  # words that may end a query, beside the words before
MOST_BESIDE = 4  # of those words
RESTRICTED_ROWS = 5_000  # up to here the rows go into the query, above it the answer is filtered


class Segmentation(NamedTuple):
    """How texts are parted into words before tantivy sees them."""

    document: Callable[[str], str]
    query: Callable[[str], str]


SEGMENTING = {
    "spaces": Segmentation(str, str),  # of indexes from before there was another
    "bigrams": Segmentation(document_words, query_words),
}


class QueryRelaxation(NamedTuple):
    """How far a word may be from what a document says."""

    corrects: bool = True  # a word that nobody has is taken for one that is nearly it
    synonyms: bytes = b""  # a file of them
    synonym_weight: float = 0.8  # of a synonym beside the word that was asked


USUAL = QueryRelaxation()


class LexicalIndex:
    """BM25 over weighted fields, stems of one language, words in any order; no query syntax.

    A word that no document has is read as one that is nearly it, at a discount; a word of the
    synonyms stands for the others, and the best of them counts. Chinese, Japanese and Korean are
    found by pairs of characters. A query is read as the documents were, whatever the defaults
    have become.
    """

    def __init__(
        self, index: tantivy.Index, about: "_About", vocabulary: Vocabulary | None, synonyms: bytes
    ) -> None:
        self._index = index
        index.register_tokenizer(ANALYZER, _analyzer(about.language))
        self._searcher = index.searcher()
        self._stems = _analyzer(about.language)
        self._plain = _analyzer("none")
        self._segmented = SEGMENTING[about.segmenting].query
        self._segmented_document = SEGMENTING[about.segmenting].document
        self._weights = about.weights
        self._num_rows = about.num_rows
        self._vocabulary = vocabulary
        self._corrects = about.corrects
        self._synonym_weight = about.synonym_weight
        self._synonyms = Synonyms(read_rules(synonyms), self._terms)
        self.read = lru_cache(REMEMBERED)(self._read)

    @classmethod
    def build(
        cls,
        folder: Path,
        weights: Mapping[str, float],
        documents: Iterable[Mapping[str, str]],
        language: str = "english",
        lenience: QueryRelaxation = USUAL,
    ) -> "LexicalIndex":
        """Write an index of these documents, row by row, into an empty folder.

        `language` is one of LANGUAGES; with "none" a word is found only as it is written. The
        synonyms are copied; SynonymError where they cannot be read.
        """
        analyzer, plain = _analyzer(language), _analyzer("none")
        check_synonyms(lenience.synonyms, language)
        folder.mkdir(parents=True)
        index = tantivy.Index(_schema(weights), path=str(folder))
        index.register_tokenizer(ANALYZER, analyzer)
        writer = index.writer(heap_size=128_000_000, num_threads=1)
        counted = WordCounts()
        row = -1
        for row, document in enumerate(documents):
            fields = {
                name: document_words(text) for name in weights if (text := document.get(name))
            }
            counted.add(plain.analyze(" ".join(fields.values())))
            entry = tantivy.Document(**fields)
            entry.add_unsigned("row", row)
            writer.add_document(entry)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        vocabulary = Vocabulary.of(counted.counts)
        vocabulary.save(folder)
        about = _About(
            dict(weights), row + 1, language, "bigrams", lenience.corrects, lenience.synonym_weight
        )
        (folder / "lexical.json").write_bytes(msgspec.json.encode(about))
        if lenience.synonyms:
            (folder / SYNONYMS).write_bytes(lenience.synonyms)
        return cls(index, about, vocabulary, lenience.synonyms)

    @classmethod
    def open(cls, folder: Path) -> "LexicalIndex":
        """Map a folder of `build` into memory; the caller has checked its checksums."""
        about = _about(folder)
        try:
            index = tantivy.Index.open(str(folder))
        except ValueError as e:
            raise DamagedIndex(f"{folder.name} is not a lexical index: {str(e)[:200]}") from None
        synonyms = folder / SYNONYMS
        return cls(
            index,
            about,
            Vocabulary.open(folder) if (folder / "words_rows.npy").exists() else None,
            synonyms.read_bytes() if synonyms.exists() else b"",
        )

    def search(self, text: str, k: int, allowed: Bool[np.ndarray, "n"] | None = None) -> Hits:
        """Return at most `k` rows that share a word with `text`, ties by the lower row."""
        query = self._query(text)
        if query is None or k == 0 or (allowed is not None and not allowed.any()):
            return Hits(np.empty(0, np.int64), np.empty(0, np.float32))
        if allowed is None:
            return best(*self._run(query, k + 100), k)
        rows = np.flatnonzero(allowed)
        if len(rows) <= RESTRICTED_ROWS:
            return best(*self._run(self._among(query, rows), len(rows)), k)
        return self._filtered(query, allowed, k)

    def last_words(self, before: str, prefix: str, k: int) -> list[str]:
        """Return known words that begin so, those first which most rows have beside `before`.

        Looked at are the MOST_TRIED that most rows have at all; `before` may be empty.
        """
        if self._vocabulary is None:
            return []
        if not before.strip():
            return self._vocabulary.starting_with(prefix, k)
        words = self._vocabulary.starting_with(prefix, MOST_TRIED)
        others = [self._anywhere(term) for term in self._terms(before)[:MOST_BESIDE]]
        counts = [self._count(_all([*others, *map(self._anywhere, self._terms(w))])) for w in words]
        best = sorted(range(len(words)), key=lambda place: -counts[place])
        return [words[place] for place in best if counts[place]][:k]

    def score(self, text: str, rows: Int64[np.ndarray, "c"]) -> Float32[np.ndarray, "c"]:
        """Return BM25 of each row; 0 where no word is shared."""
        query = self._query(text)
        scores = np.zeros(self._num_rows, np.float32)
        if query is not None and len(rows):
            few = len(rows) <= RESTRICTED_ROWS
            asked = self._among(query, rows) if few else query
            found, values = self._run(asked, len(rows) if few else self._num_rows)
            scores[found] = values
        return np.asarray(scores[rows])

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each field."""
        return self._weights

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self._num_rows

    def document_terms(self, text: str) -> list[str]:
        """Return the terms that a field with this text would be found by, each as often as met."""
        terms: list[str] = self._stems.analyze(self._segmented_document(text))
        return terms

    def frequency(self, field: str, term: str) -> int:
        """Return how many rows have a term in a field."""
        return int(self._searcher.doc_freq(field, term))

    def mean_length(self, field: str) -> float:
        """Return how many terms a field has on average, as BM25 here counts it.

        tantivy tells it only where it explains a score, so the most frequent term is asked for.
        """
        for term, _ in self._searcher.terms_with_prefix(field, "", limit=1):
            query = self._term(field, term)
            [(_, address)] = self._searcher.search(query, 1, count=False).hits
            told = msgspec.json.decode(query.explain(self._searcher, address).to_json())
            return _told(told, "avgdl")
        return 0.0

    def _query(self, text: str) -> tantivy.Query | None:
        """Anything wanted in any field; the weight of a field multiplies its BM25."""
        wanted = self.read(text).wanted
        plain = [one.forms[0].terms[0] for one in wanted if one.plain]
        parts = [self._weighted(field, term) for field in self._weights for term in plain]
        parts += [self._best(one) for one in wanted if not one.plain]
        return _any(parts) if parts else None

    def _best(self, wanted: QueryTerm) -> tantivy.Query:
        """The best of several forms, not their sum: a disjunction max."""
        forms = [tantivy.Query.boost_query(self._form(form), form.factor) for form in wanted.forms]
        return forms[0] if len(forms) == 1 else tantivy.Query.disjunction_max_query(forms)

    def _form(self, form: Form) -> tantivy.Query:
        terms = [self._anywhere(term) for term in form.terms]
        return _all(terms) if form.together else _any(terms)

    def _anywhere(self, term: str) -> tantivy.Query:
        return _any([self._weighted(field, term) for field in self._weights])

    def _weighted(self, field: str, term: str) -> tantivy.Query:
        return tantivy.Query.boost_query(self._term(field, term), self._weights[field])

    def _term(self, field: str, term: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._index.schema, field, term)

    def _read(self, text: str) -> ParsedQuery:
        """Return what a query looks for, and which of its words were not taken as written."""
        segmented = self._segmented(text)
        words, terms = self._plain.analyze(segmented), self._stems.analyze(segmented)
        weight = self._synonym_weight
        return read(words, terms, self._is_known, self._correction, self._synonyms, weight)

    def _terms(self, text: str) -> Words:
        return _read_by(self._stems, self._segmented(text))

    def _is_known(self, term: str) -> bool:
        return any(self._searcher.doc_freq(field, term) > 0 for field in self._weights)

    def _correction(self, word: str, beside: Words) -> Correction | None:
        """Return the likeliest of the known words that are nearly this one.

        Likelier is what more rows have, also beside another word of the query, with fewer edits.
        """
        if self._vocabulary is None or not self._corrects:
            return None
        near = self._vocabulary.near(word, NEAREST)
        if not near:
            return None
        terms = {one: (self._stems.analyze(one.word) or [one.word])[0] for one in near}
        likeliest = near[0]
        if len(near) > 1:
            likeliest = max(near, key=lambda one: self._likelihood(one, terms[one], beside))
        return Correction(likeliest.word, terms[likeliest], likeliest.edits)

    def _likelihood(self, near: SpellingCandidate, term: str, beside: Words) -> float:
        others = [self._anywhere(other) for other in beside[:NEAREST]]
        rows = self._count(_all([self._anywhere(term), _any(others)])) if others else 0
        return math.log1p(near.rows) + BESIDE_COUNTS * math.log1p(rows) - EDIT_COSTS * near.edits

    def _count(self, query: tantivy.Query) -> int:
        return int(self._searcher.search(query, 1, count=True).count or 0)

    def _among(self, query: tantivy.Query, rows: Int64[np.ndarray, "c"]) -> tantivy.Query:
        inside = tantivy.Query.term_set_query(self._index.schema, "row", rows.tolist())
        free = tantivy.Query.const_score_query(inside, 0.0)
        return _all([free, query])

    def _filtered(self, query: tantivy.Query, allowed: Bool[np.ndarray, "n"], k: int) -> Hits:
        """Look deeper until enough of what is found is allowed."""
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


def _told(explained: Mapping[str, Any], name: str) -> float:
    """Return the number that an explanation calls so; 0 where it does not."""
    if str(explained["description"]).startswith(name):
        return float(explained["value"])
    return max((_told(part, name) for part in explained.get("details", ())), default=0.0)


def check_synonyms(content: bytes, language: str) -> None:
    """Raise SynonymError where a file of synonyms cannot be read in a language."""
    analyzer = _analyzer(language)
    Synonyms(read_rules(content), lambda text: _read_by(analyzer, query_words(text)))


class _About(msgspec.Struct, frozen=True):
    weights: dict[str, float]
    num_rows: int
    language: str = "english"  # as it was before it could be chosen
    segmenting: str = "spaces"
    corrects: bool = False  # as it was before there was a vocabulary
    synonym_weight: float = 1.0


def _about(folder: Path) -> _About:
    about = msgspec.json.decode((folder / "lexical.json").read_bytes(), type=_About)
    if about.language not in LANGUAGES or about.segmenting not in SEGMENTING:
        raise DamagedIndex(
            f"{folder.name} holds words read as {about.language!r}, parted by "
            f"{about.segmenting!r}; this version reads {', '.join(LANGUAGES)} and parts by "
            f"{', '.join(SEGMENTING)}; open it with the version that built it, or build again"
        )
    return about


def _any(queries: Iterable[tantivy.Query]) -> tantivy.Query:
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])


def _all(queries: Iterable[tantivy.Query]) -> tantivy.Query:
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in queries])


def _read_by(analyzer: tantivy.TextAnalyzer, text: str) -> Words:
    return tuple(analyzer.analyze(text))


def _schema(fields: Iterable[str]) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", indexed=True, fast=True)
    for name in fields:
        builder.add_text_field(name, tokenizer_name=ANALYZER, index_option="freq")
    return builder.build()
