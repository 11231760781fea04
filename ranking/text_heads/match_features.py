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
from ranking.features.catalogue_words import ProductText
from ranking.features.definitions import WORD_FEATURES, Feature
from ranking.features.text_attributes import TextAttributes, read_attributes
from ranking.features.word_match import (
    MOST_TEXT_WORDS,
    MOST_WORDS,
    ProductNumbers,
    ProductWords,
    QueryWords,
    compare,
    product_numbers,
    query_words,
    rarity_in,
    weighted_mean,
)
from retrieval.encoders.text import TokenVectors

SURE = 0.6  # a cosine from here on says that two word pieces mean the same
TRUST = 20.0  # a title nearer by 0.05 counts e times as much in `agreement`
K1, B = 1.2, 0.75  # of BM25, as in Lucene

OF_RANKER = {feature.name: feature for feature in WORD_FEATURES}  # which it sees, too
MATCH_FEATURES = (
    Feature("cosine_title", "cosine", "query against the title"),
    Feature("cosine_text", "cosine", "query against title, brand and description"),
    Feature("pieces_mean", "cosine", "of each query piece to its nearest title piece, mean"),
    Feature("pieces_least", "cosine", "the same, of the piece that is matched worst"),
    Feature("pieces_sure", "share", "of query pieces whose nearest title piece means the same"),
    Feature("pieces_weighted", "cosine", "mean over query pieces, a rare one counts more"),
    Feature("pieces_text", "cosine", "the same, against title, brand and description"),
    Feature("pieces_asked", "cosine", "of each title piece to its nearest query piece, mean"),
    Feature("words_title", "share", "of query words that the title has, as they are written"),
    Feature("stems_title", "share", "of query stems that the title has"),
    OF_RANKER["rare_title"],
    OF_RANKER["rare_text"],
    Feature("rare_description", "share", "of query stems in the description, by rarity"),
    Feature("all_title", "0 or 1", "whether the title has every query stem"),
    OF_RANKER["brand_asked"],
    Feature("run_title", "share", "of the query in the longest run that the title repeats"),
    OF_RANKER["bigrams_title"],
    OF_RANKER["place_title"],
    OF_RANKER["asked_title"],
    Feature("grams_title", "share", "of query letter triples that the title has"),
    Feature("bm25_title", "share", "BM25 of the title, against the most for this query"),
    Feature("bm25_text", "share", "BM25 of title, brand and description, against the most"),
    OF_RANKER["numbers_title"],
    OF_RANKER["measures_other"],
    Feature("codes_title", "share", "of the query's model numbers that the title has", 1.0),
    OF_RANKER["head_found"],
    Feature("head_same", "0 or 1", "whether the title's own head is the query's"),
    Feature("head_pieces", "cosine", "of the query's last piece to its nearest title piece"),
    Feature("refused_title", "share", "of the words after a 'without' that the title promises"),
    Feature("agreement", "cosine", "of the title to those of the other likely candidates"),
    OF_RANKER["query_words"],
    Feature("title_words", "log words", "length of the title"),
    Feature("text_words", "log words", "length of title, brand and description"),
)
MATCH_NAMES = tuple(feature.name for feature in MATCH_FEATURES)
DEFAULTS = np.array([feature.default for feature in MATCH_FEATURES], np.float32)


class NumberedWords(NamedTuple):
    """A text as words in order, numbered: one number a word, one a stem."""

    words: Int64[np.ndarray, "t"]
    stems: Int64[np.ndarray, "t"]


class QueryRead(NamedTuple):
    """A query, read once for all of its candidates."""

    words: NumberedWords
    signs: TextAttributes
    asked: QueryWords
    pieces: TokenVectors


class ProductRead(NamedTuple):
    """A product, read once for all queries."""

    title: NumberedWords
    description: NumberedWords
    brand: NumberedWords
    whole: NumberedWords
    signs: TextAttributes
    numbers: ProductNumbers  # what of it the ranker sees, too
    title_pieces: TokenVectors
    text_pieces: TokenVectors


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
        return rarity_in(
            self.num_products, np.array([counts.get(word, 0) for word in words.tolist()])
        )


class TextHeadReader:
    """Reads queries and products into words, signs and word pieces; it numbers the words."""

    def __init__(
        self, read: Callable[[Sequence[str]], list[TokenVectors]], language: str = "english"
    ) -> None:
        self._read = read
        self._words = WordReader(language)
        self._numbers: dict[str, int] = {}

    def queries(self, texts: Sequence[str]) -> list[QueryRead]:
        """Read queries; words beyond MOST_WORDS are not looked at."""
        read = zip(texts, self._read(list(texts)), strict=True)
        return [self._query(text, pieces) for text, pieces in read]

    def products(self, texts: Sequence[ProductText]) -> list[ProductRead]:
        """Read products; words beyond MOST_TEXT_WORDS of a field are not looked at."""
        pieces = self._pieces(part for text in texts for part in (text.title, text.whole()))
        return [self._product(text, pieces) for text in texts]

    def _pieces(self, texts: Iterable[str]) -> dict[str, TokenVectors]:
        distinct = sorted(set(texts))
        return dict(zip(distinct, self._read(distinct), strict=True))

    def _query(self, text: str, pieces: TokenVectors) -> QueryRead:
        words, signs = self._numbered(text, MOST_WORDS), self._signs(text)
        asked = query_words(words.stems.tolist(), signs, self._number)
        return QueryRead(words, signs, asked, pieces)

    def _product(self, text: ProductText, pieces: dict[str, TokenVectors]) -> ProductRead:
        title, description, brand, whole = (
            self._numbered(part, MOST_TEXT_WORDS)
            for part in (text.title, text.description, text.brand, text.whole())
        )
        named, made_by, told = (part.stems.tolist() for part in (title, brand, whole))
        signs = self._signs(text.title)
        return ProductRead(
            title=title,
            description=description,
            brand=brand,
            whole=whole,
            signs=signs,
            numbers=product_numbers(named, made_by, told, signs, self._number),
            title_pieces=pieces[text.title],
            text_pieces=pieces[text.whole()],
        )

    def _signs(self, text: str) -> TextAttributes:
        return read_attributes(text, self._words.stems)

    def _numbered(self, text: str, most: int) -> NumberedWords:
        words, stems = self._words.words(text)[:most], self._words.stems(text)[:most]
        return NumberedWords(*(np.array(self._number(part), np.int64) for part in (words, stems)))

    def _number(self, words: Iterable[str]) -> list[int]:
        numbers = self._numbers
        return [numbers.setdefault(word, len(numbers)) for word in words]


def match(
    query: QueryRead, products: Sequence[ProductRead], rarity: Rarity
) -> Float32[np.ndarray, "c f"]:
    """Return one row a product, one column a feature in the order of `MATCH_FEATURES`.

    A row depends on its own product only, except for `agreement`. Where the query, the title or
    the description is empty, what cannot be compared keeps its default.
    """
    asked = _QueryStatistics(
        query, rarity.of_stems(query.words.stems), rarity.of_pieces(query.pieces.pieces)
    )
    if not products:
        return np.empty((0, len(MATCH_NAMES)), np.float32)
    rows = [_row(asked, product, rarity) for product in products]
    features = np.array(rows, np.float32)
    every = np.arange(len(products))
    numbers = ProductWords.of([product.numbers for product in products])
    for name, column in compare(query.asked, numbers, every, rarity.of_stems).items():
        features[:, MATCH_NAMES.index(name)] = column
    if len(products) > 1:
        titles = np.stack([product.title_pieces.whole for product in products])
        near = features[:, MATCH_NAMES.index("cosine_title")]
        features[:, MATCH_NAMES.index("agreement")] = agreement(near, titles)
    return features


class _QueryStatistics(NamedTuple):
    query: QueryRead
    rarity: Float32[np.ndarray, "q"]  # of stems
    piece_rarity: Float32[np.ndarray, "p"]


def _row(asked: _QueryStatistics, product: ProductRead, rarity: Rarity) -> list[float]:
    values = {
        **_lengths(product),
        **_signs(asked.query.signs, product),
        **_pieces(asked, product),
        **_words(asked, product, rarity),
    }
    return [values.get(feature.name, feature.default) for feature in MATCH_FEATURES]


def _lengths(product: ProductRead) -> dict[str, float]:
    return {
        "title_words": math.log1p(len(product.title.stems)),
        "text_words": math.log1p(len(product.whole.stems)),
    }


def _signs(query: TextAttributes, product: ProductRead) -> dict[str, float]:
    title = product.signs
    shares = {
        "codes_title": (query.codes & title.codes, query.codes),
        "refused_title": (query.negated & title.affirmed, query.negated),
        "grams_title": (query.grams & title.grams, query.grams),
    }
    found = {name: len(part) / len(whole) for name, (part, whole) in shares.items() if whole}
    if query.head_noun and title.head_noun:
        found["head_same"] = float(query.head_noun == title.head_noun)
    return found


def _pieces(asked: _QueryStatistics, product: ProductRead) -> dict[str, float]:
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
            "pieces_weighted": float(weighted_mean(best, asked.piece_rarity)),
            "pieces_asked": float(near.max(axis=0).mean()),
            "head_pieces": float(best[-1]),
        }
    if len(query.pieces) and len(text.pieces):
        best = max_similarity(query.tokens, text.tokens)
        found["cosine_text"] = float(query.whole @ text.whole)
        found["pieces_text"] = float(weighted_mean(best, asked.piece_rarity))
    return found


def _words(asked: _QueryStatistics, product: ProductRead, rarity: Rarity) -> dict[str, float]:
    query = asked.query.words
    if not len(query.stems) or not len(product.whole.stems):
        return {}
    whole = query.stems[:, None] == product.whole.stems
    found = {"bm25_text": bm25_share(whole, asked.rarity, rarity.text_words)}
    if len(product.description.stems):
        inside = (query.stems[:, None] == product.description.stems).any(axis=1)
        found["rare_description"] = float(weighted_mean(inside, asked.rarity))
    return found | _title_words(asked, product.title, rarity)


def _title_words(asked: _QueryStatistics, title: NumberedWords, rarity: Rarity) -> dict[str, float]:
    query = asked.query.words
    if not len(title.stems):
        return {}
    same = query.stems[:, None] == title.stems  # q t
    found = same.any(axis=1)
    return {
        "words_title": float((query.words[:, None] == title.words).any(axis=1).mean()),
        "stems_title": float(found.mean()),
        "all_title": float(found.all()),
        "run_title": longest_run(same) / len(query.stems),
        "bm25_title": bm25_share(same, asked.rarity, rarity.title_words),
    }


def max_similarity(
    query: Float32[np.ndarray, "q d"], product: Float32[np.ndarray, "t d"]
) -> Float32[np.ndarray, "q"]:
    """Return of each query piece its cosine to the nearest of the product's.

    Late interaction (Khattab and Zaharia 2020, ColBERT).
    """
    return np.asarray((query @ product.T).max(axis=1))


def bm25_share(
    same: Bool[np.ndarray, "q t"], rarity: Float32[np.ndarray, "q"], mean_words: float
) -> float:
    """Return BM25 of a text against the most that any text could have; 1 means all words, often.

    Robertson and Zaragoza 2009, with k1 = 1.2 and b = 0.75.
    """
    times = same.sum(axis=1)  # q
    saturated = times / (times + K1 * (1 - B + B * same.shape[1] / mean_words))
    return float(weighted_mean(saturated, rarity))


def longest_run(same: Bool[np.ndarray, "q t"]) -> int:
    """Return the length of the longest common run of words: the longest diagonal of `same`."""
    run = np.zeros(same.shape[1] + 1, np.int64)
    longest = 0
    for row in same:
        run[1:] = np.where(row, run[:-1] + 1, 0)
        longest = max(longest, int(run.max()))
    return longest


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
