from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from index import Columns, DamagedIndex, Field, IndexFault, map_array, save_array
from index.columns import table
from index.columns.table import pairs_of, values_by_key
from tests.assertions import every

SCHEMA = pa.schema(
    [("id", pa.string()), ("price", pa.float64()), ("traits", pa.map_(pa.string(), pa.string()))]
)


def batch(*ids: str) -> pa.RecordBatch:
    rows = [{"id": name, "price": float(i), "traits": {"n": name}} for i, name in enumerate(ids)]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def test_rows_keep_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    Columns.write(tmp_path / "x.arrow", [batch("b", "a"), batch("c")], SCHEMA)

    columns = Columns.open(tmp_path / "x.arrow")

    assert columns.ids == ["b", "a", "c"]
    assert [r["id"] for r in columns.records(np.array([2, 0]))] == ["c", "b"]


def test_a_row_is_read_from_its_own_batch(tmp_path: Path) -> None:
    batches = [batch("a"), batch("b", "c"), batch(), batch("d")]
    Columns.write(tmp_path / "x.arrow", batches, SCHEMA)

    records = Columns.open(tmp_path / "x.arrow").records(np.array([3, 1, 0, 2, 3]))

    assert [r["id"] for r in records] == ["d", "b", "a", "c", "d"]


def test_a_map_comes_back_as_a_dictionary(tmp_path: Path) -> None:
    Columns.write(tmp_path / "x.arrow", [batch("a")], SCHEMA)

    [record] = Columns.open(tmp_path / "x.arrow").records(np.array([0]))

    assert record == {"id": "a", "price": 0.0, "traits": {"n": "a"}}


def test_a_key_that_comes_again_in_a_map_has_a_list_of_values(tmp_path: Path) -> None:
    colours = pairs_of({"colour": ["red", "blue"], "size": "M"})
    row = {"id": "a", "price": 0.0, "traits": colours}
    Columns.write(tmp_path / "x.arrow", [pa.RecordBatch.from_pylist([row], SCHEMA)], SCHEMA)

    [record] = Columns.open(tmp_path / "x.arrow").records(np.array([0]))

    assert record["traits"] == {"colour": ["red", "blue"], "size": "M"}
    assert values_by_key(pairs_of(record["traits"])) == record["traits"]


def test_unknown_ids_are_told_apart_and_the_order_asked_is_kept() -> None:
    columns = Columns(pa.Table.from_batches([batch("a", "b", "c")]))

    found = columns.rows_of(["c", "x", "a"])

    assert found.rows.tolist() == [2, 0]
    assert found.missing == ("x",)


def test_an_id_names_one_row() -> None:
    with pytest.raises(IndexFault, match="1 of 3 ids stand twice"):
        Columns(pa.Table.from_batches([batch("a", "b", "a")]))


def test_a_table_without_rows_is_opened(tmp_path: Path) -> None:
    Columns.write(tmp_path / "x.arrow", [], SCHEMA)

    assert Columns.open(tmp_path / "x.arrow").size == 0


def test_a_file_that_is_not_arrow_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.arrow").write_bytes(b"not arrow at all")

    with pytest.raises(DamagedIndex, match=r"x\.arrow is not an Arrow file"):
        Columns.open(tmp_path / "x.arrow")


@pytest.mark.parametrize("shape", [(3, 2), (0,), (0, 4)])
def test_an_array_comes_back_as_it_was(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, "float32")
    save_array(tmp_path / "deep/x.npy", array)

    np.testing.assert_array_equal(map_array(tmp_path / "deep/x.npy"), array)


def test_a_file_that_is_not_an_array_is_named_and_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(DamagedIndex, match=r"x\.npy is not an array"):
        map_array(tmp_path / "x.npy")


def test_columns_of_any_number_of_keys_keep_a_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "REMEMBERED_BYTES", 1_000)
    Columns.write(tmp_path / "x.arrow", [batch(*"abcdefghij")], SCHEMA)
    columns = Columns.open(tmp_path / "x.arrow")

    words = [
        columns.coded(Field("traits", key)).words.to_pylist() for key in ["n", *"abcdefgh"] * 9
    ]
    numbers = [columns.numbers(Field("traits", f"k{i}")) for i in range(100)]

    assert words[0] == words[-9] == list("abcdefghij")
    assert every(np.isnan(column).all() and len(column) == 10 for column in numbers)
    assert 0 < columns._coded.size <= 1_000
    assert 0 < columns._numbers.size <= 1_000
