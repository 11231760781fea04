from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ranking.features.catalogue_words import ProductText
from ranking.text_heads.match_features import (
    DEFAULTS,
    MATCH_NAMES,
    Rarity,
    TextHeadReader,
    agreement,
    bm25_share,
    longest_run,
    match,
)
from retrieval.encoders.text import TokenVectors
from tests.assertions import each, every

Match = Callable[..., list[dict[str, float]]]


def letters(texts: Sequence[str]) -> list[TokenVectors]:
    """Read each word as one piece: a unit vector of its letters."""
    return [_letters(text.lower().split()) for text in texts]


def _letters(words: list[str]) -> TokenVectors:
    counts = np.array([[word.count(chr(97 + i)) for i in range(26)] for word in words], np.float32)
    counts = counts.reshape(len(words), 26)
    unit = counts / np.linalg.norm(counts, axis=1, keepdims=True).clip(1e-6)
    whole = counts.sum(axis=0)
    pieces = np.array([sum(map(ord, word)) for word in words], np.int64)
    return TokenVectors(pieces, unit, whole / max(float(np.linalg.norm(whole)), 1e-6))


def matched(query: str, *products: ProductText | str) -> list[dict[str, float]]:
    texts = [ProductText(p) if isinstance(p, str) else p for p in products]
    reader = TextHeadReader(letters)
    read = reader.products(texts)
    [asked] = reader.queries([query])
    rows = match(asked, read, Rarity.of(read))
    return [dict(zip(MATCH_NAMES, row.tolist(), strict=True)) for row in rows]


def test_a_title_that_is_the_query_matches_it_wholly() -> None:
    [found] = matched("red wool scarf", "red wool scarf")

    whole = (
        "cosine_title",
        "pieces_least",
        "words_title",
        "rare_title",
        "run_title",
        "grams_title",
    )
    assert {name: found[name] for name in whole} == pytest.approx(dict.fromkeys(whole, 1.0))
    assert found["all_title"] == found["head_same"] == found["bigrams_title"] == 1.0


def test_an_inflected_word_is_found_by_its_stem_and_not_as_written() -> None:
    [found] = matched("scarves", "scarve")

    assert found["stems_title"] == 1.0
    assert found["words_title"] == 0.0


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    rare, common, _ = matched("lamp zinc", "zinc shelf", "lamp shelf", "lamp shade")

    assert rare["stems_title"] == common["stems_title"]
    assert rare["rare_title"] > common["rare_title"]


def test_the_order_of_words_is_seen() -> None:
    same, turned = matched("chocolate milk", "chocolate milk", "milk chocolate")

    assert same["bigrams_title"] > turned["bigrams_title"]
    assert same["run_title"] > turned["run_title"]
    assert same["stems_title"] == turned["stems_title"]


def test_what_only_the_description_says_counts_there() -> None:
    [found] = matched("oak table", ProductText("table", description="made of oak", brand="Oak"))

    assert found["stems_title"] == 0.5
    assert 0 < found["rare_description"] < 1
    assert found["rare_text"] == pytest.approx(1.0)
    assert found["brand_asked"] == 1.0


def test_another_size_is_noticed_and_none_is_not() -> None:
    same, other, none = matched("12 inch pan", '12" pan', "10 in. pan", "pan")

    assert (same["measures_other"], other["measures_other"], none["measures_other"]) == (0, 1, 0)
    assert (same["numbers_title"], other["numbers_title"]) == (1, 0)


def test_a_refused_word_is_counted_against_what_the_title_promises() -> None:
    sweet, plain = matched("syrup without sugar", "syrup with sugar", "syrup without sugar")

    assert (sweet["refused_title"], plain["refused_title"]) == (1, 0)


def test_an_accessory_is_told_from_the_thing_by_its_head() -> None:
    thing, accessory = matched("phone", "small phone", "case for small phone")

    assert (thing["head_same"], accessory["head_same"]) == (1, 0)


def test_what_cannot_be_compared_keeps_its_default() -> None:
    lengths = ("query_words", "title_words", "text_words")
    for query, title in (("", "red scarf"), ("red scarf", ""), ("", "")):
        [found] = matched(query, title)

        rest = {name: value for name, value in found.items() if name not in lengths}
        defaults = dict(zip(MATCH_NAMES, DEFAULTS.tolist(), strict=True))
        assert rest == {name: defaults[name] for name in rest}


def test_every_number_is_finite_whatever_the_text() -> None:
    odd = ["", "  ", "🍞", "a" * 9_000, "½ \" ' 5/8-in", "牛奶", "w/o", "-" * 500, "1" * 500]

    for query in each(odd):
        for found in each(matched(query, *odd)):
            assert every(np.isfinite(value) for value in found.values()), query


def test_reordering_products_reorders_rows() -> None:
    titles = ["red scarf", "blue scarf", "red hat", ""]

    rows = matched("red scarf", *titles)

    for one, other in each(zip(matched("red scarf", *titles[::-1])[::-1], rows, strict=True)):
        assert one == pytest.approx(other, abs=1e-6)


def test_only_agreement_depends_on_the_other_products() -> None:
    reader = TextHeadReader(letters)
    read = reader.products([ProductText(title) for title in ("red scarf", "blue scarf", "hat")])
    [query] = reader.queries(["red scarf"])
    rarity = Rarity.of(read)

    alone, among = match(query, read[:1], rarity)[0], match(query, read, rarity)[0]

    other = [name for name, a, b in zip(MATCH_NAMES, alone, among, strict=True) if a != b]
    assert other == ["agreement"]


def test_a_title_agrees_with_those_that_are_likely() -> None:
    titles = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    near = np.array([0.9, 0.5, 0.1], np.float32)

    found = agreement(near, titles)

    assert found[1] > found[2]  # the second is like the first, which is most like the query


def test_the_longest_run_is_the_longest_diagonal() -> None:
    same = np.zeros((4, 6), bool)
    same[[0, 1, 2], [2, 3, 4]] = True
    same[3, 0] = True

    assert longest_run(same) == 3


def test_bm25_rises_with_each_occurrence_and_falls_with_length() -> None:
    rarity = np.ones(1, np.float32)
    once, twice = np.array([[True, False]]), np.array([[True, True]])
    longer = np.array([[True, False, False, False]])

    found = [bm25_share(same, rarity, 2.0) for same in (longer, once, twice)]

    assert found == sorted(found)
    assert found[1] == pytest.approx(1 / 2.2)


def test_no_products_give_no_rows() -> None:
    assert matched("red scarf") == []
