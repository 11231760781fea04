"""Words that no product has and that are words none the less."""

from pathlib import Path

import numpy as np
import pytest

from index import DeltaIndex, LexicalIndex, QueryRelaxation

WEIGHTS = {"title": 2.0, "head": 0.0}
TITLES = ("Green Peas", "Sweetened Tea", "Corn White", "Sweet Rolls", "Macaroni & Cheese", "Cheese")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    folder: Path = tmp_path_factory.mktemp("real") / "x"
    relaxation = QueryRelaxation(lexicon=frozenset(("pens", "sofa")))
    documents = [{"title": title, "head": title} for title in TITLES]
    return LexicalIndex.build(folder, WEIGHTS, documents, "english", relaxation)


def test_a_word_of_the_language_is_not_read_as_another(words: LexicalIndex) -> None:
    assert words.read("pens").rewrites == ()
    assert [one.read_as for one in words.read("pesa").rewrites] == [("peas",)]


def test_a_word_made_of_two_words_of_the_catalogue_is_not_read_as_another(
    words: LexicalIndex,
) -> None:
    assert words.read("sweetcorn").rewrites == ()


def test_a_word_such_as_and_is_not_asked_for_beside_others(words: LexicalIndex) -> None:
    rows = np.arange(len(TITLES))

    assert words.holding_all("macaroni and cheese").tolist() == [4]
    assert words.matches("macaroni and cheese", rows).named[4] == 1


def test_words_that_are_all_fillers_are_looked_for(words: LexicalIndex) -> None:
    assert len(words.read("and the").terms) == 2


def test_the_head_of_a_title_is_told_from_its_other_words(words: LexicalIndex) -> None:
    matches = words.matches("cheese", np.array([4, 5, 0]))

    assert matches.head.tolist() == [1, 1, 0]
    assert words.matches("macaroni", np.array([4])).head.tolist() == [0]


def test_the_head_of_a_query_weighs_more_than_a_rarer_word_beside_it(tmp_path: Path) -> None:
    titles = ("Lemons", "Cookies", "Oat Cookies", *TITLES)
    documents = [{"title": title, "head": title} for title in titles]
    words = LexicalIndex.build(tmp_path / "x", WEIGHTS, documents)
    documents_beside = DeltaIndex(words)
    for document in documents:
        documents_beside.add(document)

    matches = words.matches("lemon cookies 200 g", np.arange(2))
    beside = documents_beside.matches("lemon cookies 200 g", 2)

    assert words.read("lemon cookies 200 g").head == ("cooki", "cooki")
    assert matches.named[1] > matches.named[0] > 0
    assert beside.named == pytest.approx(matches.named)
    assert words.read("lemons for cookies").head == ("lemon", "lemon")
    assert words.read("box of cookies").head == ("cooki", "cooki")
    assert words.read("cookies gluten free").head == ("cooki", "cooki")
    assert words.read("lemon cookeis").head == ("cookei", "cooki")


def test_a_word_that_the_stemmer_takes_for_another_is_one_of_its_own(tmp_path: Path) -> None:
    documents = [{"title": title} for title in ("Ice", "White Icing", "Salad Dressings", "Dress")]
    words = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, documents)

    assert words.search("ice", 9).rows.tolist() == [0]
    assert words.search("icing", 9).rows.tolist() == [1]
    assert words.search("dressing", 9).rows.tolist() == [2]
    assert words.search("dresses", 9).rows.tolist() == [3]


def test_only_in_english_a_head_weighs_more(tmp_path: Path) -> None:
    words = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, [{"title": "Schuh"}], "german")

    assert words.read("schuhe damen schwarz").head == ()


def test_a_misspelt_word_is_read_as_a_word_of_the_synonyms(tmp_path: Path) -> None:
    relaxation = QueryRelaxation(synonyms=b"cinnamon => spices")
    documents = [{"title": "Spices"}, {"title": "Avocado"}]
    words = LexicalIndex.build(tmp_path / "x", {"title": 2.0}, documents, "english", relaxation)

    assert words.search("cinammon", 5).rows.tolist() == [0]


def test_a_name_in_a_longer_phrase_is_right_there_and_misspelt_elsewhere(tmp_path: Path) -> None:
    relaxation = QueryRelaxation(synonyms=b"chese crisps, pesa noodles => crackers")
    documents = [{"title": title} for title in ("Cheese", "Crackers", "Peas")]
    words = LexicalIndex.build(tmp_path / "x", {"title": 2.0}, documents, "english", relaxation)

    assert [one.why for one in words.read("chese crisps").rewrites] == ["synonym"]
    assert [one.read_as for one in words.read("chese").rewrites] == [("cheese",)]
    assert [one.read_as for one in words.read("chesee").rewrites] == [("cheese",)]  # not "chese"


@pytest.mark.parametrize(
    "asked",
    ["men's hat", "mens hat", "men\N{RIGHT SINGLE QUOTATION MARK}s hat", "man hat", "men hat"],
)
def test_an_english_possessive_is_the_word_itself(tmp_path: Path, asked: str) -> None:
    documents = [{"title": "Men's Hat"}, {"title": "S Hat"}, {"title": "Hat"}]
    words = LexicalIndex.build(tmp_path / "x", {"title": 2.0}, documents)

    assert words.holding_all(asked).tolist() == [0]


def test_words_that_are_written_as_one_keep_their_synonyms(tmp_path: Path) -> None:
    relaxation = QueryRelaxation(synonyms=b"hash browns => frozen potatoes")
    documents = [{"title": "Hashbrown"}, {"title": "Frozen Potatoes"}, {"title": "Avocado"}]
    words = LexicalIndex.build(tmp_path / "x", {"title": 2.0}, documents, "english", relaxation)

    assert sorted(words.search("hash browns", 5).rows.tolist()) == [0, 1]
