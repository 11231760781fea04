from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index import LexicalIndex

DOCUMENTS = [
    {"title": "Rye bread", "brand": "Oat Co"},
    {"title": "Oat drink", "brand": "Oat Co"},
    {"title": "Breads of the world", "brand": "Books"},
    {"title": "Crème brûlée", "brand": "Sweet"},
    {"title": "", "brand": ""},
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LexicalIndex]:
    folder: Path = tmp_path_factory.mktemp("words") / "lexical"
    LexicalIndex.build(folder, {"title": 2.0, "brand": 1.0}, DOCUMENTS)
    return LexicalIndex.open(folder)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("bread", [0, 2]),
        ("BREADS", [0, 2]),
        ("creme brulee", [3]),
        ("rye oat", [0, 1]),
        ("", []),
        ("zebra", []),
        ("title:bread AND (", [0, 2]),
        ("\x00 \ud7ff", []),
    ],
)
def test_rows_that_share_a_word_are_found(words: LexicalIndex, text: str, rows: list[int]) -> None:
    assert sorted(words.search(text, 10).rows) == rows


def test_a_word_in_the_title_weighs_more_than_one_in_the_brand(words: LexicalIndex) -> None:
    assert words.search("oat", 10).rows.tolist() == [1, 0]


@pytest.mark.parametrize("rows", [[2], [0, 1, 3], [3, 4]])
def test_nothing_outside_the_filter_is_returned(words: LexicalIndex, rows: list[int]) -> None:
    allowed = np.isin(np.arange(5), rows)

    assert set(words.search("bread oat", 10, allowed).rows) <= set(rows)


def test_a_row_scores_the_same_whoever_else_is_asked_for(words: LexicalIndex) -> None:
    hits = words.search("rye bread", 10)

    alone = [words.score("rye bread", np.array([row]))[0] for row in hits.rows]

    np.testing.assert_allclose(alone, hits.scores, rtol=1e-6)


def test_a_row_without_the_words_scores_zero(words: LexicalIndex) -> None:
    assert words.score("rye", np.array([1, 0, 4]))[[0, 2]].tolist() == [0, 0]


def test_a_query_of_a_thousand_words_is_answered(words: LexicalIndex) -> None:
    text = " ".join(f"w{i}" for i in range(10)) + " rye " + "x y z " * 500

    assert words.search(text, 3).rows.tolist() == [0]


def test_a_broad_filter_over_many_rows_loses_nothing(tmp_path: Path) -> None:
    documents = [{"title": f"soup {i % 7}"} for i in range(20_000)]
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, documents)
    allowed = np.arange(20_000) >= 9_000

    hits = index.search("soup", 15_000, allowed)

    assert set(hits.rows) == set(range(9_000, 20_000))
