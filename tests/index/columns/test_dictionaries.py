"""Columns as numbers, compared with the values themselves."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import Field, FilterError, field_named, parse, without, written
from index.columns.dictionaries import DictionaryColumn, coded, numbers
from index.columns.filter_masks import upwards

WORDS = st.sampled_from(["", "a", "b", "ä", "A > B", "A"])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "brand": st.none() | WORDS,
            "tags": st.none() | st.lists(st.none() | WORDS, max_size=4),
            "categories": st.lists(st.sampled_from(["A", "A > B", "A > B > C", "D"]), max_size=3),
            "attributes": st.none() | st.lists(st.tuples(st.sampled_from("xy"), WORDS), max_size=2),
            "price": st.none() | st.sampled_from([0.0, 1.5, -2.0]),
        }
    ),
    max_size=12,
)
SCHEMA = pa.schema(
    {
        "brand": pa.string(),
        "tags": pa.list_(pa.string()),
        "categories": pa.list_(pa.string()),
        "attributes": pa.map_(pa.string(), pa.string()),
        "price": pa.float64(),
    }
)


def table(rows: list[dict[str, Any]], batch: int) -> pa.Table:
    parts = [rows[i : i + batch] for i in range(0, len(rows), batch)]
    return pa.Table.from_batches([pa.RecordBatch.from_pylist(p, SCHEMA) for p in parts], SCHEMA)


def words(column: DictionaryColumn, rows: list[int]) -> list[set[str]]:
    """Return the words of each row, and refuse one that is there twice."""
    at, codes = column.pairs(np.array(rows, np.int64))
    names = column.words.to_pylist()
    found = [[names[c] for p, c in zip(at, codes, strict=True) if p == i] for i in range(len(rows))]
    assert [len(set(one)) for one in found] == [len(one) for one in found]
    return [set(one) for one in found]


def values_of(pairs: list[tuple[str, str]] | None, key: str) -> set[str]:
    return {value for name, value in pairs or () if name == key}


@given(ROWS, st.integers(1, 5), st.randoms())
def test_every_row_has_its_own_words_in_any_order_of_asking(
    rows: list[dict[str, Any]], batch: int, random: Any
) -> None:
    whole = table(rows, batch)
    asked = list(range(len(rows)))
    random.shuffle(asked)
    expected = {
        "brand": lambda r: {r["brand"]},
        "tags": lambda r: set(r["tags"] or ()),
        "categories": lambda r: {up for path in r["categories"] for up in upwards(path)},
        "attributes.x": lambda r: values_of(r["attributes"], "x"),
    }

    for name, own in expected.items():
        found = words(coded(whole, field_named(name)), asked)

        assert found == [own(rows[i]) - {"", None} for i in asked]


@given(ROWS, st.integers(1, 5))
def test_numbers_are_those_of_the_column_and_nan_where_there_is_none(
    rows: list[dict[str, Any]], batch: int
) -> None:
    found = numbers(table(rows, batch), Field("price"))

    assert [None if np.isnan(n) else n for n in found] == [row["price"] for row in rows]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("brand", Field("brand")),
        ("attributes.size", Field("attributes", "size")),
        ('attributes."a.b \\" c"', Field("attributes", 'a.b " c')),
        ("attributes.a.b", Field("attributes", "a.b")),
    ],
)
def test_a_field_is_named_as_in_a_filter(name: str, field: Field) -> None:
    assert field_named(name) == field


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('brand: ANY("A")', None),
        ('brand: ANY("A") AND price < 5.0', "price < 5.0"),
        ('NOT brand: ANY("A") AND price < 5.0 AND price > 1.0', "price < 5.0 AND price > 1.0"),
        ('(brand: ANY("A") OR brand: ANY("B")) AND price < 5.0', "price < 5.0"),
        ("price < 5.0 OR price > 9.0", "price < 5.0 OR price > 9.0"),
        ('(brand: ANY("A") AND price < 5.0) AND price > 1.0', "price < 5.0 AND price > 1.0"),
        ('attributes.brand: ANY("A")', 'attributes."brand": ANY("A")'),
    ],
)
def test_a_filter_without_a_field_keeps_every_other_condition(text: str, left: str | None) -> None:
    found = without(parse(text), Field("brand"))

    assert (None if found is None else written(found)) == left


@pytest.mark.parametrize(
    "text",
    ['price < 5 OR brand: ANY("A")', 'NOT (price < 5 AND brand: ANY("A"))'],
)
def test_a_field_cannot_be_told_from_others_within_one_condition(text: str) -> None:
    with pytest.raises(FilterError, match=r"'brand' at position \d+ stands in one condition"):
        without(parse(text), Field("brand"))


def test_a_column_takes_the_memory_of_its_words_its_codes_and_its_starts() -> None:
    words, codes, starts = pa.array(["a", "bc"]), np.zeros(6, np.int64), np.zeros(5, np.int64)

    assert DictionaryColumn(words, codes).nbytes == words.nbytes + 48
    assert DictionaryColumn(words, codes, starts).nbytes == words.nbytes + 48 + 40
