"""Query completion: searches that begin as the text that is being typed."""

from index import Completions, LexicalIndex, WordReader
from index.columns.bounded_cache import BoundedCache

MOST = 16_384  # completions that are kept, for all threads; they change with the release alone
MOST_BYTES = 8_000_000
SECONDS = 3_600.0


class Completion:
    """Completes from the phrases and past searches of a release, then from its words."""

    def __init__(self, completions: Completions | None, words: LexicalIndex, language: str) -> None:
        """Read texts as the words of `language` are read; None: a release without phrases."""
        self._completions = completions
        self._words = words
        self._reader = WordReader(language)
        self._cached: BoundedCache[tuple[str, ...]] = BoundedCache(MOST, MOST_BYTES, SECONDS)

    def complete(self, text: str, k: int) -> list[str]:
        """Return at most `k` searches that begin as this one does, the likeliest first.

        Phrases and past searches come first, then words that products have beside those before
        the last one. Each comes once, as products or shoppers write it.
        """
        key = self._key(text) + " " * text[-1:].isspace()
        if not key.strip():
            return []
        return list(self._cached.of((key, k), lambda: self._completed(key, k), _bytes_of))

    def _completed(self, key: str, k: int) -> tuple[str, ...]:
        phrases = self._phrases(key, k + 1)
        if len(phrases) < k and not key.endswith(" "):
            phrases += self._with_last_word(key, k)
        once = {self._key(phrase): phrase for phrase in reversed(phrases)}  # the first as written
        ordered = dict.fromkeys(self._key(phrase) for phrase in phrases)
        return tuple(once[other] for other in ordered if other != key.strip())[:k]

    def _phrases(self, key: str, k: int) -> list[str]:
        return [] if self._completions is None else list(self._completions.starting_with(key, k))

    def _with_last_word(self, key: str, k: int) -> list[str]:
        before, _, last = key.rpartition(" ")
        return [f"{before} {word}".strip() for word in self._words.last_words(before, last, k)]

    def _key(self, text: str) -> str:
        return " ".join(self._reader.folded(text))


def _bytes_of(completions: tuple[str, ...]) -> int:
    """Return about how many bytes completions and their key take."""
    return 200 + sum(100 + 4 * len(text) for text in completions)
