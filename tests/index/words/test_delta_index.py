from pathlib import Path

import numpy as np
import pytest

from index import DeltaIndex, LexicalIndex, QueryRelaxation

WEIGHTS = {"title": 2.0, "brand": 1.0}
DOCUMENTS = [
    {"title": "Oat milk barista", "brand": "North"},
    {"title": "Oat cookies with oat flakes", "brand": "South"},
    {"title": "Rye bread with seeds and more oat than you would think", "brand": ""},
    {"title": "Crème brûlée", "brand": "North"},
    {"title": "茶色の靴", "brand": "West"},
    {"title": "Ice cream 2x500ml", "brand": "Wi-Fi"},
    {"title": "Sponge 12 fl oz, 140 x 200 cm", "brand": "C++"},
]


@pytest.fixture
def large(tmp_path: Path) -> LexicalIndex:
    synonyms = QueryRelaxation(synonyms=b"biscuits, cookies\nporridge => oat milk")
    return LexicalIndex.build(tmp_path / "words", WEIGHTS, DOCUMENTS, "english", synonyms)


@pytest.mark.parametrize(
    "text",
    [
        "oat",
        "OATS milk",
        "north",
        "with oat seeds",
        "creme",
        "茶",
        "x",
        "cokies",
        "baritsa north",
        "biscuit",
        "porridge",
        "icecream 500 ml",
        "2 x 500ml",
        "wifi",
        "wi-fi cream",
        "c++ 12 oz 140x200",
        "oat -barista",
        '"oat milk"',
        "น้ำ",
    ],
)
def test_a_document_beside_the_index_scores_as_it_does_within(
    large: LexicalIndex, text: str
) -> None:
    few = DeltaIndex(large)
    for document in DOCUMENTS:
        few.add(document)

    beside = few.scores(text, few.size)

    assert np.allclose(beside, large.score(text, np.arange(len(DOCUMENTS))), atol=1e-5)


def test_a_word_that_the_index_lacks_is_found(large: LexicalIndex) -> None:
    few = DeltaIndex(large)
    few.add({"title": "Zucchini"})

    assert few.scores("zucchinis", 1)[0] > 0


def test_a_new_word_is_found_as_written_before_what_it_might_be_misread_as(
    large: LexicalIndex,
) -> None:
    few = DeltaIndex(large)
    few.add({"title": "Cookers"})
    few.add({"title": "Cookies"})

    cooker, cookies = few.scores("cookeis cookers", 2)

    assert cooker > 0 < cookies
    assert few.scores("cookers", 2).argmax() == 0


def test_documents_added_later_are_not_in_an_earlier_view(large: LexicalIndex) -> None:
    few = DeltaIndex(large)
    few.add({"title": "Zucchini"})
    few.add({"title": "Zucchini"})

    assert few.scores("zucchini", 1).shape == (1,)


def test_a_word_that_only_a_new_document_has_is_required_of_new_documents(
    large: LexicalIndex,
) -> None:
    few = DeltaIndex(large)
    few.add({"title": "Zucchini"})
    few.add({"title": "Oat milk"})

    assert few.holding_all("zucchini", 2).tolist() == [True, False]
    assert few.holding_all("zucchini milk", 2).tolist() == [False, False]


def test_an_index_without_a_word_in_a_field_does_not_stop_it(tmp_path: Path) -> None:
    few = DeltaIndex(LexicalIndex.build(tmp_path / "words", WEIGHTS, [{"title": ""}]))
    few.add({"title": "Zucchini", "brand": "North"})

    assert few.scores("north", 1)[0] > 0


@pytest.mark.parametrize("text", ["4006", "ab12", "ab-123 oat", "400638 AB-1234"])
def test_the_beginning_of_codes_scores_as_it_does_within(tmp_path: Path, text: str) -> None:
    documents = [
        {"title": "Oat milk", "codes": "AB-1234/X\n4006381333931"},
        {"title": "Oat flakes", "codes": "AB-1235/X"},
        {"title": "Rye", "codes": "4006381333948\n4006381333931\nAB-1234/X"},
        {"title": "Oat 4006"},
    ]
    index = LexicalIndex.build(tmp_path / "words", {"title": 2.0, "codes": 1.5}, documents)
    few = DeltaIndex(index)
    for document in documents:
        few.add(document)

    scores = index.score(text, np.arange(len(documents)))

    assert scores.any()
    assert np.allclose(few.scores(text, few.size), scores, atol=1e-5)
