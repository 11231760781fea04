"""An array of strings in two memory-mapped files; a sorted one also answers prefix searches."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from index.arrays import map_array, save_array

LINE_BREAK = 10
AFTER_ALL = b"\xff"  # no UTF-8 text has this byte, so it comes after all that goes on


class StringArray:
    """An array of strings: one run of UTF-8 bytes, and the offset where each text begins."""

    def __init__(self, letters: UInt8[np.ndarray, "b"], offsets: Int64[np.ndarray, "n1"]) -> None:
        self._letters = letters
        self._offsets = offsets

    @classmethod
    def of(cls, texts: Iterable[str]) -> "StringArray":
        """Encode texts in the order given."""
        coded = [text.encode() for text in texts]
        offsets = np.cumsum([0, *map(len, coded)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(coded), np.uint8), offsets)

    @classmethod
    def open(cls, folder: Path, name: str) -> "StringArray":
        """Map what `save` wrote; the caller has checked its checksums."""
        letters, offsets = (map_array(path) for path in _paths(folder, name))
        return cls(letters, offsets)

    def save(self, folder: Path, name: str) -> None:
        """Write two arrays into the folder."""
        for path, column in zip(_paths(folder, name), (self._letters, self._offsets), strict=True):
            save_array(path, column)

    @property
    def size(self) -> int:
        """How many texts there are."""
        return len(self._offsets) - 1

    def at(self, place: int) -> str:
        """Return the text at a place."""
        return self._coded(place).decode()

    def at_all(self, places: Int64[np.ndarray, "m"]) -> list[str]:
        """Return the texts at these places, which have no line breaks, without a loop over them."""
        if not len(places):
            return []
        starts = self._offsets[places]
        lengths = self._offsets[places + 1] - starts + 1  # and a line break
        ends = np.cumsum(lengths)
        taken = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
        letters = np.full(len(taken), LINE_BREAK, np.uint8)
        inside = np.ones(len(taken), bool)
        inside[ends - 1] = False
        letters[inside] = self._letters[taken[inside]]
        texts: list[str] = letters.tobytes().decode().split("\n")[:-1]
        return texts

    def starting_with(self, prefix: str) -> range:
        """Return the places of all texts that begin so, if texts are in order of code points."""
        coded = prefix.encode()
        return range(self._first_from(coded), self._first_from(coded + AFTER_ALL))

    def place(self, text: str) -> int | None:
        """Return where a text is, if texts are in order of code points; None if it is not here."""
        coded = text.encode(errors="surrogatepass")
        place = self._first_from(coded)
        return place if place < self.size and self._coded(place) == coded else None

    def _first_from(self, coded: bytes) -> int:
        """Return the first place whose text is not before this one."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            if self._coded(middle) < coded:
                low = middle + 1
            else:
                high = middle
        return low

    def _coded(self, place: int) -> bytes:
        start, end = self._offsets[place], self._offsets[place + 1]
        return self._letters[start:end].tobytes()


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}_letters.npy", folder / f"{name}_offsets.npy"
