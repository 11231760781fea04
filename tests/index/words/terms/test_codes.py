"""Codes: whole, by a part and by their beginning."""

from pathlib import Path

import pytest

from index import DeltaIndex, LexicalIndex
from index.words.terms.codes import document_codes

DOCUMENTS = [
    {"title": "Brake pad", "codes": "c3\nNOR.0707-60\n4006381333931"},
    {"title": "Brake pad", "codes": "c4\nNOR.0707-61\n4006381333948"},
    {"title": "Oil filter", "codes": "501\nOC 215 29\n0012345678905"},
    {"title": "Jeans 501", "codes": "J-1"},
    {"title": "Sheet of 500", "codes": "garden-hose\n06019H5203"},
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    folder = tmp_path_factory.mktemp("words") / "x"
    return LexicalIndex.build(folder, {"title": 2.0, "codes": 2.0}, DOCUMENTS)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("NOR.0707-60", [0]),
        ("nor070760", [0]),
        ("nor 0707 60", [0]),
        ("0707-60", [0]),
        ("070760", [0]),
        ("nor.0707", [0, 1]),
        ("40063813", [0, 1]),
        ("4006381333948", [1]),
        ("04006381333948", [1]),
        ("12345678905", [2]),
        ("012345678905", [2]),
        ("oc21529", [2]),
        ("OC-215-29", [2]),
        ("garden-hose", [4]),
        ("6019h5203", [4]),
        ("hose", []),
        ("60", []),  # two digits are no code
    ],
)
def test_codes_are_found_within_the_index_and_beside_it(
    words: LexicalIndex, text: str, rows: list[int]
) -> None:
    beside = DeltaIndex(words)
    for document in DOCUMENTS:
        beside.add(document)

    scores = beside.scores(text, beside.size)

    assert sorted(words.search(text, 5).rows.tolist()) == rows
    assert sorted(row for row, score in enumerate(scores) if score > 0) == rows


def test_a_code_beside_words_needs_more_than_a_short_number(words: LexicalIndex) -> None:
    assert words.search("jeans 501", 5).rows.tolist() == [3]
    assert words.search("501", 5).rows.tolist()[0] in (2, 3)
    assert words.search("brake pad 0707-61", 1).rows.tolist() == [1]


def test_a_new_code_is_found_by_its_beginning_before_the_next_build(words: LexicalIndex) -> None:
    beside = DeltaIndex(words)
    beside.add({"title": "Wiper", "codes": "WX-9000-B"})

    for text in ("wx9000b", "WX-9000", "wx-90", "9000-b"):
        assert beside.scores(text, 1)[0] > 0, text


def test_the_terms_of_a_code_are_few_however_long_it_is(tmp_path: Path) -> None:
    assert len(document_codes("-".join("a1" for _ in range(1_000)))) <= 10
    assert document_codes("---") == []
