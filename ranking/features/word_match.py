"""How well the words of many products answer one query: one definition of each number.

Words are numbers here, so that a catalogue is a few flat arrays. Each row of an answer depends on
its own product only, to the last bit, whatever the other rows are.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from ranking.features.text_attributes import TextAttributes

MOST_WORDS = 64  # of a query; the rest is not looked at
MOST_TEXT_WORDS = 512  # of a product
LEAST = 1e-9  # of what is divided by
NO_TEXT = np.empty(0, np.int32)
UNKNOWN = -1  # a word of a query that no product has

Number = Callable[[Iterable[str]], list[int]]  # of words; UNKNOWN where a word has none
RarityOf = Callable[[Int64[np.ndarray, "t"]], Float32[np.ndarray, "t"]]


class TextField(IntEnum):
    """What of a product is kept as numbers: one text each, in this order."""

    TITLE = 0  # stems in their order
    BRAND = 1  # stems in their order
    WHOLE = 2  # distinct stems of title, brand and description
    PROMISED = 3  # distinct stems that the title does not refuse; none where it names nothing
    NUMBERS = 4  # distinct numbers in the title
    MEASURES = 5  # distinct pairs of a unit and a number in the title
    UNITS = 6  # distinct, of these measures


ProductNumbers = tuple[Int32[np.ndarray, "_"], ...]  # one product, by field


class ProductWords(NamedTuple):
    """The numbered words of many products: product after product, field after field."""

    words: Int32[np.ndarray, "t"]
    offsets: Int64[np.ndarray, "o"]  # where each field begins, and where the last one ends

    @classmethod
    def of(cls, products: Sequence[ProductNumbers]) -> "ProductWords":
        """Lay out products one after the other."""
        fields = [field for product in products for field in product]
        offsets = np.cumsum([0, *map(len, fields)], dtype=np.int64)
        return cls(np.concatenate([NO_TEXT, *fields]), offsets)

    @property
    def size(self) -> int:
        """How many products there are."""
        return (len(self.offsets) - 1) // len(TextField)

    def take(self, rows: Int64[np.ndarray, "c"]) -> "WordSelection":
        """Return the fields of these products."""
        borders = self.offsets[
            rows[:, None] * len(TextField) + np.arange(len(TextField) + 1)
        ]  # c f+1
        begins, lengths = borders[:, 0], borders[:, -1] - borders[:, 0]
        moved = np.cumsum(lengths) - lengths - begins
        return WordSelection(
            self.words[_ranges(begins, lengths)].astype(np.int64),
            np.diff(borders, axis=1),
            borders[:, :-1] + moved[:, None],
        )


class WordSelection(NamedTuple):
    """The words of some products, one after the other."""

    words: Int64[np.ndarray, "t"]
    lengths: Int64[np.ndarray, "c f"]
    firsts: Int64[np.ndarray, "c f"]  # where each field begins


class QueryWords(NamedTuple):
    """The words of a query."""

    stems: Int64[np.ndarray, "q"]  # in their order
    head: Int64[np.ndarray, "h"]  # the stem of what the query names; none where it names nothing
    numbers: Int64[np.ndarray, "k"]  # distinct
    measures: Int64[np.ndarray, "m"]  # distinct
    units: Int64[np.ndarray, "m"]  # of these measures


def product_numbers(
    title: Sequence[int],
    brand: Sequence[int],
    whole: Sequence[int],
    signs: TextAttributes,
    number: Number,
) -> ProductNumbers:
    """Return the fields of a product from its numbered stems and the signs of its title."""
    measures = sorted(signs.measures)
    fields = {
        TextField.TITLE: title,
        TextField.BRAND: brand,
        TextField.WHOLE: list(dict.fromkeys(whole)),
        TextField.PROMISED: number(sorted(signs.affirmed)) if signs.head_noun else [],
        TextField.NUMBERS: number(map(number_key, sorted(signs.numbers))),
        TextField.MEASURES: number(unit_key(unit) + size for unit, size in measures),
        TextField.UNITS: number(unit_key(unit) for unit in dict(measures)),
    }
    return tuple(np.array(fields[field], np.int32) for field in TextField)


def query_words(stems: Sequence[int], signs: TextAttributes, number: Number) -> QueryWords:
    """Return a query from its numbered stems and its signs, MOST_WORDS of each."""
    numbers, measures = sorted(signs.numbers)[:MOST_WORDS], sorted(signs.measures)[:MOST_WORDS]
    parts = (
        stems[:MOST_WORDS],
        number([signs.head_noun] if signs.head_noun else []),
        number(map(number_key, numbers)),
        number(unit_key(unit) + size for unit, size in measures),
        number(unit_key(unit) for unit, _ in measures),
    )
    return QueryWords(*(np.array(part, np.int64) for part in parts))


def number_key(number: str) -> str:
    """Return what a number is called among the words; no stem has such a sign in it."""
    return f"#{number}"


def unit_key(unit: str) -> str:
    """Return what a unit is called among the words."""
    return f"={unit}="


def rarity_in(num_products: int, counts: np.ndarray) -> Float32[np.ndarray, "t"]:
    """Return log(1 + (N - n + 0.5) / (n + 0.5)) of words in n of N products, as Lucene's BM25."""
    n = np.asarray(counts, np.float64)
    return np.log1p((num_products - n + 0.5) / (n + 0.5)).astype(np.float32)


def compare(
    asked: QueryWords,
    products: ProductWords,
    rows: Int64[np.ndarray, "c"],
    rarity_of: RarityOf,
) -> dict[str, Float32[np.ndarray, "c"]]:
    """Return the features of these products, of which something can be compared.

    The words of the products are looked up once, and what the query has of them is added up.
    """
    query, chosen = _QueryVocabulary.of(asked, rarity_of), products.take(rows)
    hits = _WordHits.of(query, chosen)
    total = hits.add_up(query.worth).T  # f c
    found: dict[str, np.ndarray] = {}
    if len(asked.stems):
        found |= _places(query, chosen, hits.of_field(TextField.TITLE))
        titles = np.maximum(_rarity_of_titles(chosen, rarity_of), LEAST)
        found["asked_title"] = total[TextField.TITLE] / titles
        found["rare_text"] = total[TextField.WHOLE] / max(float(query.weights.sum()), LEAST)
        found["brand_asked"] = total[TextField.BRAND] / np.maximum(
            chosen.lengths[:, TextField.BRAND], 1
        )
        found["query_words"] = np.full(len(rows), np.log1p(len(asked.stems)))
    if len(asked.head):
        found["head_found"] = total[TextField.PROMISED]
    if len(asked.numbers):
        found["numbers_title"] = total[TextField.NUMBERS] / len(asked.numbers)
    if len(asked.measures):
        other = total[TextField.UNITS] - total[TextField.MEASURES]
        found["measures_other"] = other / len(asked.measures)
    return {name: column.astype(np.float32) for name, column in found.items()}


class _QueryVocabulary(NamedTuple):
    """All words of a query, each once, and what each of them is in it."""

    words: Int64[np.ndarray, "w"]
    stems: Int64[np.ndarray, "q"]  # in their order, as places in `words`
    times: Float64[np.ndarray, "w"]  # that it is asked, as a stem
    weights: Float64[np.ndarray, "w"]  # rarity, as often as the stem is asked
    worth: Float64[np.ndarray, "f w"]  # what finding it once in a field adds up to there

    @classmethod
    def of(cls, asked: QueryWords, rarity_of: RarityOf) -> "_QueryVocabulary":
        words, places = np.unique(np.concatenate(asked), return_inverse=True)
        parts = np.split(places, np.cumsum([len(part) for part in asked])[:-1])
        times = [np.bincount(part, minlength=len(words)).astype(np.float64) for part in parts]
        stems, head, numbers, measures, units = times
        rare, is_stem = rarity_of(words).astype(np.float64), np.minimum(stems, 1)
        worth = {
            TextField.TITLE: is_stem * rare,
            TextField.BRAND: is_stem,
            TextField.WHOLE: stems * rare,
            TextField.PROMISED: head,
            TextField.NUMBERS: numbers,
            TextField.MEASURES: measures,
            TextField.UNITS: units,  # as many measures as have it
        }
        return cls(words, parts[0], stems, stems * rare, np.stack([worth[f] for f in TextField]))


class _WordHits(NamedTuple):
    """The words of products that a query has, in the order in which they stand."""

    num_products: int
    products: Int64[np.ndarray, "h"]
    fields: Int64[np.ndarray, "h"]
    at: Int64[np.ndarray, "h"]  # where among all the words
    words: Int64[np.ndarray, "h"]  # as places in `_QueryVocabulary.words`

    @classmethod
    def of(cls, query: _QueryVocabulary, chosen: WordSelection) -> "_WordHits":
        found = _place_of(query.words, chosen.words)[chosen.words]
        at = np.flatnonzero(found)
        texts = np.repeat(np.arange(chosen.lengths.size), chosen.lengths.ravel())
        products, fields = np.divmod(texts[at], len(TextField))
        return cls(len(chosen.lengths), products, fields, at, found[at] - 1)

    def of_field(self, field: TextField) -> "_WordHits":
        """Return those in a field."""
        kept = np.flatnonzero(self.fields == field)
        return _WordHits(self.num_products, *(column[kept] for column in self[1:]))

    def add_up(self, worth: Float64[np.ndarray, "f w"]) -> Float64[np.ndarray, "c f"]:
        """Return what the words of each field of each product are worth together."""
        texts = self.products * len(TextField) + self.fields
        size = self.num_products * len(TextField)
        total = np.bincount(texts, worth[self.fields, self.words], size).astype(np.float64)
        return rearrange(total, "(c f) -> c f", f=len(TextField))


def _places(
    query: _QueryVocabulary, chosen: WordSelection, hits: _WordHits
) -> dict[str, Float64[np.ndarray, "c"]]:
    """Return the features by where in the title the stems stand."""
    first = _first(query, chosen, hits)
    inside = np.isfinite(first)
    return {
        "rare_title": weighted_mean(inside, query.weights),
        "bigrams_title": _neighbours(query, hits, inside),
        "place_title": _early(query, first, inside, chosen.lengths[:, TextField.TITLE]),
    }


def _rarity_of_titles(chosen: WordSelection, rarity_of: RarityOf) -> Float64[np.ndarray, "c"]:
    lengths = chosen.lengths[:, TextField.TITLE]
    words = chosen.words[_ranges(chosen.firsts[:, TextField.TITLE], lengths)]
    texts = np.repeat(np.arange(len(lengths)), lengths)
    return np.bincount(texts, rarity_of(words), len(lengths)).astype(np.float64)


def _ranges(
    begins: Int64[np.ndarray, "c"], lengths: Int64[np.ndarray, "c"]
) -> Int64[np.ndarray, "t"]:
    """Return the numbers of all ranges, one range after the other."""
    firsts = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(int(lengths.sum())) + np.repeat(begins - firsts, lengths))


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis, each counted by its weight; 0 where all weights are 0."""
    total = max(float(weights.sum()), LEAST)
    return np.asarray((values * weights.astype(np.float64)).sum(axis=-1) / total)


def _place_of(
    words: Int64[np.ndarray, "w"], looked_up: Int64[np.ndarray, "t"]
) -> Int64[np.ndarray, "v"]:
    """Return by number of word its place in `words`, from 1; 0 where it has none."""
    table = np.zeros(int(looked_up.max(initial=0)) + 1, np.int64)
    known = np.flatnonzero((words >= 0) & (words < len(table)))
    table[words[known]] = known + 1
    return table


def _first(
    query: _QueryVocabulary, chosen: WordSelection, hits: _WordHits
) -> Float64[np.ndarray, "c w"]:
    """Return the place in the title where each stem first stands; infinity where it does not."""
    count, size = len(chosen.lengths), len(query.words)
    first = np.full(count * size, np.inf)
    places = hits.at - chosen.firsts[hits.products, TextField.TITLE]
    np.minimum.at(first, hits.products * size + hits.words, places.astype(np.float64))
    first = rearrange(first, "(c w) -> c w", w=size)
    first[:, query.times == 0] = np.inf
    return first


def _neighbours(
    query: _QueryVocabulary, hits: _WordHits, inside: Bool[np.ndarray, "c w"]
) -> Float64[np.ndarray, "c"]:
    """Return the share of neighbouring query words that stand side by side in the title.

    A query of a single word counts by that word.
    """
    if len(query.stems) < 2:
        return np.asarray(inside.any(axis=1), np.float64)
    size = len(query.words)
    pairs, times = np.unique(query.stems[:-1] * size + query.stems[1:], return_counts=True)
    place = np.zeros(size * size, np.int64)
    place[pairs] = np.arange(1, len(pairs) + 1)
    beside = np.diff(hits.at) == 1  # between the titles of two products stand other fields
    found = place[hits.words[:-1] * size + hits.words[1:]] * beside
    there = np.flatnonzero(found)
    side_by_side = np.zeros((len(inside), len(pairs)), bool)
    side_by_side[hits.products[there], found[there] - 1] = True
    return weighted_mean(side_by_side, times)


def _early(
    query: _QueryVocabulary,
    first: Float64[np.ndarray, "c w"],
    inside: Bool[np.ndarray, "c w"],
    lengths: Int64[np.ndarray, "c"],
) -> Float64[np.ndarray, "c"]:
    """Return how early in the title the found words first stand: 1 is first, 0 is not at all."""
    places = (np.where(inside, first, 0) * query.times).sum(axis=1)
    found = (inside * query.times).sum(axis=1)
    mean = places / np.maximum(found, 1) / np.maximum(lengths, 1)
    return np.asarray(np.where(found > 0, 1 - mean, 0.0))
