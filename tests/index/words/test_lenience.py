"""Words that are not those of the documents: misspelt, or said in other words."""

from pathlib import Path

import numpy as np
import pytest

from index import Hits, LexicalIndex, QueryRelaxation, SynonymError
from index.words.lexical_files import SYNONYMS, USUAL

SHOP = [
    {"title": "Red running shoes"},
    {"title": "Garden sheds"},
    {"title": "Leather sofa"},
    {"title": "Velvet couch, grey"},
    {"title": "Television 42 inch"},
    {"title": "TV stand"},
    {"title": "Shoe rack for shoes"},
    {"title": "Sofabed"},
    {"title": "T shirt, blue"},
    {"title": "Tee, black"},
    {"title": "Cushions 茶色の靴"},
    {"title": "Linen shirt"},
]
RULES = b"""\
# what our shoppers say
sofa, couch, settee
tv => television   # not the other way
tee, t shirt
\xe9\x9d\xb4, shoes
"""


def build(folder: Path, relaxation: QueryRelaxation = USUAL) -> LexicalIndex:
    LexicalIndex.build(folder / "x", {"title": 2.0}, SHOP, "english", relaxation)
    return LexicalIndex.open(folder / "x")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    return build(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    return build(tmp_path_factory.mktemp("lenient"), QueryRelaxation(synonyms=RULES))


@pytest.mark.parametrize(
    ("misspelt", "right"),
    [
        ("sheos", "shoes"),
        ("shooes", "shoes"),
        ("telvision", "television"),
        ("telvisoin", "television"),
        ("leahter sofa", "leather sofa"),
        ("Cushoins", "cushions"),
        ("runing shoes", "running shoes"),
    ],
)
def test_a_misspelt_word_finds_what_the_right_one_finds(
    plain: LexicalIndex, misspelt: str, right: str
) -> None:
    assert rows(plain, misspelt) == rows(plain, right)


def test_a_corrected_word_scores_the_right_one_times_the_discount(plain: LexicalIndex) -> None:
    right, misspelt = plain.search("television", 3), plain.search("telvisoin", 3)

    np.testing.assert_allclose(misspelt.scores, right.scores * np.float32(0.8**2), rtol=1e-5)
    assert plain.read("telvisoin").rewrites == (("telvisoin", ("television",), "misspelt"),)


def test_an_exact_word_beats_a_corrected_one(plain: LexicalIndex) -> None:
    assert plain.search("television sheds", 1).rows.tolist() != []
    exact, misspelt = plain.search("shoes", 5), plain.search("sheos", 5)

    assert (exact.scores > misspelt.scores).all()


@pytest.mark.parametrize("word", ["sheds", "shoes", "tee", "42", "tv", "stand"])
def test_a_word_that_a_document_has_is_never_read_as_another(
    tmp_path: Path, plain: LexicalIndex, word: str
) -> None:
    strict = build(tmp_path, QueryRelaxation(corrects=False))

    assert_same(plain.search(word, 10), strict.search(word, 10))
    assert plain.read(word).rewrites == ()


def test_of_two_near_words_the_one_that_goes_with_the_others_is_taken(tmp_path: Path) -> None:
    titles = ["garden sheds"] * 3 + ["running shoes", "running shoes red"] + ["sheet"] * 3
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, [{"title": t} for t in titles])

    assert index.read("running sheos").rewrites[0].read_as == ("shoes",)
    assert index.read("garden sheos").rewrites[0].read_as == ("sheds",)


def test_what_is_near_nothing_stays_as_it_is(plain: LexicalIndex) -> None:
    assert rows(plain, "zebra xylophone") == []


def test_a_misspelt_word_is_found_under_a_filter_and_among_given_rows(plain: LexicalIndex) -> None:
    allowed = np.arange(len(SHOP)) != 6

    assert plain.search("sheos", 5, allowed).rows.tolist() == [0]
    assert (plain.score("sheos", np.array([0, 6, 1])) > 0).tolist() == [True, True, False]


def test_words_of_one_line_stand_for_each_other(lenient: LexicalIndex) -> None:
    assert rows(lenient, "sofa") == rows(lenient, "couch") == rows(lenient, "settee") == [2, 3]


def test_an_arrow_leads_one_way(lenient: LexicalIndex) -> None:
    assert rows(lenient, "tv") == [4, 5]
    assert rows(lenient, "television") == [4]


def test_the_word_that_was_asked_comes_before_its_synonym(lenient: LexicalIndex) -> None:
    assert lenient.search("sofa", 2).rows.tolist() == [2, 3]
    assert lenient.search("tv", 2).rows.tolist() == [5, 4]


def test_a_synonym_inside_another_word_is_not_replaced(lenient: LexicalIndex) -> None:
    assert rows(lenient, "sofabed") == [7]


def test_a_phrase_of_several_words_stands_for_one_word_and_back(lenient: LexicalIndex) -> None:
    assert rows(lenient, "tee") == [8, 9]
    assert rows(lenient, "t shirt") == [8, 9, 11]
    assert rows(lenient, "shirt") == [8, 11]  # half of a phrase is not the phrase


def test_the_best_of_a_group_counts_and_not_the_sum(tmp_path: Path) -> None:
    titles = ["sofa", "sofa couch settee", "lamp", "lamp", "lamp"]
    documents = [{"title": title} for title in titles]
    given = QueryRelaxation(synonyms=b"sofa, couch, settee", synonym_weight=1.0)

    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, documents, "none", given)
    alone = LexicalIndex.build(tmp_path / "y", {"title": 1.0}, documents, "none")

    [both] = index.score("sofa", np.array([1]))
    best = max(float(alone.score(word, np.array([1]))[0]) for word in ("sofa", "couch", "settee"))
    assert both == pytest.approx(best, rel=1e-5)


def test_a_misspelt_word_has_the_synonyms_of_the_right_one(lenient: LexicalIndex) -> None:
    assert rows(lenient, "velvte couhc") == [2, 3]


def test_a_word_of_a_rule_is_not_taken_for_a_misspelt_one(tmp_path: Path) -> None:
    index = build(tmp_path, QueryRelaxation(synonyms=b"sheos => couch"))

    assert [rewrite.why for rewrite in index.read("sheos").rewrites] == ["synonym"]
    assert rows(index, "sheos") == [3]


def test_characters_without_spaces_have_synonyms_too(lenient: LexicalIndex) -> None:
    assert 0 in rows(lenient, "靴")
    assert 10 in rows(lenient, "shoes")


def test_synonyms_travel_with_the_index(tmp_path: Path) -> None:
    index = build(tmp_path, QueryRelaxation(synonyms=RULES))

    assert (tmp_path / "x" / SYNONYMS).read_bytes() == RULES
    assert rows(index, "settee") == rows(LexicalIndex.open(tmp_path / "x"), "settee")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sofa", "line 1: has one phrase, 'sofa'; write `sofa, couch`"),
        (b"a, b\nsofa,, couch", "line 2: has an empty phrase"),
        (b"=> couch", "line 1: has an empty phrase"),
        (b"a => b => c", "line 1: has more than one `=>`"),
        (b"# fine\n\xff, b", "line 2: is not UTF-8"),
        (b"sofa, -", "line 1: '-' is read as 0 words; 1 to 8 are allowed"),
        (b"sofa, a b c d e f g h i", "is read as 9 words; 1 to 8 are allowed"),
        (b", ".join(b"w%d" % i for i in range(17)), "line 1: has 17 phrases on one side; at most"),
        (b"a, b\n" * 10_001, "line 10001: is rule 10,001; at most 10,000 are read"),
        (b"#" * 1_000_001, "has 1,000,001 bytes; at most 1,000,000 are read"),
        (b"\n".join(b"sofa, w%d" % i for i in range(40)), "line 33: 'sofa' has more than 32"),
    ],
)
def test_rules_that_cannot_be_read_are_refused_by_their_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(SynonymError) as refused:
        build(tmp_path, QueryRelaxation(synonyms=content))

    assert message in str(refused.value)
    assert not (tmp_path / "x").exists()


def test_the_work_for_a_query_of_many_synonyms_is_bounded(tmp_path: Path) -> None:
    rules = b"\n".join(b", ".join(b"w%dx%d" % (line, i) for i in range(16)) for line in range(60))
    index = build(tmp_path, QueryRelaxation(synonyms=rules))

    terms = index.read(" ".join(f"w{line}x0" for line in range(60))).terms

    assert sum(len(term.forms) for term in terms) <= 60 + 256


def rows(index: LexicalIndex, text: str) -> list[int]:
    return sorted(index.search(text, 20).rows.tolist())


def assert_same(hits: Hits, others: Hits) -> None:
    assert hits.rows.tolist() == others.rows.tolist()
    np.testing.assert_array_equal(hits.scores, others.scores)
