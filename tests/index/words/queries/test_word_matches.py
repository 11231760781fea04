"""Which words of a query each row holds."""

from pathlib import Path

import numpy as np
import pytest

from index import DeltaIndex, LexicalIndex, QueryRelaxation

WEIGHTS = {"title": 2.0, "description": 0.5}
DOCUMENTS = [
    {"title": "Selfie stick for phones"},
    {"title": "Phone case", "description": "goes with a selfie stick"},
    {"title": "Stick of butter"},
    {"title": "Telephone"},
    {"title": ""},
    *({"title": f"phone {number}"} for number in range(10)),
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    folder = tmp_path_factory.mktemp("words") / "x"
    relaxation = QueryRelaxation(synonyms=b"telephone, phone")
    return LexicalIndex.build(folder, WEIGHTS, DOCUMENTS, "english", relaxation)


@pytest.fixture(scope="module")
def beside(words: LexicalIndex) -> DeltaIndex:
    delta = DeltaIndex(words)
    for document in DOCUMENTS:
        delta.add(document)
    return delta


def test_a_row_with_all_words_in_its_title_has_the_whole_share(words: LexicalIndex) -> None:
    matches = words.matches("stick selfie", np.array([4, 1, 0, 2]))

    assert matches.named[[0, 1, 2]].tolist() == [0, 0, 1]
    assert matches.anywhere[[0, 1, 2]].tolist() == [0, 1, 1]
    assert 0 < matches.named[3] < 0.5  # the more frequent of the two words


@pytest.mark.parametrize("text", ["selfy stick", "selfei stick"])
def test_a_corrected_word_counts_as_held(words: LexicalIndex, text: str) -> None:
    assert words.matches(text, np.array([0])).named.tolist() == [1]


def test_a_synonym_counts_as_held(words: LexicalIndex) -> None:
    assert words.matches("telephone", np.array([0, 3])).named.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("selfie stick", [0, 1]),
        ("selfie stick phone -case", [0]),
        ("stick butter", [2]),
        ("zzzz stick", [0, 1, 2]),  # a word that no row has asks for nothing
        ("zzzz", []),
        ("", []),
        ("selfie butter", []),
    ],
)
def test_all_rows_that_hold_all_words_are_told(
    words: LexicalIndex, beside: DeltaIndex, text: str, rows: list[int]
) -> None:
    assert words.holding_all(text).tolist() == rows
    assert np.flatnonzero(beside.holding_all(text, beside.size)).tolist() == rows
    assert words.holding_all(text, np.arange(len(DOCUMENTS)) > 0).tolist() == [
        row for row in rows if row > 0
    ]


@pytest.mark.parametrize("text", ["selfie stick", "phone", "sticks butter zzzz", "a-b", ""])
def test_shares_are_the_same_beside_the_index(
    words: LexicalIndex, beside: DeltaIndex, text: str
) -> None:
    within = words.matches(text, np.arange(len(DOCUMENTS)))
    outside = beside.matches(text, beside.size)

    np.testing.assert_allclose(within, outside, atol=1e-6)


def test_no_rows_hold_nothing(words: LexicalIndex) -> None:
    matches = words.matches("selfie stick", np.empty(0, np.int64))

    assert len(matches.named) == len(matches.anywhere) == 0


def test_a_query_of_many_words_is_weighed_word_by_word(tmp_path: Path) -> None:
    titles = [f"word{chr(97 + n)}" for n in range(26)]
    documents = [{"title": title} for title in [*titles, " ".join(titles)]]
    index = LexicalIndex.build(tmp_path / "x", WEIGHTS, documents, "none")

    named = index.matches(" ".join(titles), np.arange(27)).named

    np.testing.assert_allclose(named, [*[1 / 26] * 26, 1], atol=1e-6)
