from pathlib import Path

import pytest

from pipelines.engine.engine import Engine
from pipelines.evaluation.judged_searches import SearchListError, judge_searches, read_searches
from pipelines.progress import silent
from retrieval import Product, Stage


def searches(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "searches.tsv"
    path.write_text("\n".join(["text\tfits\tdoes not fit", *lines]))
    return path


def test_what_fits_is_told_by_title_or_category_without_letter_case(tmp_path: Path) -> None:
    [search] = read_searches(searches(tmp_path, "aa battery\tbatter\tbatter mix"))

    assert search.accepts(Product(id="1", title="Alkaline Batteries"))
    assert search.accepts(Product(id="2", title="AA, 4 ct", categories=("Home > Batteries",)))
    assert not search.accepts(Product(id="3", title="Batter Mix"))
    assert not search.accepts(Product(id="4", title="Cigarettes"))


def test_shares_count_the_first_answer_and_every_place(tmp_path: Path, real_engine: Engine) -> None:
    judged = read_searches(
        searches(tmp_path, "tomato soup\tTomato Soup", "green tea\tnothing like it")
    )

    report = judge_searches(real_engine, judged, 3, silent, Stage.RETRIEVAL)

    assert (report.first, report.among) == (0.5, 1.0)
    assert report.shown < 1
    assert "green tea" in report.table()
    assert "tomato soup" not in report.table()
    assert "fits in 0.5000 of 2 searches" in report.table()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("milk\t", "line 2: 2 cells; expected a text, what fits"),
        ("milk", "line 2: 1 cells"),
        ("milk\tmilk\tx\ty", "line 2: 4 cells"),
        ("milk\t(", "line 2: '\\(' is no regular expression"),
        ("", "has a header but no searches"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SearchListError, match=message):
        read_searches(searches(tmp_path, line))


def test_a_file_with_other_columns_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("query,answer\n")

    with pytest.raises(SearchListError, match="columns are query,answer; expected text, fits"):
        read_searches(path)
