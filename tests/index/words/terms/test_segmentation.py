import pytest

from index import WordReader
from index.words.terms.segmentation import document_words, query_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("红色连衣裙", "红色 色连 连衣 衣裙"),
        ("茶", "茶"),
        ("M码 T恤", "M 码 T 恤"),
        ("キャリーケース", "キャ ャリ リー ーケ ケー ース"),
        ("ｺｰﾄ", "コー ート"),
        ("赤いワンピース", "赤い いワ ワン ンピ ピー ース"),
        ("뉴발란스", "뉴발 발란 란스"),
        ("ＡＢＣ　１２３", "ABC 123"),  # noqa: RUF001
        ("人々、時計", "人々 、 時計"),
        ("rye bread", "rye bread"),
        ("", ""),
    ],
)
def test_a_query_is_asked_in_pairs_of_characters(text: str, words: str) -> None:
    assert query_words(text).split() == words.split()


def test_a_document_also_holds_each_character_so_that_one_is_enough_to_ask() -> None:
    words = document_words("茶色の靴").split()

    assert words == ["茶色", "色の", "の靴", "茶", "色", "の", "靴"]


@pytest.mark.parametrize("text", ["红色连衣裙 M码", "ﾄｯﾌﾟｽ", "Größe 42½", "茶", "뉴발란스 운동화"])
def test_every_word_of_a_query_is_one_of_the_same_document(text: str) -> None:
    assert set(query_words(text).split()) <= set(document_words(text).split())


def test_signs_and_fractions_do_not_grow_into_the_word_before_them() -> None:
    assert query_words("Lego™ 1½").split() == ["Lego", "1", "1⁄2"]  # noqa: RUF001


def test_words_and_stems_stand_in_the_order_of_the_text() -> None:
    reader = WordReader("english")

    assert reader.words("Running SHOES, crème") == ["running", "shoes", "creme"]
    assert reader.stems("Running SHOES, crème") == ["run", "shoe", "creme"]
