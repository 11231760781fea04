from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from pipelines.training.text.pairs import JudgmentsError, ranked_ndcg, read_judgments, split


def test_the_names_of_home_depot_and_crowdflower_are_known(tmp_path: Path) -> None:
    one, two = tmp_path / "one.parquet", tmp_path / "two.csv"
    pairs = {"product_title": ["rye bread", "oat milk"]}
    pq.write_table(pa.table({"search_term": ["bread"] * 2, **pairs, "relevance": [3.0, 1.0]}), one)
    csv.write_csv(pa.table({"query": ["bread"] * 2, **pairs, "median_relevance": [4, 1]}), two)

    read = [read_judgments(path).lists for path in (one, two)]

    assert read == [{"bread": {"rye bread": 1.0, "oat milk": 0.0}}] * 2


def test_a_pair_that_is_judged_twice_gets_the_mean(tmp_path: Path) -> None:
    path = written(tmp_path, ["q", "q", "q"], ["a", "a", "b"], [4, 2, 0])

    lists = read_judgments(path).lists

    assert lists == {"q": {"a": 0.75, "b": 0.0}}


def test_a_row_without_a_text_or_a_grade_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, ["q", None, "q", "q"], ["a", "b", " ", "d"], [1, 2, 2, None])
    pq.write_table(
        pa.concat_tables([pq.read_table(path), pa.table(columns(["q"], ["e"], [0]))]), path
    )

    lists = read_judgments(path).lists

    assert lists == {"q": {"a": 1.0, "e": 0.0}}


@pytest.mark.parametrize("grade", [float("nan"), float("inf")])
def test_a_grade_that_is_no_number_is_left_out(tmp_path: Path, grade: float) -> None:
    path = tmp_path / "judged.parquet"
    judged = {"query": ["q"] * 3, "title": ["a", "b", "c"], "relevance": [1.0, grade, 2.0]}
    pq.write_table(pa.table(judged), path)

    lists = read_judgments(path).lists

    assert lists == {"q": {"a": 0.0, "c": 1.0}}


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "judged.parquet"
    pq.write_table(pa.table({"query": ["q"], "name": ["a"], "relevance": [1.0]}), path)

    with pytest.raises(JudgmentsError, match=r"query, name, relevance.*title or product_title"):
        read_judgments(path)


@pytest.mark.parametrize(
    ("grades", "message"),
    [([2, 2], "all of relevance 2"), (["good", "bad"], "must hold numbers")],
)
def test_grades_that_teach_nothing_are_refused(
    tmp_path: Path, grades: list[object], message: str
) -> None:
    path = written(tmp_path, ["q", "q"], ["a", "b"], grades)

    with pytest.raises(JudgmentsError, match=message):
        read_judgments(path)


@pytest.mark.parametrize("content", [None, b"no table"])
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "judged.parquet"
    if content:
        path.write_bytes(content)

    with pytest.raises(JudgmentsError, match=r"judged\.parquet"):
        read_judgments(path)


def test_a_query_is_on_one_side_only_and_on_the_same_in_every_file() -> None:
    lists = {f"query {i}": {"a": 1.0} for i in range(500)}
    other = {query.upper(): titles for query, titles in lists.items()}

    parts, others = split(lists, 0.1, 0.1, seed=3), split(other, 0.1, 0.1, seed=3)

    assert sum(map(len, parts)) == 500
    assert set().union(*parts) == set(lists)
    assert 25 < len(parts.test) < 80
    assert [[q.upper() for q in part] for part in parts] == [list(part) for part in others]


def test_another_seed_holds_other_queries_out() -> None:
    lists = {f"query {i}": {"a": 1.0} for i in range(500)}

    tests = [set(split(lists, 0.1, 0.1, seed).test) for seed in (0, 1)]

    assert tests[0] != tests[1]


def test_a_cut_vector_ranks_by_its_first_numbers() -> None:
    places = {"q": (1.0, 0.0, 0.0), "a leans": (0.6, 0.0, 0.8), "b": (0.5, 0.0, 0.0)}
    lists = {"q": {"a leans": 0.0, "b": 1.0}}

    values = ranked_ndcg(
        lambda texts: np.array([places[text] for text in texts], np.float32), lists, [1, 3]
    )

    assert values[3] == [1.0]
    assert values[1] == pytest.approx([1 / np.log2(3)])  # a tie, broken by the title


def columns(queries: list[object], titles: list[object], grades: list[object]) -> dict[str, object]:
    return {"query": queries, "title": titles, "relevance": grades}


def written(
    folder: Path, queries: list[object], titles: list[object], grades: list[object]
) -> Path:
    path = folder / "judged.parquet"
    pq.write_table(pa.table(columns(queries, titles, grades)), path)
    return path
