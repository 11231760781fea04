"""Searches as shoppers type them, by words alone, in small catalogues such as shops have."""

# ruff: noqa: RUF001 - Turkish letters

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from index import LexicalIndex
from pipelines.building.context import BuildContext
from pipelines.building.steps.words import write_lexical
from pipelines.config.loading import load
from pipelines.importers.mapping import load_mapping
from pipelines.importers.table import import_table
from pipelines.progress import silent
from pipelines.release.layout import LEXICAL
from pipelines.shop.reader import Shop
from pipelines.shop.searched_text import LEXICAL_FIELDS, searched_text
from tests.assertions import every

CATALOGUES = Path(__file__).parent / "catalogues"
NOT_BY_WORDS = ("stock",)  # kinds that something else decides
Ask = Callable[..., list[str]]


class Words:
    """The word index of one imported table."""

    def __init__(self, folder: Path, csv: Path, mapping: str, language: str) -> None:
        import_table(csv, folder / "shop", load_mapping(CATALOGUES / mapping), silent)
        shop = Shop(folder / "shop")
        records = [record for batch in shop.product_batches() for record in batch.to_pylist()]
        context = SimpleNamespace(
            shop=shop,
            folder=folder,
            config=load(None, [f"retrieval.language={language}"]),
            track=lambda documents, *_: documents,
            products=SimpleNamespace(size=len(records)),
        )
        write_lexical(cast("BuildContext", context))
        self.index = LexicalIndex.open(folder / LEXICAL)
        self.ids = [record["id"] for record in records]

    def search(self, text: str, k: int = 10) -> list[str]:
        return [self.ids[row] for row in self.index.search(text, k).rows]

    def best(self, text: str) -> list[str]:
        """Return the products that no other is above."""
        hits = self.index.search(text, 10)
        return [
            self.ids[row]
            for row, score in zip(hits.rows, hits.scores, strict=True)
            if score == hits.scores[0]
        ]


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Words:
    folder = tmp_path_factory.mktemp("english")
    return Words(folder, CATALOGUES / "english-shop.csv", "english-shop.yaml", "english")


def queries(name: str) -> list[Any]:
    return list(json.loads((CATALOGUES / name).read_text()))


@pytest.mark.parametrize(
    ("kind", "text", "first", "places"),
    [one for one in queries("english-shop.queries.json") if one[0] not in NOT_BY_WORDS],
)
def test_what_was_typed_is_first(
    english: Words, kind: str, text: str, first: list[str], places: int
) -> None:
    assert set(english.best(text)) <= set(first)
    assert set(english.search(text, places)) <= set(first)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("NOR 0707 60", "c3"),  # with other signs
        ("nor070760", "c3"),
        ("0707-60", "c3"),
        ("brake pad 0707-60", "c3"),
        ("nor.0707-6", "c3"),  # by its beginning, as is c4
        ("008808992787426", "c1"),  # zeros before
        ("8808 9927 8742 6", "c1"),
        ("456", "456"),
        ("kt ins115 blu", "KT-INS115-BLU"),
        ("0.25 kg m&m's", "s1"),
        ("water 1500 ml", "u2"),
        ("water 1,5l", "u2"),
        ("water 150 cl", "u2"),
        ("water 0,33 l", "u3"),
        ("rice 5000 g", "u7"),
        ("rice 5-kg", "u7"),
        ("usb cable 500 mm", "u9"),
        ("usb cable 2 m", "u8"),
        ("tv 55''", "u10"),
        ("tv 43 zoll", "u11"),
        ("65in tv", "u12"),
        ("ssd 1000 gb", "u13"),
        ("ssd 0.5tb", "u14"),
        ("mattress 140 x 200", "t15"),
        ("mattress 140x200 cm", "t15"),
        ("battery aa", "p22"),
        ("batteries aaa", "p23"),
        ("4-pack battery", "p22"),
        ("mens tshirt", "j4"),
        ("t shirt", "j4"),
        ("loreal", "s4"),
        ("levis 501", "s3"),
        ("m&m", "s1"),
        ("drpepper", "s12"),
        ("goosedown", "p19"),
        ("sofabed", "t9"),
        ("rain coat", "p8"),
        ("book shelf", "p6"),
        ("c++ book", "s5"),
        ("c# book", "s6"),
        ("pinata", "s10"),
        ("lodz", "s28"),
        ("strasse", "s26"),
        ("hag chair", "s27"),
        ("silk scarf", "p14"),
        ("steak knife", "p2"),
        ("toy mouse", "p4"),
        ('"chef knife"', "p1"),
    ],
)
def test_words_as_typed_find_their_product(english: Words, text: str, first: str) -> None:
    assert english.search(text, 1) == [first]


@pytest.mark.parametrize("text", ["asdfgh qwrt", "zzzz", "-milk", "2262"])
def test_what_no_product_has_finds_nothing(english: Words, text: str) -> None:
    assert english.search(text) == []


def test_an_excluded_word_stands_in_no_product(english: Words) -> None:
    assert sorted(english.search("milk -oat -chocolate")) == ["n2", "n3", "n4"]
    assert english.search("chocolate -dark") == ["n11"]


@pytest.mark.parametrize(
    ("text", "first"),
    [("c15-03", "4"), ("volta c15-03", "4"), ("c4-03 cable", "6"), ("65 inch tv", "8")],
)
def test_the_one_exact_hit_is_well_above_the_next(tmp_path: Path, text: str, first: str) -> None:
    words = Words(tmp_path, CATALOGUES / "exact-model.csv", "plain.yaml", "english")

    hits = words.index.search(text, 2)

    assert words.ids[hits.rows[0]] == first
    assert hits.scores[0] > 1.5 * hits.scores[1]


def test_a_word_whose_halves_are_typed_apart_is_not_corrected(tmp_path: Path) -> None:
    words = Words(tmp_path, CATALOGUES / "misread.csv", "plain.yaml", "english")

    assert words.search("otter box", 1) == ["1"]
    assert words.search("otterbox", 1) == ["1"]
    assert words.index.read("otter box").rewrites == ()
    assert [rewrite.why for rewrite in words.index.read("boxd gift").rewrites] == ["misspelt"]


@pytest.mark.parametrize("language", ["none", "turkish"])
def test_turkish_capitals_are_the_small_letters_that_readers_type(
    tmp_path: Path, language: str
) -> None:
    words = Words(tmp_path, CATALOGUES / "turkish.csv", "plain.yaml", language)
    texts = ("istanbul", "mendil", "ürünleri", "urunleri", "dis fircasi", "kırmızı", "KIRMIZI")

    found = [words.search(text) for text in texts]

    assert found == [["2"], ["1"], ["3"], ["3"], ["5"], ["4"], ["4"]]
    assert every(words.index.read(text).rewrites == () for text in texts)


@pytest.mark.parametrize("language", ["none", "english"])
def test_thai_is_found_inside_titles_without_spaces(tmp_path: Path, language: str) -> None:
    words = Words(tmp_path, CATALOGUES / "thai.csv", "plain.yaml", language)

    for text, first in queries("thai.queries.json"):
        assert words.search(text, len(first)) == sorted(first), text


HOSTILE = """id,title,price,colour,tags
1,Salt &amp; pepper mill,5,,
2,"<div class=""box"">Guitar stand</div><br>black&nbsp;steel",6,,
3,Caf&eacute; mug,7,midnight blue,camping|bestseller
4,Blue pen,8,,
"""


def test_entities_and_tags_of_markup_are_no_words(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HOSTILE)
    words = Words(tmp_path, tmp_path / "p.csv", "plain.yaml", "english")

    for text in ("amp", "div", "class", "nbsp", "eacute", "br"):
        assert words.search(text) == [], text
    assert words.search("cafe") == ["3"]
    assert words.search("steel guitar") == ["2"]


def test_attributes_and_tags_are_searched_below_the_title() -> None:
    record = {
        "id": "A-1",
        "title": "Mug",
        "tags": ["camping", "bestseller"],
        "attributes": [
            ("colour", "blue"),
            ("colour", "green"),
            ("Dishwasher safe", "yes"),
            ("organic", "no"),
            ("EAN", "4006381333931"),
            ("Model Number", "M-22"),
            ("manufacturer_id", "69"),
        ],
    }

    text = searched_text(record, LEXICAL_FIELDS)

    assert text["tags"] == "camping bestseller"
    assert text["attributes"] == "blue. green. Dishwasher safe"
    assert text["codes"].split() == ["A-1", "4006381333931", "M-22"]
    assert LEXICAL_FIELDS["tags"] < LEXICAL_FIELDS["title"] > LEXICAL_FIELDS["attributes"]


def test_attributes_of_a_live_product_are_read_as_those_of_a_column() -> None:
    live = {"id": "1", "attributes": {"colour": ["blue", "green"], "sku": "X-1"}}

    text = searched_text(live, ("attributes", "codes"))

    assert text == {"attributes": "blue. green", "codes": "1\nX-1"}
