"""How well a product's words answer a query: one definition of each number, by word and by token.

Every number is a share or a similarity of one query and one product, so that it means the same in
another shop. What was learnt on some shops can then rank another.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import WordReader
from ranking.features import Feature
from ranking.text_signs import Signs, read_signs
from retrieval.text_encoder import ReadText

SURE = 0.6  # a cosine from here on says that two word pieces mean the same
TRUST = 20.0  # a title nearer by 0.05 counts e times as much in `agreement`
K1, B = 1.2, 0.75  # of BM25, as in Lucene
MOST_WORDS = 64  # of a query; the rest is not looked at
MOST_TEXT_WORDS = 512  # of a product


class MatchFeature(NamedTuple):
    """A number about a query and a product, and what it is where nothing can be compared."""

    feature: Feature
    default: float


def _feature(name: str, unit: str, meaning: str, default: float = 0.0) -> MatchFeature:
    return MatchFeature(Feature(name, unit, meaning), default)


MATCH_FEATURES = (
    _feature("cosine_title", "cosine", "query against the title"),
    _feature("cosine_text", "cosine", "query against title, brand and description"),
    _feature("pieces_mean", "cosine", "of each query piece to its nearest title piece, mean"),
    _feature("pieces_least", "cosine", "the same, of the piece that is matched worst"),
    _feature("pieces_sure", "share", "of query pieces whose nearest title piece means the same"),
    _feature("pieces_weighted", "cosine", "mean over query pieces, a rare one counts more"),
    _feature("pieces_text", "cosine", "the same, against title, brand and description"),
    _feature("pieces_asked", "cosine", "of each title piece to its nearest query piece, mean"),
    _feature("words_title", "share", "of query words that the title has, as they are written"),
    _feature("stems_title", "share", "of query stems that the title has"),
    _feature("rare_title", "share", "the same, a rare stem counts more"),
    _feature("rare_text", "share", "of query stems in title, brand or description, by rarity"),
    _feature("rare_description", "share", "of query stems in the description, by rarity"),
    _feature("all_title", "0 or 1", "whether the title has every query stem"),
    _feature("brand_asked", "share", "of the brand's words that the query has"),
    _feature("run_title", "share", "of the query in the longest run that the title repeats"),
    _feature("bigrams_title", "share", "of neighbouring query stems that are neighbours there"),
    _feature("place_title", "share", "how early in the title the matched words stand; 1 is first"),
    _feature("asked_title", "share", "of the title's stems that the query has, by rarity"),
    _feature("grams_title", "share", "of query letter triples that the title has"),
    _feature("bm25_title", "share", "BM25 of the title, against the most for this query"),
    _feature("bm25_text", "share", "BM25 of title, brand and description, against the most"),
    _feature("numbers_title", "share", "of the query's numbers that the title has", 1.0),
    _feature("measures_other", "share", "of the query's measures of which the title has another"),
    _feature("codes_title", "share", "of the query's model numbers that the title has", 1.0),
    _feature("head_found", "0 or 1", "whether the title has what the query names last"),
    _feature("head_same", "0 or 1", "whether the title's own head is the query's"),
    _feature("head_pieces", "cosine", "of the query's last piece to its nearest title piece"),
    _feature("refused_title", "share", "of the words after a 'without' that the title promises"),
    _feature("agreement", "cosine", "of the title to those of the other likely candidates"),
    _feature("query_words", "log words", "length of the query"),
    _feature("title_words", "log words", "length of the title"),
    _feature("text_words", "log words", "length of title, brand and description"),
)
MATCH_NAMES = tuple(one.feature.name for one in MATCH_FEATURES)
DEFAULTS = np.array([one.default for one in MATCH_FEATURES], np.float32)


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


class Words(NamedTuple):
    """A text as words in order, numbered: one number a word, one a stem."""

    words: Int64[np.ndarray, "t"]
    stems: Int64[np.ndarray, "t"]


class QueryRead(NamedTuple):
    """A query, read once for all of its candidates."""

    words: Words
    signs: Signs
    pieces: ReadText


class ProductRead(NamedTuple):
    """A product, read once for all queries."""

    title: Words
    description: Words
    brand: Words
    whole: Words
    signs: Signs
    title_pieces: ReadText
    text_pieces: ReadText


class Rarity(NamedTuple):
    """What the words of a catalogue are worth: rare ones more, as in BM25."""

    num_products: int
    stems: dict[int, int]  # stem: products that have it
    pieces: dict[int, int]  # word piece: products whose title has it
    title_words: float  # of the mean product
    text_words: float

    @classmethod
    def of(cls, products: Sequence[ProductRead]) -> "Rarity":
        """Count the words of all products of a catalogue."""
        stems: Counter[int] = Counter()
        pieces: Counter[int] = Counter()
        for product in products:
            stems.update(set(product.whole.stems.tolist()))
            pieces.update(set(product.title_pieces.pieces.tolist()))
        count = max(len(products), 1)
        return cls(
            len(products),
            dict(stems),
            dict(pieces),
            max(sum(len(p.title.stems) for p in products) / count, 1.0),
            max(sum(len(p.whole.stems) for p in products) / count, 1.0),
        )

    def of_stems(self, stems: Int64[np.ndarray, "t"]) -> Float32[np.ndarray, "t"]:
        """Return log(1 + (N - n + 0.5) / (n + 0.5)) of each stem, as Lucene's BM25 does."""
        return self._rarity(stems, self.stems)

    def of_pieces(self, pieces: Int64[np.ndarray, "t"]) -> Float32[np.ndarray, "t"]:
        """Return the same of each word piece."""
        return self._rarity(pieces, self.pieces)

    def _rarity(
        self, words: Int64[np.ndarray, "t"], counts: dict[int, int]
    ) -> Float32[np.ndarray, "t"]:
        n = np.array([counts.get(word, 0) for word in words.tolist()], np.float64)
        return np.log1p((self.num_products - n + 0.5) / (n + 0.5)).astype(np.float32)


class Reader:
    """Reads queries and products into words, signs and word pieces; it numbers the words."""

    def __init__(
        self, read: Callable[[Sequence[str]], list[ReadText]], language: str = "english"
    ) -> None:
        self._read = read
        self._words = WordReader(language)
        self._numbers: dict[str, int] = {}

    def queries(self, texts: Sequence[str]) -> list[QueryRead]:
        """Read queries; words beyond MOST_WORDS are not looked at."""
        return [
            QueryRead(self._numbered(text, MOST_WORDS), self._signs(text), pieces)
            for text, pieces in zip(texts, self._read(list(texts)), strict=True)
        ]

    def products(self, texts: Sequence[ProductText]) -> list[ProductRead]:
        """Read products; words beyond MOST_TEXT_WORDS of a field are not looked at."""
        pieces = self._pieces(part for text in texts for part in (text.title, text.whole()))
        return [self._product(text, pieces) for text in texts]

    def _pieces(self, texts: Iterable[str]) -> dict[str, ReadText]:
        distinct = sorted(set(texts))
        return dict(zip(distinct, self._read(distinct), strict=True))

    def _product(self, text: ProductText, pieces: dict[str, ReadText]) -> ProductRead:
        return ProductRead(
            title=self._numbered(text.title, MOST_TEXT_WORDS),
            description=self._numbered(text.description, MOST_TEXT_WORDS),
            brand=self._numbered(text.brand, MOST_TEXT_WORDS),
            whole=self._numbered(text.whole(), MOST_TEXT_WORDS),
            signs=self._signs(text.title),
            title_pieces=pieces[text.title],
            text_pieces=pieces[text.whole()],
        )

    def _signs(self, text: str) -> Signs:
        return read_signs(text, self._words.stems)

    def _numbered(self, text: str, most: int) -> Words:
        words, stems = self._words.words(text)[:most], self._words.stems(text)[:most]
        return Words(self._number(words), self._number(stems))

    def _number(self, words: Iterable[str]) -> Int64[np.ndarray, "t"]:
        numbers = self._numbers
        return np.array([numbers.setdefault(word, len(numbers)) for word in words], np.int64)


def match(
    query: QueryRead, products: Sequence[ProductRead], rarity: Rarity
) -> Float32[np.ndarray, "c f"]:
    """Return one row a product, one column a feature in the order of `MATCH_FEATURES`.

    A row depends on its own product only, except for `agreement`. Where the query, the title or
    the description is empty, what cannot be compared keeps its default.
    """
    asked = _Asked(query, rarity.of_stems(query.words.stems), rarity.of_pieces(query.pieces.pieces))
    rows = [_row(asked, product, rarity) for product in products]
    features = np.array(rows, np.float32).reshape(len(products), len(MATCH_NAMES))
    if len(products) > 1:
        titles = np.stack([product.title_pieces.whole for product in products])
        near = features[:, MATCH_NAMES.index("cosine_title")]
        features[:, MATCH_NAMES.index("agreement")] = agreement(near, titles)
    return features


class _Asked(NamedTuple):
    query: QueryRead
    rarity: Float32[np.ndarray, "q"]  # of stems
    piece_rarity: Float32[np.ndarray, "p"]


def _row(asked: _Asked, product: ProductRead, rarity: Rarity) -> list[float]:
    values = {
        **_lengths(asked.query, product),
        **_signs(asked.query.signs, product),
        **_pieces(asked, product),
        **_words(asked, product, rarity),
    }
    return [values.get(one.feature.name, one.default) for one in MATCH_FEATURES]


def _lengths(query: QueryRead, product: ProductRead) -> dict[str, float]:
    return {
        "query_words": math.log1p(len(query.words.stems)),
        "title_words": math.log1p(len(product.title.stems)),
        "text_words": math.log1p(len(product.whole.stems)),
    }


def _signs(query: Signs, product: ProductRead) -> dict[str, float]:
    title = product.signs
    sized = {unit for unit, _ in title.measures}
    other = {(unit, n) for unit, n in query.measures - title.measures if unit in sized}
    shares = {
        "numbers_title": (query.numbers & title.numbers, query.numbers),
        "codes_title": (query.codes & title.codes, query.codes),
        "measures_other": (other, query.measures),
        "refused_title": (query.refused & title.promised, query.refused),
        "grams_title": (query.grams & title.grams, query.grams),
    }
    found = {name: len(part) / len(whole) for name, (part, whole) in shares.items() if whole}
    if query.head and title.head:
        found["head_found"] = float(query.head in title.promised)
        found["head_same"] = float(query.head == title.head)
    return found


def _pieces(asked: _Asked, product: ProductRead) -> dict[str, float]:
    query, title, text = asked.query.pieces, product.title_pieces, product.text_pieces
    found = {}
    if len(query.pieces) and len(title.pieces):
        near = query.tokens @ title.tokens.T  # p t
        best = near.max(axis=1)
        found = {
            "cosine_title": float(query.whole @ title.whole),
            "pieces_mean": float(best.mean()),
            "pieces_least": float(best.min()),
            "pieces_sure": float((best >= SURE).mean()),
            "pieces_weighted": weighted_mean(best, asked.piece_rarity),
            "pieces_asked": float(near.max(axis=0).mean()),
            "head_pieces": float(best[-1]),
        }
    if len(query.pieces) and len(text.pieces):
        best = max_similarity(query.tokens, text.tokens)
        found["cosine_text"] = float(query.whole @ text.whole)
        found["pieces_text"] = weighted_mean(best, asked.piece_rarity)
    return found


def _words(asked: _Asked, product: ProductRead, rarity: Rarity) -> dict[str, float]:
    query = asked.query.words
    if not len(query.stems) or not len(product.whole.stems):
        return {}
    whole, brand = query.stems[:, None] == product.whole.stems, product.brand.stems
    found = {
        "rare_text": weighted_mean(whole.any(axis=1), asked.rarity),
        "bm25_text": bm25_share(whole, asked.rarity, rarity.text_words),
    }
    if len(product.description.stems):
        inside = (query.stems[:, None] == product.description.stems).any(axis=1)
        found["rare_description"] = weighted_mean(inside, asked.rarity)
    if len(brand):
        found["brand_asked"] = float((query.stems[:, None] == brand).any(axis=0).mean())
    return found | _title_words(asked, product.title, rarity)


def _title_words(asked: _Asked, title: Words, rarity: Rarity) -> dict[str, float]:
    query = asked.query.words
    if not len(title.stems):
        return {}
    same = query.stems[:, None] == title.stems  # q t
    found = same.any(axis=1)
    return {
        "words_title": float((query.words[:, None] == title.words).any(axis=1).mean()),
        "stems_title": float(found.mean()),
        "rare_title": weighted_mean(found, asked.rarity),
        "all_title": float(found.all()),
        "run_title": longest_run(same) / len(query.stems),
        "bigrams_title": neighbours(same),
        "place_title": early(same),
        "asked_title": weighted_mean(same.any(axis=0), rarity.of_stems(title.stems)),
        "bm25_title": bm25_share(same, asked.rarity, rarity.title_words),
    }


def max_similarity(
    query: Float32[np.ndarray, "q d"], product: Float32[np.ndarray, "t d"]
) -> Float32[np.ndarray, "q"]:
    """Return of each query piece its cosine to the nearest of the product's.

    Late interaction (Khattab and Zaharia 2020, ColBERT).
    """
    return np.asarray((query @ product.T).max(axis=1))


def weighted_mean(values: np.ndarray, weights: Float32[np.ndarray, "q"]) -> float:
    """Return the mean of values, each counted by its weight; 0 where all weights are 0."""
    return float(values @ weights / max(float(weights.sum()), 1e-9))


def bm25_share(
    same: Bool[np.ndarray, "q t"], rarity: Float32[np.ndarray, "q"], mean_words: float
) -> float:
    """Return BM25 of a text against the most that any text could have; 1 means all words, often.

    Robertson and Zaragoza 2009, with k1 = 1.2 and b = 0.75.
    """
    times = same.sum(axis=1)  # q
    saturated = times / (times + K1 * (1 - B + B * same.shape[1] / mean_words))
    return weighted_mean(saturated, rarity)


def longest_run(same: Bool[np.ndarray, "q t"]) -> int:
    """Return the length of the longest common run of words: the longest diagonal of `same`."""
    run = np.zeros(same.shape[1] + 1, np.int64)
    longest = 0
    for row in same:
        run[1:] = np.where(row, run[:-1] + 1, 0)
        longest = max(longest, int(run.max()))
    return longest


def neighbours(same: Bool[np.ndarray, "q t"]) -> float:
    """Return the share of neighbouring query words that stand side by side in the text.

    A query of a single word counts by that word.
    """
    if len(same) < 2:
        return float(same.any())
    return float((same[:-1, :-1] & same[1:, 1:]).any(axis=1).mean())


def early(same: Bool[np.ndarray, "q t"]) -> float:
    """Return how early in the text the found words first stand: 1 is first, 0 is not at all."""
    found = same.any(axis=1)
    if not found.any():
        return 0.0
    return float(1 - same.argmax(axis=1)[found].mean() / same.shape[1])


def agreement(
    near: Float32[np.ndarray, "c"], titles: Float32[np.ndarray, "c d"]
) -> Float32[np.ndarray, "c"]:
    """Return the cosine of each title to the mean of the others, the nearer to the query the more.

    Pseudo relevance feedback on vectors (Rocchio 1971), each title left out of its own mean.
    """
    weighted = np.exp(TRUST * (near - near.max()))[:, None] * titles  # c d
    others = weighted.sum(axis=0) - weighted
    others /= np.linalg.norm(others, axis=1, keepdims=True).clip(1e-6)
    return np.asarray((others * titles).sum(axis=1), np.float32)
