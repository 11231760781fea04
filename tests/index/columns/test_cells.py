import pyarrow as pa
import pytest

from index.columns.cells import cell_reader

COLUMNS = {
    "texts": pa.array(["rye", None, "", "Brötchen"]),
    "numbers": pa.array([1.5, None, -0.0, 3e9]),
    "flags": pa.array([True, None, False, True]),
    "lists": pa.array([["a", "b"], None, [], [None, "c"]]),
    "maps": pa.array(
        [[("size", "2"), ("size", "3")], None, [], [("kind", None)]],
        pa.map_(pa.string(), pa.string()),
    ),
    "consent": pa.array([{"ads": True}, None, {"ads": None}, {"ads": False}]),
    "nothing": pa.array([None] * 4, pa.string()),
    "bytes": pa.array([b"\xff", b"", None, b"x"]),
}


@pytest.mark.parametrize("first", [0, 1, 3])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_cell_is_read_as_arrow_reads_it(name: str, first: int) -> None:
    column = COLUMNS[name][first:]

    read = cell_reader(column)

    assert [read(place) for place in range(len(column))] == column.to_pylist()


@pytest.mark.parametrize("kind", [pa.string(), pa.float64(), pa.list_(pa.string())])
def test_a_column_without_rows_can_be_opened(kind: pa.DataType) -> None:
    assert callable(cell_reader(pa.array([], kind)))
