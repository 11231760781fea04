"""What a query may become: phrases with weights, found by how they begin."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from index.arrays import map_array, save_array
from index.words.sorted_texts import StringArray
from index.words.vocabulary import heaviest

MOST_PHRASES = 500_000


class Phrase(NamedTuple):
    """A phrase as it is shown, and what it weighs."""

    shown: str
    weight: float


class Completions:
    """Phrases in the order of their keys: folded words with one space between."""

    def __init__(
        self, keys: StringArray, shown: StringArray, weights: Float32[np.ndarray, "n"]
    ) -> None:
        self._keys = keys
        self._shown = shown
        self._weights = weights

    @classmethod
    def of(cls, phrases: Mapping[str, Phrase]) -> "Completions":
        """Keep the heaviest phrases by key, ties by the alphabet."""
        kept = sorted(sorted(phrases, key=lambda key: (-phrases[key].weight, key))[:MOST_PHRASES])
        weights = np.array([phrases[key].weight for key in kept], np.float32)
        return cls(
            StringArray.of(kept), StringArray.of(phrases[key].shown for key in kept), weights
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
