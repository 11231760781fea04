"""Runs and judgments as files: what is measured, and what a damaged file says."""

import math
from pathlib import Path

import pytest

from pipelines.evaluation.evaluate import Evaluation, evaluate
from pipelines.evaluation.trec_files import EvaluationError, read_qrels, read_run
from tests.assertions import every

pytestmark = pytest.mark.foreign

QRELS = "q1 0 a 1\nq1 0 b 0.1\nq2 0 c 1\n"
RUN = "q1 Q0 a 1 0.9 vetrina\nq1 Q0 b 2 0.8 vetrina\nq2 Q0 x 1 0.7 vetrina\nq2 Q0 c 2 0.6 vetrina\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def evaluated(folder: Path, run: str | bytes, qrels: str | bytes = QRELS) -> Evaluation:
    return evaluate(write(folder, "run.trec", run), write(folder, "qrels", qrels))


def test_a_run_is_measured_over_its_queries(tmp_path: Path) -> None:
    found = evaluated(tmp_path, RUN)

    means = {row.metric: row.run.mean for row in found.rows}
    assert found.num_queries == 2
    assert means["nDCG@10"] == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert means["MRR"] == pytest.approx(0.75)
    assert means["recall@20"] == 1


def test_the_table_names_each_metric_with_its_interval(tmp_path: Path) -> None:
    text = evaluated(tmp_path, RUN).table()

    assert "95 % interval" in text
    for name in ("nDCG@10", "nDCG@20", "recall@20", "recall@100", "MRR", "MAP", "P@10"):
        assert name in text
    assert "0.8155  [0.6309, 1.0000]" in text
    assert "2 judged queries" in text


def test_a_judged_query_that_the_run_lacks_counts_as_zero_and_is_told(tmp_path: Path) -> None:
    found = evaluated(tmp_path, "q1 Q0 a 1 1 t\nq3 Q0 a 1 1 t\n")

    assert {row.metric: row.run.mean for row in found.rows}["MRR"] == 0.5
    assert "1 of them are not in the run and count as 0" in found.table()
    assert "1 queries of the run are not judged and do not count" in found.table()


def test_a_query_without_a_relevant_product_is_told(tmp_path: Path) -> None:
    found = evaluated(tmp_path, RUN, QRELS + "q9 0 a 0\n")

    assert "1 of them have no relevant product and count as 0" in found.table()


def test_another_run_is_compared_query_by_query(tmp_path: Path) -> None:
    qrels = write(tmp_path, "qrels", "".join(f"q{i} 0 a 1\n" for i in range(40)))
    good = write(tmp_path, "good", "".join(f"q{i} Q0 a 1 1 t\n" for i in range(40)))
    poor = write(
        tmp_path, "poor", "".join(f"q{i} Q0 x 1 2 t\nq{i} Q0 a 2 1 t\n" for i in range(40))
    )

    found = evaluate(good, qrels, poor)

    [mrr] = [row for row in found.rows if row.metric == "MRR"]
    assert mrr.against is not None
    assert mrr.difference is not None
    assert mrr.p_value is not None
    assert (mrr.run.mean, mrr.against.mean) == (1, 0.5)
    assert mrr.difference == (0.5, 0.5, 0.5)
    assert mrr.p_value < 0.001
    assert "<0.0001" in found.table()


def test_a_run_compared_with_itself_does_not_differ(tmp_path: Path) -> None:
    run, qrels = write(tmp_path, "run", RUN), write(tmp_path, "qrels", QRELS)

    found = evaluate(run, qrels, run)

    assert every(row.p_value == 1 for row in found.rows)
    assert "+0.0000  [+0.0000, +0.0000]" in found.table()


def test_the_score_orders_and_equal_scores_fall_as_in_trec_eval(tmp_path: Path) -> None:
    run = write(
        tmp_path, "run", "q Q0 low 1 0.1 t\nq Q0 a 2 0.5 t\nq Q0 b 3 0.5 t\nq Q0 top 4 9e-1 t\n"
    )

    assert read_run(run) == {"q": ["top", "b", "a", "low"]}


def test_tabs_blank_lines_windows_lines_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    qrels = write(tmp_path, "qrels", b"\xef\xbb\xbfq1\t0\ta\t0.01\r\n\r\nq2 0 b -1")

    assert read_qrels(qrels) == {"q1": {"a": 0.01}, "q2": {"b": -1.0}}


BAD_RUNS = {
    "an empty file": (b"", "is empty; expected lines of `query Q0 product position score tag`"),
    "only blank lines": (b"\n \n", "is empty"),
    "judgments in its place": (QRELS, "line 1: 4 words where 6 are expected"),
    "a cut line": ("q1 Q0 a 1 1 t\nq1 Q0 b", "line 2: 3 words where 6"),
    "an id with a space": ("q1 Q0 a b 1 1 t\n", "7 words where 6"),
    "a word for a score": ("q1 Q0 a 1 high t\n", "line 1: the score 'high' is no number"),
    "a score that is not a number": ("q1 Q0 a 1 nan t\n", "the score 'nan' is no number"),
    "an infinite score": ("q1 Q0 a 1 -inf t\n", "no number"),
    "a product twice": ("q1 Q0 a 1 2 t\nq1 Q0 a 2 1 t\n", "line 2: product 'a' stands twice"),
    "bytes that are no text": (b"q1 Q0 \xff 1 1 t\n", "line 1: not UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00", "not UTF-8"),
    "one endless line": (b"q" * 300_000, "line 1: longer than 100,000 bytes"),
    "other queries": ("z Q0 a 1 1 t\n", "no query in common (the first ones are 'z' and 'q1')"),
}
BAD_QRELS = {
    "an empty file": (b"", "is empty; expected lines of `query 0 product gain`"),
    "a run in its place": (RUN, "line 1: 6 words where 4 are expected"),
    "a letter for a gain": ("q1 0 a E\n", "line 1: the gain 'E' is no number"),
    "nothing relevant": ("q1 0 a 0\nq2 0 b -1\n", "holds no relevant product"),
    "a product judged twice": ("q1 0 a 1\nq1 0 a 0\n", "line 2: product 'a' is judged twice"),
}


@pytest.mark.parametrize(("content", "says"), BAD_RUNS.values(), ids=BAD_RUNS)
def test_a_run_that_cannot_be_measured_says_why(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    with pytest.raises(EvaluationError) as error:
        evaluated(tmp_path, content)

    assert says in str(error.value)
    assert "run.trec" in str(error.value)


@pytest.mark.parametrize(("content", "says"), BAD_QRELS.values(), ids=BAD_QRELS)
def test_judgments_that_cannot_be_used_say_why(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    with pytest.raises(EvaluationError) as error:
        evaluated(tmp_path, RUN, content)

    assert says in str(error.value)
    assert "qrels" in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    qrels = write(tmp_path, "qrels", QRELS)

    with pytest.raises(EvaluationError, match="absent: No such file"):
        evaluate(tmp_path / "absent", qrels)
    with pytest.raises(EvaluationError, match="Is a directory"):
        evaluate(tmp_path, qrels)
