"""The demo's measurement: a table, and beside it a page of slices."""

from pathlib import Path

import pytest

from pipelines import demo
from pipelines.evaluation.baselines import BASELINES
from pipelines.progress import silent
from pipelines.reports import output
from tests.conftest import UNTIL
from tests.pipelines.reports.test_markup import Reader


@pytest.fixture(autouse=True)
def small_year(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "UNTIL", UNTIL.date().isoformat())


def test_a_page_lies_beside_the_table_and_says_the_same(
    shop: Path, releases: Path, tmp_path: Path
) -> None:
    table = demo.measurement(shop, releases, tmp_path / "measured.json", silent)

    read = Reader((tmp_path / output.NAME).read_text())
    [row] = [line.split() for line in table.splitlines() if line.strip().startswith("vetrina")]
    assert f"vetrina against {BASELINES[-1]}" in read.text
    assert f"nDCG@20{row[2]}" in read.text
    assert "Head, torso and tail" in read.text
    assert "given candidates" in read.text


def test_it_is_measured_once_a_release_unless_the_page_is_lost(
    shop: Path, releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, page = tmp_path / "measured.json", tmp_path / output.NAME
    first = demo.measurement(shop, releases, file, silent)

    page.unlink()
    again = demo.measurement(shop, releases, file, silent)
    monkeypatch.delattr(demo, "hold_out")

    assert page.is_file()
    assert first == again == demo.measurement(shop, releases, file, silent)
