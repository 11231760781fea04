"""Words that are written as one or as two, by what the catalogue writes."""

from pathlib import Path

import numpy as np
import pytest

from index import DeltaIndex, LexicalIndex

TITLES = [
    "Ice Cream vanilla",  # 0
    "Dog food beef",  # 1
    "Toothpaste mint",  # 2
    "Wi-Fi router",  # 3
    "Coca-Cola can",  # 4
    "iPhone 14 case",  # 5
    "Silver ring",  # 6
    "Carpet grey",  # 7
    "Carpet blue",  # 8
    "Car seat for a pet",  # 9
    "Earbuds",  # 10
    "Ear buds of foam",  # 11
    "Silvering polish",  # 12
    "Damen Hand Tasche",  # 13
    "Drill GSR 18V",  # 14
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    folder = tmp_path_factory.mktemp("words") / "x"
    return LexicalIndex.build(folder, {"title": 2.0}, [{"title": title} for title in TITLES])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("icecream", [0]),
        ("dogfood", [1]),
        ("tooth paste", [2]),
        ("tooth-paste", [2]),
        ("wifi", [3]),
        ("wi fi", [3]),
        ("cocacola", [4]),
        ("coca cola", [4]),
        ("iphone14", [5]),
        ("handtasche", [13]),
        ("gsr18v", [14]),
        ("earbud", [10, 11]),
        ("ear bud", [10, 11]),
        ("silver ring", [6]),  # whose one word would have the stem of `silvering`
        ("carpet", [7, 8]),  # `car` and `pet` are no neighbours
    ],
)
def test_words_are_joined_and_parted_as_the_catalogue_writes_them(
    words: LexicalIndex, text: str, rows: list[int]
) -> None:
    assert words.search(text, 10).rows.tolist()[: len(rows)] == rows
    beside = DeltaIndex(words)
    for title in TITLES:
        beside.add({"title": title})
    assert beside.scores(text, beside.size).argmax() == rows[0]


def test_a_parted_word_is_said(words: LexicalIndex) -> None:
    assert words.read("icecream").rewrites == (("icecream", ("ice cream",), "compound"),)
    assert words.read("tooth paste").rewrites == ()  # nothing is guessed
    assert words.read("earbuds").rewrites == ()  # products write it so, others as two


def test_a_compound_counts_about_as_much_as_its_words(words: LexicalIndex) -> None:
    [one, two] = words.search("earbuds", 2).scores

    assert two == pytest.approx(one, rel=0.35)


def test_a_word_with_neighbouring_halves_is_not_corrected(tmp_path: Path) -> None:
    titles = ["dog food", "dogwood", "dogwood tree"]
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, [{"title": t} for t in titles])

    assert index.read("dogfood").rewrites == (("dogfood", ("dog food",), "compound"),)
    assert index.search("dogfood", 3).rows.tolist() == [0]


COMPOUNDS = [
    "Keyboard", "Key board", "Board game with a key", "Keyboard white", "Key ring", "Chess board",
    *(f"ice pack {n}" for n in range(9)), *(f"cream soap {n}" for n in range(9)), "Icecream cone",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rows"),
    [("keyboard", [0, 1, 3]), ("key board", [0, 1, 2, 3]), ("ice cream", [24])],
)
def test_a_row_holds_a_word_however_it_is_parted_and_however_rare_that_is(
    tmp_path: Path, text: str, rows: list[int]
) -> None:
    documents = [{"title": title} for title in COMPOUNDS]
    index = LexicalIndex.build(tmp_path / "x", {"title": 2.0}, documents)
    beside = DeltaIndex(index)
    for document in documents:
        beside.add(document)

    assert index.holding_all(text).tolist() == rows
    assert np.flatnonzero(beside.holding_all(text, beside.size)).tolist() == rows
