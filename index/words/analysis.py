"""Text analysis: splits texts into words and reduces them to stems, by language."""

import unicodedata

import tantivy

from index.words.segmentation import SEGMENTATIONS, query_words

LANGUAGES = (  # languages for which tantivy has a stemmer
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hungarian", "italian", "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish",
    "tamil", "turkish", "none",
)  # fmt: skip


Words = tuple[str, ...]


class TextAnalysis:
    """The analysis of one index: how it splits documents and queries, and how it stems words."""

    def __init__(self, language: str, segmentation: str) -> None:
        self._segmentation = SEGMENTATIONS[segmentation]
        self._plain, self._stemming = analyzer("none"), analyzer(language)

    def words_and_terms(self, query: str) -> tuple[Words, Words]:
        """Return the words of a query as they are written, and the term of each."""
        segmented = self._segmentation.query(query)
        return tuple(self._plain.analyze(segmented)), tuple(self._stemming.analyze(segmented))

    def query_terms(self, query: str) -> Words:
        """Return the terms that a query is looked up by."""
        return tuple(self._stemming.analyze(self._segmentation.query(query)))

    def document_terms(self, text: str) -> list[str]:
        """Return the terms that a document with this text is found by, each as often as met."""
        terms: list[str] = self._stemming.analyze(self._segmentation.document(text))
        return terms

    def stem(self, word: str) -> str:
        """Return the term of one word; the word itself if the analysis leaves nothing of it."""
        terms: list[str] = self._stemming.analyze(word)
        return terms[0] if terms else word


class WordReader:
    """Splits texts into words as the index of a language does: lower case, no accents, stems."""

    def __init__(self, language: str = "english") -> None:
        self._plain, self._stemming = analyzer("none"), analyzer(language)
        self._content_words = _without_stop_words(language)

    def words(self, text: str) -> list[str]:
        """Return the words of a text in order, as they are written; pairs of CJK characters."""
        words: list[str] = self._plain.analyze(query_words(text))
        return words

    def folded(self, text: str) -> list[str]:
        """Return the words of a text as `words` does, runs of CJK characters in one piece."""
        words: list[str] = self._plain.analyze(unicodedata.normalize("NFKC", text))
        return words

    def is_filler(self, word: str) -> bool:
        """Tell whether a word is a stop word, such as `with`, or no word at all."""
        return not self._content_words.analyze(word)

    def stems(self, text: str) -> list[str]:
        """Return the stem of each word of `words`, in the same order."""
        stems: list[str] = self._stemming.analyze(query_words(text))
        return stems


def _without_stop_words(language: str) -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.lowercase())
    if language != "none":
        builder = builder.filter(tantivy.Filter.stopword(language))
    return builder.build()


def analyzer(language: str) -> tantivy.TextAnalyzer:
    """Return tantivy's analyzer of a language; ValueError if it has none.

    It drops accents before it stems, so that a word has one term with and without them.
    """
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
