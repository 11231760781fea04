"""How a text becomes words and stems in each language."""

import unicodedata

import tantivy

from index.words.segmentation import query_words

LANGUAGES = (  # whose words tantivy cuts down to stems
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hungarian", "italian", "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish",
    "tamil", "turkish", "none",
)  # fmt: skip


class WordReader:
    """Reads texts into words as the index of a language does: lower case, no accents, stems."""

    def __init__(self, language: str = "english") -> None:
        self._plain, self._stemming = _analyzer("none"), _analyzer(language)
        self._telling = _telling(language)

    def words(self, text: str) -> list[str]:
        """Return the words of a text in order, as they are written; pairs of CJK characters."""
        found: list[str] = self._plain.analyze(query_words(text))
        return found

    def folded(self, text: str) -> list[str]:
        """Return the words of a text as `words` does, runs of CJK characters in one piece."""
        found: list[str] = self._plain.analyze(unicodedata.normalize("NFKC", text))
        return found

    def is_filler(self, word: str) -> bool:
        """Tell whether a word says nothing by itself, such as `with`."""
        return not self._telling.analyze(word)

    def stems(self, text: str) -> list[str]:
        """Return the stem of each word of `words`, in the same order."""
        found: list[str] = self._stemming.analyze(query_words(text))
        return found


def _telling(language: str) -> tantivy.TextAnalyzer:
    """Leaves the words out that a language fills sentences with."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.lowercase())
    if language != "none":
        builder = builder.filter(tantivy.Filter.stopword(language))
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
