"""Numbers in attributes: compared, sorted and refused where there are none."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from index import Columns, Field, FilterError
from index.columns.attribute_numbers import is_numeric, number_in, numbers_of

KIND = pa.map_(pa.string(), pa.string())
ROWS: list[list[tuple[str, str]]] = [
    [("size", "9"), ("length", "12 cm"), ("colour", "red")],
    [("size", "10"), ("length", "12"), ("colour", "blue")],
    [("size", "39,5"), ("length", "n/a"), ("colour", "5 shades")],
    [("size", "41"), ("size", "44")],
    [],
    [("size", "XL"), ("length", "7.5cm")],
]


@pytest.fixture
def columns(tmp_path: Path) -> Columns:
    schema = pa.schema([("id", pa.string()), ("attributes", KIND)])
    records = [{"id": str(row), "attributes": pairs} for row, pairs in enumerate(ROWS)]
    Columns.write(tmp_path / "p", [pa.RecordBatch.from_pylist(records, schema)], schema)
    return Columns.open(tmp_path / "p")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("12 cm", 12),
        ("12cm", 12),
        (' 55" ', 55),
        ("12,5", 12.5),
        ("-5 °C", -5),
        ("\u22125", -5),
        ("1,299", 1299),
        ("1.299", 1.299),
        ("1,299.50", 1299.5),
        ("1.299,50 €", 1299.5),
        ("1 299,5", 1299.5),
        ("0,299", 0.299),
        ("1,299,500", 1299500),
        ("1.299.500", 1299500),
        ("123,456", 123456),
        ("1234,567", 1234.567),
        ("12,34", 12.34),
        ("12".rjust(64), 12),
    ],
)
def test_a_value_is_the_number_that_it_is_written_as(text: str, number: float) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "n/a",
        "XL",
        "10-12",
        "12 x 30",
        "1e5",
        "size 9",
        "(5)",
        "12 #",
        "12 _",
        "4006381333948 1" * 9,
        "12".rjust(65),
    ],
)
def test_what_is_no_number_has_none(text: str) -> None:
    assert math.isnan(number_in(text))


def test_a_long_value_is_no_number() -> None:
    assert math.isnan(number_in("1." * 1_000_000))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("attributes.size > 40", [3]),
        ("attributes.size < 40", [0, 1, 2]),
        ("attributes.size = 44", [3]),  # one of several values
        ("attributes.size: IN(9, 10)", [0, 1]),
        ("attributes.size: IN(9e, 39.5)", [1, 2]),
        ("attributes.size: IN(*, 39.5e)", [0, 1]),
        ("attributes.length >= 7.5", [0, 1, 5]),
        ("NOT attributes.size > 40", [0, 1, 2, 4, 5]),
        ('attributes.size > 9 AND attributes.colour: ANY("blue")', [1]),
        ("attributes.size: IN(*, *)", [0, 1, 2, 3]),
    ],
)
def test_attributes_are_compared_as_numbers(columns: Columns, text: str, rows: list[int]) -> None:
    assert np.flatnonzero(columns.allowed(text)).tolist() == rows


def test_an_attribute_without_a_number_is_not_compared(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.string()), ("attributes", KIND)])
    records = [{"id": "1", "attributes": [("colour", "red")]}]
    Columns.write(tmp_path / "p", [pa.RecordBatch.from_pylist(records, schema)], schema)

    with pytest.raises(FilterError, match=r"'attributes.colour' at position 1 holds words, not"):
        Columns.open(tmp_path / "p").allowed("attributes.colour > 4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('attributes.color: ANY("red")', r"unknown field 'attributes.color' at position 1: no"),
        ('attributes.color: ANY("red")', "choose one of colour"),
        ("price > 1 AND attributes.x > 1", "at position 15"),
    ],
)
def test_a_name_that_no_product_has_is_said(columns: Columns, text: str, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        columns.allowed(text)


def test_the_first_number_of_a_row_sorts_it(columns: Columns) -> None:
    size = columns.numbers(Field("attributes", "size"))

    np.testing.assert_array_equal(size, [9, 10, 39.5, 41, np.nan, np.nan])


def test_a_column_is_of_numbers_where_most_values_are(columns: Columns) -> None:
    fields = [Field("attributes", key) for key in ("size", "length", "colour")]

    assert [columns.is_numeric(field) for field in fields] == [True, True, False]
    assert not columns.is_numeric(Field("id"))


def test_a_missing_value_has_no_number_whatever_stands_beside_it() -> None:
    found = numbers_of(pa.chunked_array([["5", None], ["n/a", "5", "7"]]))

    np.testing.assert_array_equal(found, [5, np.nan, np.nan, 5, 7])


@pytest.mark.parametrize(
    ("values", "numeric"),
    [
        ([], False),
        (["", " "], False),
        (["5"], True),
        (["5", "", " "], True),
        (["5", "n/a"], False),
        (["5", "6", "n/a"], True),
        (["5", "n/a", "n/a"], False),
    ],
)
def test_a_column_is_of_numbers_where_more_than_half_of_its_values_are(
    values: list[str],
    numeric: bool,  # noqa: FBT001
) -> None:
    table = pa.table({"attributes": pa.array([[("size", one)] for one in values], KIND)})

    assert is_numeric(table, "attributes", "size") == numeric
