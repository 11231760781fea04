"""Letters that readers of a language take for the same."""

# ruff: noqa: RUF001 - letters that look alike are what is tested

import pytest

from index import LexicalIndex, WordReader
from index.words.terms.analysis import LANGUAGES
from index.words.terms.folding import folder, plain_text


@pytest.mark.parametrize(
    ("language", "written", "typed"),
    [
        ("none", "İSTANBUL", "istanbul"),
        ("none", "KIRMIZI", "kırmızı"),
        ("turkish", "DİŞ FIRÇASI", "dis fircasi"),
        ("german", "Käse", "kaese"),
        ("german", "Käse", "kase"),
        ("german", "Straße", "STRASSE"),
        ("german", "Müller", "mueller"),
        ("danish", "Smørrebrød", "smoerrebroed"),
        ("norwegian", "Ålesund", "aalesund"),
        ("swedish", "Smörgås", "smorgas"),
        ("none", "Łódź", "lodz"),
        ("spanish", "Ñandú", "nandu"),
        ("french", "Cœur", "coeur"),
        ("greek", "ΟΔΟΣ", "οδός"),
        ("greek", "Ελληνικός", "ελληνικοσ"),
        ("russian", "Ёлка", "елка"),
        ("russian", "за\u0301мок", "замок"),
        ("arabic", "مَدْرَسَة", "مدرسة"),
        ("arabic", "أحمر", "احمر"),
        ("arabic", "قهوة", "القهوة"),
        ("arabic", "زيت الزيتون", "للزيت والزيتون"),
        ("none", "שָׁלוֹם", "שלום"),
        ("none", "Đặng tiếng Việt", "dang tieng viet"),
        ("none", "Gro\u0308ße", "grosse"),
        ("none", "１２ ㎏ ٤", "12 kg 4"),
        ("none", "o’neill", "o'neill"),
    ],
)
def test_letters_are_folded_as_readers_type_them(language: str, written: str, typed: str) -> None:
    assert folder(language)(written) == folder(language)(typed)


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("german", "blaue", "blau"),  # no umlaut after a vowel
        ("russian", "мой", "мои"),
        ("none", "நாடு", "நட"),  # vowel signs are letters
        ("none", "poet", "pot"),  # German customs are for German
    ],
)
def test_letters_that_differ_stay_apart(language: str, one: str, other: str) -> None:
    assert folder(language)(one) != folder(language)(other)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("Salt &amp; pepper", "Salt & pepper"),
        ("<p>Rye</p><br/>bread", " Rye  bread"),
        ("a < b > c", "a < b > c"),
        ("4 <5 and 6> 5", "4 <5 and 6> 5"),
        ("caf&eacute; &#39;n", "café 'n"),
        ("<!-- x -->y", " y"),
    ],
)
def test_markup_is_read_as_a_browser_shows_it(markup: str, text: str) -> None:
    assert plain_text(markup) == text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_reads_words_and_knows_its_fillers(language: str) -> None:
    reader = WordReader(language)

    assert reader.folded("Ærlig Ünique Ώρα ελα") != []
    assert not reader.is_filler("zebra")
    assert reader.stems("zebra") != []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_finds_what_it_wrote(
    tmp_path_factory: pytest.TempPathFactory, language: str
) -> None:
    titles = ["İSTANBUL Käse Łódź", "Ελληνικός ёлка مَدْرَسَة", "น้ำดื่ม 600มล.", "தமிழ் நாடு"]
    folder = tmp_path_factory.mktemp(language) / "x"
    index = LexicalIndex.build(folder, {"title": 1.0}, [{"title": t} for t in titles], language)

    texts = ("istanbul", "käse", "lodz", "ελληνικός", "елка", "مدرسة", "น้ำดื่ม", "600 มล", "தமிழ்")
    assert [index.search(text, 4).rows.tolist() for text in texts] == [
        *[[0]] * 3, *[[1]] * 3, *[[2]] * 2, [3]
    ]  # fmt: skip
