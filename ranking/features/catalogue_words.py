"""The words of a catalogue: read once in a build, mapped into memory when served."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32, Int64

from index import DamagedIndex, WordReader, map_array, save_array
from ranking.features.text_attributes import TextAttributes, read_attributes
from ranking.features.word_match import (
    MOST_TEXT_WORDS,
    MOST_WORDS,
    UNKNOWN,
    Number,
    ProductNumbers,
    ProductWords,
    TextField,
    compare,
    product_numbers,
    query_words,
    rarity_in,
)

VOCABULARY = "words.json"
COUNTS = "products.npy"
REMEMBERED_TEXTS = 4_096  # of products that are not in the catalogue
Words = Mapping[str, Float32[np.ndarray, "c"]]  # by feature
NOTHING: Words = MappingProxyType({})


class ProductText(NamedTuple):
    """The words of a product; what a shop does not have is empty."""

    title: str
    description: str = ""
    brand: str = ""

    def whole(self) -> str:
        """Return all of it as one text."""
        return ". ".join(
            part for part in map(str.strip, (self.title, self.brand, self.description)) if part
        )


class ReadProduct(NamedTuple):
    """The stems of a product's texts, and the signs of its title."""

    title: list[str]
    brand: list[str]
    whole: list[str]
    signs: TextAttributes


class WordNumbering(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the texts were read, and what their words are numbered by."""

    language: str
    words: tuple[str, ...]  # by number: stems, numbers and units as `word_match` calls them


class CatalogueWords:
    """What every product says, and how rare each word is."""

    def __init__(
        self, vocabulary: WordNumbering, products: ProductWords, counts: Int64[np.ndarray, "v"]
    ) -> None:
        self._vocabulary = vocabulary
        self._products = products
        self._counts = counts
        self._reader = WordReader(vocabulary.language)
        self._number_of = {word: number for number, word in enumerate(vocabulary.words)}
        self._rarity = rarity_in(products.size, np.append(counts, 0))  # the last: of what is new
        self._read = lru_cache(REMEMBERED_TEXTS)(partial(_read, self._reader))

    @classmethod
    def read(cls, texts: Iterable[ProductText], language: str) -> "CatalogueWords":
        """Read all products of a shop, row by row; words beyond MOST_TEXT_WORDS are not looked at.

        A word's count is the number of products whose title, brand or description has it.
        """
        reader = WordReader(language)
        numbers: dict[str, int] = {}
        growing = _Growing()

        def number(words: Iterable[str]) -> list[int]:
            return [numbers.setdefault(word, len(numbers)) for word in words]

        for text in texts:
            growing.add(numbers_of(_read(reader, text), number))
        counts = [growing.counts[number] for number in range(len(numbers))]
        vocabulary = WordNumbering(language, tuple(numbers))
        return cls(vocabulary, growing.products(), np.array(counts, np.int64))

    def save(self, folder: Path) -> None:
        """Write the vocabulary as JSON, and a file for each array."""
        for name, column in self._products._asdict().items():
            save_array(folder / f"{name}.npy", column)
        save_array(folder / COUNTS, self._counts)
        (folder / VOCABULARY).write_bytes(msgspec.json.encode(self._vocabulary))

    @classmethod
    def open(cls, folder: Path) -> "CatalogueWords":
        """Map a folder of `save`; the caller has checked its files."""
        try:
            vocabulary = msgspec.json.decode((folder / VOCABULARY).read_bytes(), type=WordNumbering)
            names = (*(f"{name}.npy" for name in ProductWords._fields), COUNTS)
            *products, counts = (np.asarray(map_array(folder / name)) for name in names)
            return cls(vocabulary, ProductWords(*products), counts)
        except (ValueError, OSError) as e:  # msgspec's errors and an unknown language are such
            raise DamagedIndex(f"{folder.name} holds no words of a catalogue: {e}") from None

    def match(self, text: str, rows: Int64[np.ndarray, "c"]) -> Words:
        """Return by feature how well these products answer a text.

        Left out are features of what the text does not have; words beyond MOST_WORDS are not
        looked at.
        """
        if not text.strip() or not len(rows):
            return NOTHING
        signs = read_attributes(text, self._reader.stems)
        stems = self._find(self._reader.stems(text)[:MOST_WORDS])
        return compare(query_words(stems, signs, self._find), self._products, rows, self._rarity_of)

    def match_texts(self, text: str, products: Sequence[ProductText]) -> Words:
        """Return the same of products that are not in the catalogue, by its rarities.

        A word that the catalogue does not have is as rare as one that no product has.
        """
        if not text.strip() or not products:
            return NOTHING
        beyond: dict[str, int] = {}  # words of these products alone

        def number(words: Iterable[str]) -> list[int]:
            known, after = self._number_of, len(self._counts)
            return [
                known[word] if word in known else beyond.setdefault(word, after + len(beyond))
                for word in words
            ]

        def find(words: Iterable[str]) -> list[int]:
            return [self._number_of.get(word, beyond.get(word, UNKNOWN)) for word in words]

        read = [numbers_of(self._read(product), number) for product in products]
        signs = read_attributes(text, self._reader.stems)
        asked = query_words(find(self._reader.stems(text)[:MOST_WORDS]), signs, find)
        rows = np.arange(len(products))
        return compare(asked, ProductWords.of(read), rows, self._rarity_of)

    def _find(self, words: Iterable[str]) -> list[int]:
        return [self._number_of.get(word, UNKNOWN) for word in words]

    def _rarity_of(self, words: Int64[np.ndarray, "t"]) -> Float32[np.ndarray, "t"]:
        return np.asarray(self._rarity[np.minimum(words, len(self._counts))])


def _read(reader: WordReader, text: ProductText) -> ReadProduct:
    title, brand, whole = (
        reader.stems(part)[:MOST_TEXT_WORDS] for part in (text.title, text.brand, text.whole())
    )
    return ReadProduct(title, brand, whole, read_attributes(text.title, reader.stems))


def numbers_of(read: ReadProduct, number: Number) -> ProductNumbers:
    """Return the fields of a product that was read."""
    title, brand, whole = (number(stems) for stems in read[:3])
    return product_numbers(title, brand, whole, read.signs, number)


class _Growing:
    """Products that are laid out one after the other while they are read."""

    def __init__(self) -> None:
        self._words = array("i")
        self._offsets = array("q", [0])
        self.counts: Counter[int] = Counter()  # by word: products that have it

    def add(self, product: ProductNumbers) -> None:
        for field in product:
            self._words.frombytes(field.tobytes())
            self._offsets.append(len(self._words))
        self.counts.update(product[TextField.WHOLE].tolist())

    def products(self) -> ProductWords:
        return ProductWords(np.array(self._words, np.int32), np.array(self._offsets, np.int64))
