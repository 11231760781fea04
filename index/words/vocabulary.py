"""The vocabulary of an index: its words, their row counts, and the nearest words of a word."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, UInt8, UInt64
from rapidfuzz import process
from rapidfuzz.distance import OSA

from index.arrays import map_array, save_array
from index.words.sorted_texts import StringArray

SHORTEST, LONGEST = 3, 40  # characters of a word that is kept
MOST_WORDS = 500_000  # kept, the most frequent
MOST_COUNTED = 2_000_000  # while counting; beyond it, words met once are forgotten
MOST_COMPARED = 4_096  # letter by letter with a misspelt word, the most frequent
LONGEST_ENDING, MOST_FORMS = 2, 32  # letters in which forms of a word differ, forms looked at
ONE_EDIT_FROM, TWO_EDITS_FROM = 4, 8  # characters of a word that may be misspelt


class SpellingCandidate(NamedTuple):
    """A word of the vocabulary, its edit distance, and how many rows have it."""

    word: str
    edits: int
    rows: int


class Vocabulary:
    """The most frequent words without digits, in the order of the alphabet.

    Two arrays of lengths and of letters rule most words out before edits are counted.
    """

    def __init__(
        self,
        words: StringArray,
        rows: Int32[np.ndarray, "n"],
        lengths: UInt8[np.ndarray, "n"],
        letters: UInt64[np.ndarray, "n"],
    ) -> None:
        self._words = words
        self._rows = rows
        self._lengths = lengths
        self._letters = letters

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "Vocabulary":
        """Keep the most frequent words, ties by the alphabet."""
        fit = [word for word in counts if SHORTEST <= len(word) <= LONGEST and not _digits(word)]
        words = sorted(sorted(fit, key=lambda word: (-counts[word], word))[:MOST_WORDS])
        return cls(
            StringArray.of(words),
            np.array([counts[word] for word in words], np.int32),
            np.array([len(word) for word in words], np.uint8),
            np.array([_letters(word) for word in words], np.uint64),
        )

    @classmethod
    def open(cls, folder: Path) -> "Vocabulary":
        """Map what `save` wrote; the caller has checked its checksums."""
        columns = (map_array(folder / f"words_{name}.npy") for name in COLUMNS)
        return cls(StringArray.open(folder, "words"), *columns)

    def save(self, folder: Path) -> None:
        """Write the arrays into the folder."""
        self._words.save(folder, "words")
        columns = (self._rows, self._lengths, self._letters)
        for name, column in zip(COLUMNS, columns, strict=True):
            save_array(folder / f"words_{name}.npy", column)

    @property
    def size(self) -> int:
        """How many words there are."""
        return self._words.size

    def starting_with(self, prefix: str, k: int) -> list[str]:
        """Return the `k` words that begin so which most rows have, ties by the alphabet."""
        places = self._words.starting_with(prefix)
        order = heaviest(self._rows[places.start : places.stop], k)
        return self._words.at_all(places.start + order)

    def has_form_of(self, word: str, stem: Callable[[str], str]) -> bool:
        """Tell whether a word is here, or one with another ending and the same stem."""
        root, term = word[: max(SHORTEST, len(word) - LONGEST_ENDING)], stem(word)
        longest = len(word) + LONGEST_ENDING
        forms = self.starting_with(root, MOST_FORMS)
        return any(len(form) <= longest and stem(form) == term for form in forms)

    def near(self, word: str, k: int) -> list[SpellingCandidate]:
        """Return the `k` nearest words within `allowed_edits`, then those that most rows have."""
        most = allowed_edits(word)
        if not most:
            return []
        places = self._may_be_near(word, most)
        words = self._words.at_all(places)
        edits = edits_between(word, words, most)
        candidates = [
            SpellingCandidate(other, int(distance), int(self._rows[place]))
            for other, distance, place in zip(words, edits, places, strict=True)
            if distance <= most
        ]
        return sorted(candidates, key=lambda near: (near.edits, -near.rows, near.word))[:k]

    def _may_be_near(self, word: str, most: int) -> Int64[np.ndarray, "m"]:
        """Return the words whose length and letters leave it open; an edit changes two letters."""
        fits = np.abs(self._lengths.astype(np.int16) - len(word)) <= most
        unlike = np.bitwise_count(self._letters ^ np.uint64(_letters(word)))
        places = np.flatnonzero(fits & (unlike <= 2 * most))
        return np.asarray(places[heaviest(self._rows[places], MOST_COMPARED)])


COLUMNS = ("rows", "lengths", "sets")


class WordCounts:
    """Counts in how many rows each word stands, in bounded memory."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, words: Iterable[str]) -> None:
        """Count the distinct words of one row."""
        self.counts.update(set(words))
        if len(self.counts) > MOST_COUNTED:
            self.counts = Counter({word: n for word, n in self.counts.items() if n > 1})


def allowed_edits(word: str) -> int:
    """Return how many letters of a word may be wrong: none of a short one, or one with digits."""
    if len(word) < ONE_EDIT_FROM or len(word) > LONGEST or _digits(word):
        return 0
    return 1 if len(word) < TWO_EDITS_FROM else 2


def edits_between(word: str, others: list[str], most: int) -> Int32[np.ndarray, "m"]:
    """Return the edit distance of each of the words from this one; `most` + 1 stands for more.

    An edit adds, drops or changes a letter, or exchanges two neighbours: Damerau (1964) as optimal
    string alignment, which edits no part of a word twice.
    """
    distances = process.cdist(
        [word], others, scorer=OSA.distance, score_cutoff=most, dtype=np.int32
    )
    return np.asarray(distances[0])


def heaviest(weights: np.ndarray, k: int) -> Int64[np.ndarray, "m"]:
    """Return the places of the `k` largest numbers, the largest first, ties by the lower place."""
    places = np.arange(len(weights))
    if len(weights) > k:
        places = places[weights >= np.partition(weights, -k)[-k]] if k else places[:0]
    return np.asarray(places[np.argsort(-weights[places], kind="stable")[:k]])


def _digits(word: str) -> bool:
    return any(map(str.isdigit, word))


def _letters(word: str) -> int:
    """Return the set of a word's letters as 64 bits; two letters may share a bit."""
    return sum({1 << (ord(letter) % 64) for letter in word})
