"""What a text says beside its words: measures, codes, what it names and what it refuses."""

import pytest

from ranking.features.text_attributes import LONGEST, head_noun, letter_triples, read_attributes


def split(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("drill rv-700", {"rv-700"}),
        ("ab12", {"ab12"}),
        ("a12 m5", set()),
        ("2024 model", set()),
        ("iphone15 case 5kg-x", {"iphone15", "5kg-x"}),
    ],
)
def test_a_code_has_letters_and_digits_four_at_least(text: str, codes: set[str]) -> None:
    assert read_attributes(text, split).codes == codes


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("red wool scarf", "scarf"),
        ("laptop stand for desks", "stand"),
        ("scarf with wool for winter", "scarf"),
        ("stand, steel - grey", "stand"),
        ("screws 100", "screws"),
        ("for dogs", "dogs"),
        ("schal von hand", "schal"),
        ("2024", "2024"),
        ("", ""),
    ],
)
def test_a_text_names_its_last_word_before_a_link_or_a_clause(text: str, noun: str) -> None:
    assert head_noun(text, split) == noun


@pytest.mark.parametrize(
    ("text", "affirmed", "negated"),
    [
        ("milk without sugar", {"milk"}, {"sugar"}),
        ("milk without sugar, with honey", {"milk", "with", "honey"}, {"sugar"}),
        ("no nuts", set(), {"nuts"}),
        ("oat milk", {"oat", "milk"}, set()),
        ("sugar without sugar", set(), {"sugar"}),
    ],
)
def test_a_refusal_holds_to_the_end_of_its_clause(
    text: str, affirmed: set[str], negated: set[str]
) -> None:
    found = read_attributes(text, split)

    assert (found.affirmed, found.negated) == (affirmed, negated)


def test_letters_are_taken_by_three_with_the_edges_of_words() -> None:
    assert letter_triples("tea ab") == {" te", "tea", "ea ", " ab", "ab "}
    assert letter_triples("a") == {" a "}
    assert letter_triples("") == set()


def test_a_measure_is_its_unit_and_its_number() -> None:
    found = read_attributes("5 Inches x 12,5cm, 3 apples", split)

    assert found.measures == {("inch", "5"), ("cm", "12,5")}
    assert found.numbers == {"5", "12,5", "3"}


def test_only_the_first_characters_are_looked_at() -> None:
    whole = read_attributes("ab12".rjust(LONGEST), split)
    cut = read_attributes("ab12".rjust(LONGEST + 1), split)

    assert LONGEST == 4_000
    assert (whole.codes, cut.codes) == ({"ab12"}, set())
