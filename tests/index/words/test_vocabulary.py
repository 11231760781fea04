from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.words.sorted_texts import StringArray
from index.words.vocabulary import Vocabulary, WordCounts, allowed_edits, edits_between

COUNTS = {"shoes": 90, "sheds": 3, "shirt": 40, "short": 70, "schuhe": 5, "crème": 2, "x99": 8}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("vocabulary")
    Vocabulary.of(COUNTS).save(folder)
    return Vocabulary.open(folder)


def test_words_that_begin_alike_come_by_how_many_rows_have_them(vocabulary: Vocabulary) -> None:
    assert vocabulary.starting_with("sh", 3) == ["shoes", "short", "shirt"]
    assert vocabulary.starting_with("crè", 3) == ["crème"]
    assert vocabulary.starting_with("z", 3) == []


def test_a_word_with_digits_is_never_offered(vocabulary: Vocabulary) -> None:
    assert vocabulary.starting_with("x", 3) == []


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("sheos", ["shoes", "sheds"]),  # two neighbours exchanged, one letter changed
        ("shoees", ["shoes"]),
        ("shors", ["shoes", "short"]),
        ("sho", []),  # too short to be misspelt
        ("x99s", []),  # digits mean what they say
        ("trousers", []),
    ],
)
def test_nearly_the_same_words_are_found(
    vocabulary: Vocabulary, word: str, near: list[str]
) -> None:
    assert [one.word for one in vocabulary.near(word, 2)] == near


def test_short_words_may_have_one_wrong_letter_and_long_ones_two() -> None:
    assert [allowed_edits(word) for word in ("tea", "teas", "bananas", "tomatoes")] == [0, 1, 1, 2]


@given(st.text("abc", max_size=7), st.lists(st.text("abc", max_size=7), max_size=5))
def test_edits_are_counted_as_letter_by_letter(word: str, others: list[str]) -> None:
    edits = edits_between(word, others, 2)

    assert edits.tolist() == [min(plain_edits(word, other), 3) for other in others]


def test_two_exchanged_letters_are_not_edited_again() -> None:
    assert edits_between("ca", ["ac", "abc"], 3).tolist() == [1, 3]  # Damerau alone would say 2


def plain_edits(word: str, other: str) -> int:
    table = {(i, 0): i for i in range(len(word) + 1)} | {(0, j): j for j in range(len(other) + 1)}
    for i, j in product(range(1, len(word) + 1), range(1, len(other) + 1)):
        same = word[i - 1] == other[j - 1]
        ways = [table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (not same)]
        if i > 1 and j > 1 and word[i - 2 : i] == other[j - 2 : j][::-1]:
            ways.append(table[i - 2, j - 2] + 1)
        table[i, j] = min(ways)
    return table[len(word), len(other)]


@given(st.lists(st.text(max_size=4), max_size=20, unique=True), st.text(max_size=2))
def test_texts_that_begin_alike_are_found_wherever_they_stand(
    texts: list[str], prefix: str
) -> None:
    texts = sorted(text for text in texts if text.isprintable())
    found = StringArray.of(texts)

    places = found.starting_with(prefix) if prefix.isprintable() else range(0)

    if prefix.isprintable():
        wanted = [text for text in texts if text.startswith(prefix)]
        assert [found.at(place) for place in places] == wanted
        assert found.at_all(np.array(places, np.int64)) == wanted


def test_a_word_counts_once_a_row() -> None:
    counted = WordCounts()

    counted.add(["oat", "oat", "milk"])
    counted.add(["oat"])

    assert counted.counts == {"oat": 2, "milk": 1}


def test_a_vocabulary_without_words_finds_nothing(tmp_path: Path) -> None:
    Vocabulary.of({}).save(tmp_path)

    empty = Vocabulary.open(tmp_path)

    assert empty.near("shoes", 3) == []
    assert empty.starting_with("s", 3) == []
    assert np.equal(empty.size, 0)
