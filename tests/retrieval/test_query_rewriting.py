import numpy as np
import pytest

from index import QueryRewrite
from retrieval.query_rewriting import encoded_texts, mean_direction


def test_a_misspelt_word_is_encoded_as_it_was_read() -> None:
    rewrites = [QueryRewrite("mayonaise", ("mayonnaise",), "misspelt")]

    assert encoded_texts("Mayonaise light", rewrites) == ["mayonnaise light"]


def test_a_phrase_with_synonyms_is_encoded_as_each_of_the_first_ones() -> None:
    rewrites = [QueryRewrite("loo roll", ("bath tissue", "toilet tissue"), "synonym")]

    texts = encoded_texts("cheap loo roll", rewrites)

    assert texts == ["cheap loo roll", "cheap bath tissue", "cheap toilet tissue"]


@pytest.mark.parametrize(
    ("text", "asked", "encoded"),
    [
        ("T-Bone steak", "t bone", "BY steak"),
        ("half & half", "half half", "BY"),
        ("cheap pop-tarts", "pop tarts", "cheap BY"),
        ("dr. pepper", "dr pepper", "BY"),
        ("Lay's classic", "lay", "BY classic"),
        ("shepherd\N{RIGHT SINGLE QUOTATION MARK}s pie", "shepherd pie", "BY"),
        ("crème fraîche light", "creme fraiche", "BY light"),
        ("straße schuhe", "strasse", "BY schuhe"),
        ("sofabed sofa", "sofa", "sofabed BY"),
        ("a.b", "axb", "a.b"),
        ("각 휴지", "가", "각 휴지"),
    ],
)
def test_a_phrase_is_replaced_however_its_words_are_joined(
    text: str, asked: str, encoded: str
) -> None:
    assert encoded_texts(text, [QueryRewrite(asked, ("BY",), "synonym")])[-1] == encoded


def test_a_query_that_is_read_as_written_is_encoded_as_written() -> None:
    assert encoded_texts("oat  milk", []) == ["oat milk"]


def test_synonyms_together_count_as_much_as_the_words_that_were_typed() -> None:
    vectors = np.eye(3, dtype=np.float32)

    mean = mean_direction(vectors)

    assert np.linalg.norm(mean) == pytest.approx(1)
    assert mean[0] == pytest.approx(2 * mean[1])
