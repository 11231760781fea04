import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from index import DamagedIndex, LexicalIndex
from index.words.terms.analysis import LANGUAGES

DOCUMENTS = [
    {"title": "Rye bread", "brand": "Oat Co"},
    {"title": "Oat drink", "brand": "Oat Co"},
    {"title": "Breads of the world", "brand": "Books"},
    {"title": "Crème brûlée", "brand": "Sweet"},
    {"title": "", "brand": ""},
]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LexicalIndex]:
    folder: Path = tmp_path_factory.mktemp("words") / "lexical"
    LexicalIndex.build(folder, {"title": 2.0, "brand": 1.0}, DOCUMENTS)
    return LexicalIndex.open(folder)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("bread", [0, 2]),
        ("BREADS", [0, 2]),
        ("creme brulee", [3]),
        ("rye oat", [0, 1]),
        ("", []),
        ("zebra", []),
        ("title:bread AND (", [0, 2]),
        ("\x00 \ud7ff", []),
    ],
)
def test_rows_that_share_a_word_are_found(words: LexicalIndex, text: str, rows: list[int]) -> None:
    assert sorted(words.search(text, 10).rows) == rows


def test_a_word_in_the_title_weighs_more_than_one_in_the_brand(words: LexicalIndex) -> None:
    assert words.search("oat", 10).rows.tolist() == [1, 0]


@pytest.mark.parametrize("rows", [[2], [0, 1, 3], [3, 4]])
def test_nothing_outside_the_filter_is_returned(words: LexicalIndex, rows: list[int]) -> None:
    allowed = np.isin(np.arange(5), rows)

    assert set(words.search("bread oat", 10, allowed).rows) <= set(rows)


def test_a_row_scores_the_same_whoever_else_is_asked_for(words: LexicalIndex) -> None:
    hits = words.search("rye bread", 10)

    alone = [words.score("rye bread", np.array([row]))[0] for row in hits.rows]

    np.testing.assert_allclose(alone, hits.scores, rtol=1e-6)


def test_a_row_without_the_words_scores_zero(words: LexicalIndex) -> None:
    assert words.score("rye", np.array([1, 0, 4]))[[0, 2]].tolist() == [0, 0]


def test_a_query_of_a_thousand_words_is_answered(words: LexicalIndex) -> None:
    text = " ".join(f"w{i}" for i in range(10)) + " rye " + "x y z " * 500

    assert words.search(text, 3).rows.tolist() == [0]


def test_a_broad_filter_over_many_rows_loses_nothing(tmp_path: Path) -> None:
    documents = [{"title": f"soup {i % 7}"} for i in range(20_000)]
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, documents)
    allowed = np.arange(20_000) >= 9_000

    hits = index.search("soup", 15_000, allowed)

    assert set(hits.rows) == set(range(9_000, 20_000))


def test_a_filter_that_only_the_lowest_scores_pass_still_fills_the_answer(tmp_path: Path) -> None:
    shorter, longer = [{"title": "soup"}] * 1_000, [{"title": "soup of many other words"}] * 1_000
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, [*shorter, *longer])
    allowed = np.arange(2_000) >= 1_000  # what scores lowest

    hits = index.search("soup", 10, allowed)

    assert len(hits.rows) == 10
    assert allowed[hits.rows].all()


def test_an_index_is_opened_and_searched_without_writing_beside_it(tmp_path: Path) -> None:
    LexicalIndex.build(tmp_path / "x", {"title": 2.0, "brand": 1.0}, DOCUMENTS)
    for lock in (tmp_path / "x").glob(".*.lock"):
        lock.unlink()
    before = tmp_path.joinpath("x").stat().st_mtime_ns, sorted((tmp_path / "x").iterdir())

    found = LexicalIndex.open(tmp_path / "x").search("bread", 3).rows.tolist()

    after = tmp_path.joinpath("x").stat().st_mtime_ns, sorted((tmp_path / "x").iterdir())
    assert found == [0, 2]
    assert before == after  # a lock that comes and goes changes the time of its folder


def test_an_index_is_opened_though_a_lock_is_written_while_its_links_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LexicalIndex.build(tmp_path / "x", {"title": 2.0, "brand": 1.0}, DOCUMENTS)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    removed, rmdir = [], os.rmdir

    def remove(path: Path, *, dir_fd: int | None = None) -> None:
        removed.append(path)
        if len(removed) == 1:  # as the thread of tantivy that looks for commits
            Path(path, ".tantivy-meta.lock").touch()
        rmdir(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", remove)

    assert LexicalIndex.open(tmp_path / "x").search("bread", 3).rows.tolist() == [0, 2]
    assert len(removed) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


SHELF = [
    {"title": "红色连衣裙 夏季"},
    {"title": "赤いワンピース"},
    {"title": "罐装绿茶 500毫升"},
    {"title": "Rotes Sommerkleid, Größe M"},
    {"title": "ﾄｯﾌﾟｽ ＡＢＣ"},  # noqa: RUF001
    {"title": "나이키 운동화"},
]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("连衣裙", [0]),
        ("茶", [2]),
        ("裙", [0]),
        ("ワンピース", [1]),
        ("ﾜﾝﾋﾟｰｽ", [1]),
        ("トップス", [4]),
        ("abc", [4]),
        ("운동화", [5]),
        ("红茶", []),
        ("GROSSE", [3]),
        ("Gro\u0308ße", [3]),
    ],
)
def test_words_without_spaces_are_found_by_their_characters(
    tmp_path: Path, text: str, rows: list[int]
) -> None:
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, SHELF, "german")

    assert sorted(index.search(text, 10).rows) == rows


def test_the_more_pairs_are_shared_the_higher_is_the_product(tmp_path: Path) -> None:
    titles = ["红色外套", "红色连衣裙", "蓝色连衣裙"]
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, [{"title": t} for t in titles])

    assert index.search("红色连衣裙", 10).rows.tolist()[0] == 1


@pytest.mark.parametrize(
    ("language", "text", "rows"),
    [
        ("german", "kleider", [0]),
        ("english", "kleider", []),
        ("none", "kleider", []),
        ("none", "kleid", [0]),
    ],
)
def test_an_index_reads_queries_in_the_language_of_its_documents(
    tmp_path: Path, language: str, text: str, rows: list[int]
) -> None:
    LexicalIndex.build(tmp_path / "x", {"title": 1.0}, [{"title": "Kleid"}], language)

    assert LexicalIndex.open(tmp_path / "x").search(text, 1).rows.tolist() == rows


def test_a_language_that_nobody_stems_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="unknown language 'klingon'; choose one of arabic, "):
        LexicalIndex.build(tmp_path / "x", {"title": 1.0}, [], "klingon")

    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_of_the_table_is_one_that_tantivy_reads(
    tmp_path: Path, language: str
) -> None:
    index = LexicalIndex.build(tmp_path / "x", {"title": 1.0}, SHELF, language)

    assert index.search("连衣裙", 10).rows.tolist() == [0]


@pytest.mark.parametrize(
    "changed", [{"language": "klingon"}, {"segmenting": "spaces"}, {"mean_lengths": None}]
)
def test_an_index_that_was_read_in_a_way_we_lack_is_refused(
    tmp_path: Path, changed: dict[str, str | None]
) -> None:
    folder = tmp_path / "x"
    LexicalIndex.build(folder, {"title": 1.0}, SHELF)
    about = msgspec.json.decode((folder / "lexical.json").read_bytes())
    (folder / "lexical.json").write_bytes(msgspec.json.encode({**about, **changed}))

    with pytest.raises(DamagedIndex, match=r"open it with the version that built it, or build"):
        LexicalIndex.open(folder)


MIXED = [
    {"title": "나이키 Air Max 운동화 270", "brand": "나이키"},
    {"title": "アディダス スニーカー Samba", "brand": "アディダス"},
    {"title": "Uniqlo优衣库 T恤 白色", "brand": "优衣库"},
    {"title": "Кроссовки белые", "brand": "Найк"},
]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("나이키", [0]),
        ("나이키 운동화 max", [0]),
        ("운동화를", [0]),  # with an ending: most of its pairs are those of the word
        ("sambaスニーカー", [1]),  # scripts change without a space
        ("优衣库", [2]),
        ("T恤", [2]),
        ("uniqlo 白", [2]),
        ("кроссовки", [3]),
        ("КРОССОВКИ", [3]),
        ("кросовки", [3]),  # misspelt in another alphabet
    ],
)
def test_titles_and_brands_of_mixed_scripts_are_found(
    tmp_path: Path, text: str, rows: list[int]
) -> None:
    index = LexicalIndex.build(tmp_path / "x", {"title": 2.0, "brand": 1.0}, MIXED, "none")

    assert index.search(text, 10).rows.tolist() == rows
