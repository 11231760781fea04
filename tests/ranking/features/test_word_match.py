import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from index import DamagedIndex, WordReader
from ranking.features.catalogue_words import CatalogueWords, ProductText
from ranking.features.definitions import WORD_FEATURES
from ranking.features.text_attributes import read_attributes
from ranking.features.word_match import MOST_WORDS
from ranking.text_heads.match_features import MATCH_NAMES, Rarity, TextHeadReader, match
from retrieval.encoders.text import TokenVectors
from tests.assertions import each, every

TEXT = (
    "red wool scarf scarves red-brown pan 12 inch 12in 10 inches 500 g without lid for the phone "
    "case milk oat 1.5 l, L ( pack of 2 ) ; zx-200 ½ 牛奶 茶色 no sugar Ärmel - ''"
)
WORDS = TEXT.split()
NAMES = [feature.name for feature in WORD_FEATURES]
DEFAULTS = {feature.name: feature.default for feature in WORD_FEATURES}
READER = WordReader()


def matched(query: str, *products: ProductText | str) -> list[dict[str, float]]:
    """Return the features of each product in a shop of just these."""
    texts = [ProductText(one) if isinstance(one, str) else one for one in products]
    return served(CatalogueWords.read(texts, "english"), query, list(range(len(texts))))


def served(words: CatalogueWords, query: str, rows: list[int]) -> list[dict[str, float]]:
    found = words.match(query, np.array(rows, np.int64))
    columns = {name: found.get(name, np.full(len(rows), DEFAULTS[name])) for name in NAMES}
    assert set(found) <= set(NAMES)
    return [{name: float(column[i]) for name, column in columns.items()} for i in range(len(rows))]


def one_by_one(query: str, product: ProductText, shop: "PlainShop") -> dict[str, float]:
    """Say what each feature is in plain words, for one query and one product."""
    asked, title, brand = (READER.stems(t) for t in (query, product.title, product.brand))
    asked = asked[:MOST_WORDS]
    whole = READER.stems(product.whole())

    def rarity(stem: str) -> float:
        n = shop.counts[stem]
        return math.log1p((shop.size - n + 0.5) / (n + 0.5))

    def share(stems: list[str], among: list[str]) -> float:
        return sum(rarity(s) for s in stems if s in among) / sum(map(rarity, stems))

    found = dict(DEFAULTS)
    pairs, there = (list(pairwise(stems)) for stems in (asked, title))
    if asked:
        found["query_words"] = math.log(1 + len(asked))
        found["rare_text"] = share(asked, whole)
    if asked and title:
        places = [title.index(stem) for stem in asked if stem in title]
        found["rare_title"] = share(asked, title)
        found["asked_title"] = share(title, asked)
        found["place_title"] = 1 - np.mean(places) / len(title) if places else 0
        beside = [pair in there for pair in pairs] or [asked[0] in title]
        found["bigrams_title"] = float(np.mean(beside))
    if asked and brand:
        found["brand_asked"] = float(np.mean([stem in asked for stem in brand]))
    wanted, has = read_attributes(query, READER.stems), read_attributes(product.title, READER.stems)
    if wanted.head_noun and has.head_noun:
        found["head_found"] = float(wanted.head_noun in has.affirmed)
    if wanted.numbers:
        found["numbers_title"] = len(wanted.numbers & has.numbers) / len(wanted.numbers)
    if wanted.measures:
        other = [
            (unit, size) not in has.measures and unit in dict(has.measures)
            for unit, size in wanted.measures
        ]
        found["measures_other"] = float(np.mean(other))
    return found


class PlainShop(NamedTuple):
    """How many products there are, and how many of them have each stem."""

    size: int
    counts: Counter[str]

    @classmethod
    def of(cls, shop: list[ProductText]) -> "PlainShop":
        stems = (set(READER.stems(one.whole())) for one in shop)
        return cls(len(shop), Counter(stem for some in stems for stem in some))


def some_text(random: np.random.Generator, most: int) -> str:
    return " ".join(random.choice(WORDS, int(random.integers(0, most))))


def some_shop(random: np.random.Generator) -> list[ProductText]:
    return [
        ProductText(some_text(random, 9), some_text(random, 30), some_text(random, 3))
        for _ in range(40)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_all_candidates_at_once_get_what_each_gets_one_by_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    shop = some_shop(random)
    words, plain = CatalogueWords.read(shop, "english"), PlainShop.of(shop)
    rows = random.integers(0, len(shop), 15).tolist()

    for query in each([some_text(random, 12) for _ in range(20)] + ["", "never heard", "a " * 90]):
        for found, row in each(zip(served(words, query, rows), rows, strict=True)):
            expected = one_by_one(query, shop[row], plain)
            assert list(found.values()) == pytest.approx(list(expected.values()), abs=1e-6), query


def test_text_heads_and_the_ranker_see_the_same_numbers() -> None:
    random = np.random.default_rng(3)
    shop = some_shop(random)
    queries = [some_text(random, 9) for _ in range(20)]
    reader = TextHeadReader(lambda texts: [NO_PIECES] * len(texts))
    read = reader.products(shop)
    rarity = Rarity.of(read)
    words = CatalogueWords.read(shop, "english")

    for query, asked in each(zip(queries, reader.queries(queries), strict=True)):
        heads = match(asked, read, rarity)[:, [MATCH_NAMES.index(name) for name in NAMES]]
        ranker = served(words, query, list(range(len(shop))))
        np.testing.assert_allclose(heads, [[f[name] for name in NAMES] for f in ranker], rtol=1e-6)


NO_PIECES = TokenVectors(
    np.empty(0, np.int64), np.empty((0, 4), np.float32), np.zeros(4, np.float32)
)


def test_a_row_is_the_same_to_the_last_bit_in_whatever_company() -> None:
    random = np.random.default_rng(5)
    words = CatalogueWords.read(some_shop(random), "english")
    for query in each([some_text(random, 40) for _ in range(20)]):
        every = served(words, query, list(range(40)))

        rows = random.permutation(40)[: int(random.integers(1, 40))].tolist()
        assert served(words, query, rows) == [every[row] for row in rows]
        assert served(words, query, rows[:1]) == [every[rows[0]]]


def test_a_title_with_all_the_words_is_above_one_with_some_and_that_above_one_with_none() -> None:
    every, some, none = matched("red wool scarf", "red wool scarf", "red silk scarf", "blue hat")

    for name in ("rare_title", "rare_text", "asked_title", "bigrams_title"):
        assert every[name] == pytest.approx(1)
        assert every[name] > some[name] >= none[name] == 0, name


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    rare, common, _ = matched("lamp zinc", "zinc shelf", "lamp shelf", "lamp shade")

    assert rare["rare_title"] > common["rare_title"] > 0


def test_a_word_that_the_shop_does_not_know_is_unmatched_and_rare() -> None:
    both, one = (matched(text, "red scarf", "red hat")[0] for text in ("red scarf", "red xylotol"))

    assert both["rare_title"] == pytest.approx(1)
    assert 0 < one["rare_title"] < 0.5
    assert one["query_words"] == pytest.approx(math.log(3))


def test_the_order_of_words_is_seen() -> None:
    same, turned, apart = matched(
        "chocolate milk", "chocolate milk", "milk chocolate", "chocolate and milk"
    )

    assert (same["bigrams_title"], turned["bigrams_title"], apart["bigrams_title"]) == (1, 0, 0)
    assert same["rare_title"] == turned["rare_title"]


def test_words_of_two_products_are_no_neighbours() -> None:
    first, second = matched("chocolate milk", "dark chocolate", "milk")

    assert (first["bigrams_title"], second["bigrams_title"]) == (0, 0)


def test_what_stands_early_in_the_title_counts_more() -> None:
    early, late = matched("phone", "phone with case", "case for phone")

    assert early["place_title"] == 1
    assert late["place_title"] == pytest.approx(1 / 3)


def test_a_title_that_says_little_else_is_asked_for_the_more() -> None:
    short, long = matched("oat milk", "oat milk", "oat milk chocolate with nuts")

    assert short["asked_title"] == pytest.approx(1)
    assert long["asked_title"] < 0.7


def test_what_only_the_description_or_the_brand_says_counts_in_the_whole_text() -> None:
    [found] = matched("oak table", ProductText("table", description="made of oak", brand="Oak"))

    assert found["rare_title"] == pytest.approx(0.5)
    assert found["rare_text"] == pytest.approx(1)
    assert found["brand_asked"] == 1


def test_another_size_is_noticed_and_none_is_not() -> None:
    same, other, none = matched("12 inch pan", '12" pan', "10 in. pan", "pan")

    assert (same["measures_other"], other["measures_other"], none["measures_other"]) == (0, 1, 0)
    assert (same["numbers_title"], other["numbers_title"], none["numbers_title"]) == (1, 0, 0)


def test_an_accessory_of_something_else_lacks_the_head() -> None:
    with_it, without, negated = matched("glass lid", "pan with lid", "glass pan", "pan without lid")

    assert (with_it["head_found"], without["head_found"], negated["head_found"]) == (1, 0, 0)


@pytest.mark.parametrize("query", ["", "  ", "!?"])
def test_without_words_every_feature_is_its_default(query: str) -> None:
    assert matched(query, "red scarf", "") == [DEFAULTS, DEFAULTS]


def test_every_number_is_finite_whatever_the_text() -> None:
    odd = ["", "🍞", "a" * 9_000, "½ \" ' 5/8-in", "牛奶", "w/o", "-" * 500, "1 " * 500]

    for query in each(odd):
        for found in each(matched(query, *odd)):
            assert every(math.isfinite(value) for value in found.values()), query


def test_no_candidates_and_an_empty_shop_have_no_rows() -> None:
    assert served(CatalogueWords.read([], "english"), "red", []) == []
    assert served(CatalogueWords.read([ProductText("red")], "english"), "red", []) == []


def test_a_saved_catalogue_says_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    words = CatalogueWords.read(some_shop(random), "german")
    words.save(tmp_path / "words")

    again = CatalogueWords.open(tmp_path / "words")

    rows = list(range(40))
    for query in each([some_text(random, 9) for _ in range(10)]):
        assert served(again, query, rows) == served(words, query, rows)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"language": "klingon", "words": []}', b'{"language": "english"}']
)
def test_a_vocabulary_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    CatalogueWords.read([ProductText("red scarf")], "english").save(tmp_path / "words")
    (tmp_path / "words/words.json").write_bytes(content)

    with pytest.raises(DamagedIndex, match="words holds no words of a catalogue"):
        CatalogueWords.open(tmp_path / "words")


def test_a_stem_is_found_in_the_language_of_the_shop() -> None:
    words = CatalogueWords.read([ProductText("Gläser"), ProductText("Teller")], "german")

    glass, plate = served(words, "glas", [0, 1])

    assert (glass["head_found"], plate["head_found"]) == (1, 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_product_beside_the_catalogue_answers_as_it_would_within(seed: int) -> None:
    random = np.random.default_rng(seed)
    shop = some_shop(random)
    words = CatalogueWords.read(shop, "english")

    for query in each([some_text(random, 12) for _ in range(20)]):
        within, beside = words.match(query, np.arange(len(shop))), words.match_texts(query, shop)

        assert within.keys() == beside.keys()
        for name, column in within.items():
            np.testing.assert_array_equal(column, beside[name], name)


def test_words_that_the_catalogue_lacks_are_told_apart_beside_it() -> None:
    words = CatalogueWords.read([ProductText("red scarf")], "english")

    found = words.match_texts("zucchini", [ProductText("zucchini"), ProductText("aubergine")])

    assert found["rare_text"].tolist() == [1, 0]
    assert words.match_texts("zucchini", []) == {}


def test_new_words_of_one_product_are_told_from_those_of_the_catalogue() -> None:
    words = CatalogueWords.read([ProductText("red scarf")], "english")

    found = words.match_texts("scarf", [ProductText("zucchini aubergine"), ProductText("scarf")])

    assert found["rare_text"].tolist() == [0, 1]


def test_a_text_without_words_and_no_product_at_all_are_compared_with_nothing() -> None:
    words = CatalogueWords.read([ProductText("red scarf")], "english")

    assert words.match(" ", np.arange(1)) == words.match("scarf", np.arange(0)) == {}
    assert words.match_texts(" ", [ProductText("scarf")]) == {}


def test_words_beyond_the_bounds_of_a_query_and_of_a_title_are_not_looked_at() -> None:
    long, longer = (ProductText("zucchini " * count + "scarf") for count in (511, 512))
    words = CatalogueWords.read([ProductText("scarf"), long, longer], "english")

    asked, too_far = (
        words.match("aubergine " * count + "scarf", np.arange(1))["rare_text"] for count in (63, 64)
    )

    assert asked[0] > 0 == too_far[0]
    assert words.match("scarf", np.arange(3))["rare_title"].tolist() == [1, 1, 0]


def test_a_word_that_no_product_has_is_the_rarest() -> None:
    words = CatalogueWords.read([ProductText("red scarf"), ProductText("scarf")], "english")

    found = words.match("scarf zucchini", np.arange(2))

    known, new = math.log1p((2 - 2 + 0.5) / (2 + 0.5)), math.log1p((2 + 0.5) / 0.5)
    assert found["rare_text"].tolist() == pytest.approx([known / (known + new)] * 2)
