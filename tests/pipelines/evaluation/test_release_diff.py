"""What differs between two releases, on a page that is the same each time."""

import shutil
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from index import Columns
from pipelines.building.build import build
from pipelines.config.sections import Config
from pipelines.evaluation.release_diff import diff
from pipelines.progress import silent
from pipelines.release.product_changes import compare_products
from pipelines.release.store import names
from pipelines.shop.schemas import PRODUCT_SCHEMA, conform
from tests.assertions import every
from tests.conftest import UNTIL
from tests.pipelines.building.test_plan import gone_and_new, write_other


def columns(path: Path, rows: list[dict]) -> Columns:
    table = conform(pa.Table.from_pylist(rows), PRODUCT_SCHEMA)
    Columns.write(path, table.to_batches(), PRODUCT_SCHEMA)
    return Columns.open(path)


def test_products_are_the_same_by_their_id_wherever_they_stand(tmp_path: Path) -> None:
    before = columns(tmp_path / "a", [{"id": n, "title": n, "price": 1.0} for n in "abcd"])
    rows = [{"id": n, "title": n, "price": 1.0} for n in "dbxa"]
    rows[1]["price"] = 2.0
    rows[3]["title"] = "other"

    found = compare_products(before, columns(tmp_path / "b", rows))

    assert (found.gone, found.new, found.both) == (("c",), ("x",), ("d", "b", "a"))
    assert found.changed["price"].tolist() == [False, True, False]
    assert found.changed["title"].tolist() == [False, False, True]
    assert found.drift == pytest.approx(3 / 5)  # c, x and a; a price says nothing of what it is


@pytest.fixture(scope="module")
def two(quick_releases: Path, quick: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a release and one of other products and settings, retrieval only."""
    replace = msgspec.structs.replace
    folder = tmp_path_factory.mktemp("diff")
    shutil.copytree(quick_releases, folder / "r", symlinks=True)
    other = replace(quick, retrieval=replace(quick.retrieval, rrf_k=30.0))
    build(write_other(folder / "other", gone_and_new), folder / "r", other, UNTIL, silent)
    return folder / "r"


def test_a_diff_tells_products_answers_and_settings(two: Path) -> None:
    new, old = names(two)

    found = diff(two, old, new, silent)

    assert (found.gone_examples, found.new_examples) == (("p11",), ("p99",))
    assert {s.key for s in found.manifest} >= {"config.retrieval.rrf_k", "shop.fingerprint"}
    assert {kind.kind for kind in found.answers} == {"searches", "recommendations"}
    for kind in found.answers:
        assert 0.5 < kind.overlap <= 1
        worst = [one.rank_biased_overlap for one in kind.worst]
        assert worst == sorted(worst)


def test_a_diff_is_the_same_page_each_time(two: Path) -> None:
    new, old = names(two)

    first, second = (diff(two, old, new, silent) for _ in range(2))

    assert first.text() == second.text()
    assert first.json() == second.json()
    assert "config.retrieval.rrf_k: 60.0 -> 30.0" in first.text()


def test_a_release_does_not_differ_from_itself(two: Path) -> None:
    new, _ = names(two)

    found = diff(two, new, new, silent)

    assert (found.gone, found.new, found.changed, found.manifest) == (0, 0, (), ())
    assert every(kind.overlap == 1 and not kind.worst for kind in found.answers)
