from pathlib import Path

import pytest

from index import Completions, LexicalIndex, Phrase, QueryRelaxation

PHRASES = {
    "rye bread": Phrase("rye bread", 5),
    "rye": Phrase("rye", 3),
    "rye flour": Phrase("rye flour", 5),
    "creme brulee": Phrase("crème brûlée", 2),
    "绿茶": Phrase("绿茶", 4),
}


@pytest.fixture(scope="module")
def completions(tmp_path_factory: pytest.TempPathFactory) -> Completions:
    folder = tmp_path_factory.mktemp("completions")
    Completions.of(PHRASES).save(folder)
    return Completions.open(folder)


@pytest.mark.parametrize(
    ("key", "k", "found"),
    [
        ("r", 9, ["rye bread", "rye flour", "rye"]),
        ("r", 1, ["rye bread"]),
        ("rye ", 9, ["rye bread", "rye flour"]),
        ("creme", 9, ["crème brûlée"]),
        ("绿", 9, ["绿茶"]),
        ("z", 9, []),
    ],
)
def test_the_heaviest_come_first_and_ties_by_the_alphabet(
    completions: Completions, key: str, k: int, found: list[str]
) -> None:
    assert completions.starting_with(key, k) == found


def test_the_order_does_not_depend_on_the_order_of_counting() -> None:
    backwards = Completions.of(dict(reversed(PHRASES.items())))

    assert backwards.starting_with("r", 9) == ["rye bread", "rye flour", "rye"]


def test_without_phrases_nothing_is_found() -> None:
    assert Completions.of({}).starting_with("a", 3) == []


def test_a_last_word_is_one_that_some_row_has_beside_those_before(tmp_path: Path) -> None:
    titles = ["red shoes", "red shoes", "red shirt", "blue shorts", "blue shorts", "blue shorts"]
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, [{"title": t} for t in titles])

    assert index.last_words("red", "sh", 9) == ["shoes", "shirt"]
    assert index.last_words("", "sh", 9) == ["shorts", "shoes", "shirt"]
    assert index.last_words("zebra", "sh", 9) == []


def test_a_word_that_is_part_of_an_amount_is_completed(tmp_path: Path) -> None:
    documents = [{"title": "Large Eggs, dozen"}, {"title": "Milk, half gallon"}]
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, documents)

    assert index.last_words("eggs", "do", 9) == ["dozen"]
    assert index.last_words("half", "g", 9) == ["gallon"]
    assert index.search("12 ct eggs", 9).rows.tolist() == [0]


def test_a_word_that_only_the_synonyms_have_completes_nothing(tmp_path: Path) -> None:
    relaxation = QueryRelaxation(synonyms=b"sofa, settee, setee, setti")
    documents = [{"title": "Setter collar"}, {"title": "Sofa"}]
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, documents, "english", relaxation)

    assert index.last_words("", "set", 1) == ["setter"]
    assert index.last_words("", "set", 9) == ["setter"]
