"""Query completions: weighted phrases, and words of an index, looked up by prefix."""

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from index.arrays import map_array, save_array
from index.words.sorted_texts import StringArray
from index.words.terms.pieces import Words
from index.words.vocabulary import Vocabulary, heaviest

MOST_PHRASES = 500_000
MOST_TRIED = 12  # words that may end a query, beside the words before
MOST_BESIDE = 4  # of those words


class Phrase(NamedTuple):
    """A completion as it is shown, and its weight."""

    shown: str
    weight: float


class Completions:
    """A table of phrases sorted by their keys: folded words with one space between."""

    def __init__(
        self, keys: StringArray, shown: StringArray, weights: Float32[np.ndarray, "n"]
    ) -> None:
        self._keys = keys
        self._shown = shown
        self._weights = weights

    @classmethod
    def of(cls, phrases: Mapping[str, Phrase]) -> "Completions":
        """Keep the heaviest phrases by key, ties by the alphabet."""
        keys = sorted(sorted(phrases, key=lambda key: (-phrases[key].weight, key))[:MOST_PHRASES])
        weights = np.array([phrases[key].weight for key in keys], np.float32)
        return cls(
            StringArray.of(keys), StringArray.of(phrases[key].shown for key in keys), weights
        )

    @classmethod
    def open(cls, folder: Path) -> "Completions":
        """Map what `save` wrote; the caller has checked its checksums."""
        weights = map_array(folder / "weights.npy")
        return cls(StringArray.open(folder, "keys"), StringArray.open(folder, "shown"), weights)

    def save(self, folder: Path) -> None:
        """Write the arrays into the folder."""
        self._keys.save(folder, "keys")
        self._shown.save(folder, "shown")
        save_array(folder / "weights.npy", self._weights)

    @property
    def size(self) -> int:
        """How many phrases there are."""
        return self._keys.size

    def starting_with(self, key: str, k: int) -> list[str]:
        """Return the `k` heaviest phrases whose keys begin so, ties by the alphabet."""
        places = self._keys.starting_with(key)
        order = heaviest(self._weights[places.start : places.stop], k)
        return self._shown.at_all(places.start + order)


class WordCompleter:
    """Completes the last word of a query by the words of an index.

    `terms_of` gives the terms of a text; `rows_with` counts the rows that have all of some terms.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        terms_of: Callable[[str], Words],
        rows_with: Callable[[Words], int],
    ) -> None:
        self._vocabulary = vocabulary
        self._terms_of = terms_of
        self._rows_with = rows_with

    def complete(self, before: str, prefix: str, k: int) -> list[str]:
        """Return words that begin so, those first which most rows have beside `before`.

        Looked at are the MOST_TRIED that most rows have at all; `before` may be empty.
        """
        if not before.strip():  # a word of the synonyms may be in no row
            words = self._vocabulary.starting_with(prefix, k + MOST_TRIED)
            return list(islice((w for w in words if self._rows_with(self._terms_of(w))), k))
        beside = self._terms_of(before)[:MOST_BESIDE]
        words = self._vocabulary.starting_with(prefix, MOST_TRIED)
        counts = {word: self._rows_with((*beside, *self._terms_of(word))) for word in words}
        likeliest = sorted(words, key=lambda word: -counts[word])
        return [word for word in likeliest if counts[word]][:k]
