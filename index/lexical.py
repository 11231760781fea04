"""The one module that knows tantivy: words in, rows with BM25 scores out."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import tantivy
from jaxtyping import Bool, Float32, Int64

from index.exact import best
from index.types import DamagedIndex, Hits
from index.words import document_words, query_words

ANALYZER = "words"
LANGUAGES = (  # whose words tantivy cuts down to stems
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hungarian", "italian", "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish",
    "tamil", "turkish", "none",
)  # fmt: skip
MOST_TERMS = 64  # of a query; the rest is not looked at
RESTRICTED_ROWS = 5_000  # up to here the rows go into the query, above it the answer is filtered


class Segmenting(NamedTuple):
    """How texts are parted into words before tantivy sees them."""

    document: Callable[[str], str]
    query: Callable[[str], str]


SEGMENTING = {
    "spaces": Segmenting(str, str),  # of indexes from before there was another
    "bigrams": Segmenting(document_words, query_words),
}


class LexicalIndex:
    """BM25 over weighted fields, stems of one language, words in any order; no query syntax.

    Chinese, Japanese and Korean are found by pairs of characters. A query is read as the
    documents were, whatever the defaults have become.
    """

    def __init__(self, index: tantivy.Index, about: "_About") -> None:
        self._index = index
        index.register_tokenizer(ANALYZER, _analyzer(about.language))
        self._searcher = index.searcher()
        self._words = _analyzer(about.language)
        self._segmented = SEGMENTING[about.segmenting].query
        self._segmented_document = SEGMENTING[about.segmenting].document
        self._weights = about.weights
        self._num_rows = about.num_rows

    @classmethod
    def build(
        cls,
        folder: Path,
        weights: Mapping[str, float],
        documents: Iterable[Mapping[str, str]],
        language: str = "english",
    ) -> "LexicalIndex":
        """Write an index of these documents, row by row, into an empty folder.

        `language` is one of LANGUAGES; with "none" a word is found only as it is written.
        """
        analyzer = _analyzer(language)
        folder.mkdir(parents=True)
        index = tantivy.Index(_schema(weights), path=str(folder))
        index.register_tokenizer(ANALYZER, analyzer)
        writer = index.writer(heap_size=128_000_000, num_threads=1)
        row = -1
        for row, document in enumerate(documents):
            fields = {
                name: document_words(text) for name in weights if (text := document.get(name))
            }
            entry = tantivy.Document(**fields)
            entry.add_unsigned("row", row)
            writer.add_document(entry)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        about = _About(dict(weights), row + 1, language, "bigrams")
        (folder / "lexical.json").write_bytes(msgspec.json.encode(about))
        return cls(index, about)

    @classmethod
    def open(cls, folder: Path) -> "LexicalIndex":
        """Map a folder of `build` into memory; the caller has checked its checksums."""
        about = _about(folder)
        try:
            index = tantivy.Index.open(str(folder))
        except ValueError as e:
            raise DamagedIndex(f"{folder.name} is not a lexical index: {str(e)[:200]}") from None
        return cls(index, about)

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
        terms: list[str] = self._words.analyze(self._segmented_document(text))
        return terms

    def query_terms(self, text: str) -> list[str]:
        """Return the terms that a query looks for, each once."""
        return list(dict.fromkeys(self._words.analyze(self._segmented(text))))[:MOST_TERMS]

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
        """Any word in any field; the weight of a field multiplies its BM25."""
        terms = self.query_terms(text)
        parts = [
            (tantivy.Occur.Should, tantivy.Query.boost_query(self._term(field, term), weight))
            for field, weight in self._weights.items()
            for term in terms
        ]
        return tantivy.Query.boolean_query(parts) if parts else None

    def _term(self, field: str, term: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._index.schema, field, term)

    def _among(self, query: tantivy.Query, rows: Int64[np.ndarray, "c"]) -> tantivy.Query:
        inside = tantivy.Query.term_set_query(self._index.schema, "row", rows.tolist())
        free = tantivy.Query.const_score_query(inside, 0.0)
        both = [(tantivy.Occur.Must, free), (tantivy.Occur.Must, query)]
        return tantivy.Query.boolean_query(both)

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


class WordReader:
    """Reads texts into words as the index of a language does: lower case, no accents, stems."""

    def __init__(self, language: str = "english") -> None:
        self._plain, self._stemming = _analyzer("none"), _analyzer(language)

    def words(self, text: str) -> list[str]:
        """Return the words of a text in order, as they are written; pairs of CJK characters."""
        found: list[str] = self._plain.analyze(query_words(text))
        return found

    def stems(self, text: str) -> list[str]:
        """Return the stem of each word of `words`, in the same order."""
        found: list[str] = self._stemming.analyze(query_words(text))
        return found


class _About(msgspec.Struct, frozen=True):
    weights: dict[str, float]
    num_rows: int
    language: str = "english"  # as it was before it could be chosen
    segmenting: str = "spaces"


def _about(folder: Path) -> _About:
    about = msgspec.json.decode((folder / "lexical.json").read_bytes(), type=_About)
    if about.language not in LANGUAGES or about.segmenting not in SEGMENTING:
        raise DamagedIndex(
            f"{folder.name} holds words read as {about.language!r}, parted by "
            f"{about.segmenting!r}; this version reads {', '.join(LANGUAGES)} and parts by "
            f"{', '.join(SEGMENTING)}; open it with the version that built it, or build again"
        )
    return about


def _schema(fields: Iterable[str]) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", indexed=True, fast=True)
    for name in fields:
        builder.add_text_field(name, tokenizer_name=ANALYZER, index_option="freq")
    return builder.build()


def _analyzer(language: str) -> tantivy.TextAnalyzer:
    """Accents go before stems do, so that a word means the same with and without them."""
    if language not in LANGUAGES:
        raise ValueError(f"unknown language {language!r}; choose one of {', '.join(LANGUAGES)}")
    builder = (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(64))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
    )
    if language != "none":
        builder = builder.filter(tantivy.Filter.stemmer(language))
    return builder.build()
