import contextlib
import re
from math import isnan
from operator import eq, ge, gt, le, lt
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import FilterError
from index.columns.filter_language import (
    AnyOf,
    Between,
    Both,
    Bound,
    Compare,
    Either,
    Expression,
    Field,
    Negation,
    parse,
    written,
)
from index.columns.filter_masks import matching

TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "brand": ["Oat Co", "Rye Ltd", "Rye Ltd", 'Say "cheese"'],
        "price": pa.array([1.0, 5.0, None, 9.5]),
        "categories": [["Food > Bread", "New"], ["Food"], ["Toys > Foodies"], []],
        "attributes": pa.array(
            [
                [("colour", "red"), ("colour", "pink")],
                [("colour", "blue"), ("size", "L")],
                [("颜色", "红色")],
                [],
            ],
            pa.map_(pa.string(), pa.string()),
        ),
    }
)
PASSING = {
    'brand: ANY("Rye Ltd")': "bc",
    'brand: ANY("Rye Ltd", "Oat Co")': "abc",
    'brand: ANY("Say \\"cheese\\"")': "d",
    "price: IN(1, 5)": "ab",
    "price: IN(1e, 5)": "b",
    "price: IN(1, 5e)": "a",
    "price: IN(1i, 5.0i)": "ab",
    "price: IN(*, *)": "abd",
    "price < 5": "a",
    "price<=5": "ab",
    "price > 5": "d",
    "price >= 5": "bd",
    "price = 5.0": "b",
    "NOT price < 5": "bcd",
    'categories: ANY("Food")': "ab",
    'categories: ANY("Food > Bread")': "a",
    'categories: ANY("New")': "a",
    'attributes.colour: ANY("red", "green")': "a",
    'attributes.colour: ANY("pink")': "a",
    'NOT attributes.colour: ANY("pink")': "bcd",
    'attributes.size: ANY("L")': "b",
    'attributes.颜色: ANY("红色")': "c",
    'attributes."colour": ANY("red")': "a",
    "-price < 5": "bcd",
    '-(brand: ANY("Rye Ltd") OR price > 9)': "a",
    "price < -5": "",
    "price > 5e-1 AND price < 1.5e0": "a",
    "price: IN(1e0, 5e0e)": "a",
    'categories: ANY("Foo")': "",
    'brand: ANY("Rye Ltd") AND NOT price = 5 OR id: ANY("d")': "cd",
    'brand: ANY("Rye Ltd") AND (price = 5 OR id: ANY("d"))': "b",
    'NOT (brand: ANY("Rye Ltd") OR price > 9)': "a",
    'brand:ANY("nobody")': "",
    " AND ".join(["NOT price > 9"] * 40): "abc",
    " OR ".join(["(NOT (price > 9))"] * 40): "abc",
    'brand: ANY("NOT NOT ((((")': "",
}
REFUSED = {
    "brand": "cannot be read at position 6: it ends early, where ':' or a comparison should be",
    "brand: ANY(Rye)": "position 12: 'Rye)'",
    'brand: ANY("Rye': "cannot be read at position 12",
    "price: IN(1,": "cannot be read at position",
    'brand: ANY("a") AND': "cannot be read at position",
    'brand: ANY("a") brand: ANY("b")': "position 17",
    'brandy: ANY("a")': "unknown field 'brandy' at position 1; choose one of id, brand, price",
    'price: ANY("a")': "field 'price' at position 1 holds numbers, not words (double)",
    "price > 1 AND brand > 3": "field 'brand' at position 15 holds words, not numbers (string)",
    "categories > 3": "holds words, not numbers (list<",
    "attributes.size > 3": "field 'attributes.size' at position 1 holds words, not numbers",
    "price > 1 AND NOT attributes.: ANY()": "cannot be read at position",
    'brand: ANY("\ud800")': "cannot be read at position 13: half a character",
    'attributes: ANY("red")': "write attributes.KEY",
    'brand.x: ANY("red")': "'brand' has no parts",
    "(" * 33 + "price > 1" + ")" * 33: "nested more than 32 deep at position 33",
    "NOT " * 40 + "price > 1": "nested more than 32 deep",
    "NOT\t" * 2_000 + "price > 1": "nested more than 32 deep",
    'brand: ANY("a\\\\") OR ' + "NOT " * 2_400 + "price > 1": "nested more than 32 deep",
    "(NOT " * 20 + "price > 1" + ")" * 20: "nested more than 32 deep",
    'brand: ANY("' + "x" * 10_000 + '")': "a filter of 10,014 characters; at most 10,000 "
    "are read, and the first too many is at position 10001",
    "price > 1; DROP TABLE products": "position 10",
    'brand: ANY("a", "")': "position 17: an empty word, which no product has",
    "price: IN(5, 1)": "position 11: from 5 to 1 is nothing; write the lower end first",
}


@pytest.mark.parametrize(("text", "passing"), PASSING.items())
def test_a_filter_passes_the_rows_it_describes(text: str, passing: str) -> None:
    assert "".join(np.asarray(TABLE["id"])[matching(TABLE, text)]) == passing


@pytest.mark.parametrize("text", ['brand: ANY("Cafe\u0301")', 'attributes."cafe\u0301": ANY("x")'])
def test_letters_of_a_filter_are_composed_as_an_import_composes_them(text: str) -> None:
    table = pa.table(
        {
            "brand": ["Café", "Cafe"],
            "attributes": pa.array([[("café", "x")], []], pa.map_(pa.string(), pa.string())),
        }
    )

    assert matching(table, text).tolist() == [True, False]


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=[t[:24] for t in REFUSED])
def test_a_filter_that_cannot_be_read_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(FilterError, match=re.escape(message)):
        matching(TABLE, text)


@given(st.text(alphabet='brandpice:()"ANYINOT ,.*<>=19\\-e', max_size=60) | st.text(max_size=60))
@settings(max_examples=200, deadline=1_000)
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        mask = matching(TABLE, text)
    except FilterError as e:
        mask, refused = np.zeros(4, bool), str(e)
    else:
        refused = "at no position"

    assert mask.shape == (4,)
    assert "position" in refused


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=1_000)
def test_any_bytes_are_a_filter_or_a_filter_error(content: bytes) -> None:
    with contextlib.suppress(FilterError):
        matching(TABLE, content.decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    "text",
    [
        "a." + "b " * 4_990,
        "a.b" + " " * 9_990,
        'brand: ANY("' + "\\" * 9_980,
        'brand."' + "x\\" * 4_000,
        "9e" * 5_000,
        "-" * 10_000,
        "(" * 10_000,
        "price < " + "9" * 9_000,
        "categories: ANY(" + ",".join(['"Food"'] * 1_400) + ")",
        " OR ".join(["price < 1"] * 700),
        "x" * 1_000_000,
    ],
    ids=lambda text: f"{text[:12]}-{len(text)}",
)
def test_no_text_takes_long(text: str) -> None:
    started = process_time()

    with contextlib.suppress(FilterError):
        matching(TABLE, text)

    assert process_time() - started < 1  # a few hundredths; a search that goes back takes minutes


def test_a_mistake_says_what_stands_there_and_what_should() -> None:
    with pytest.raises(FilterError) as refused:
        parse('brand: ANY("A") AND price: ANY 5')

    assert str(refused.value).startswith(
        "cannot be read at position 32: '5', where '(' should be; write for example"
    )


WORDS = st.sampled_from(["Oat Co", "Rye Ltd", "Food", "Food > Bread", "red", "L", "", 'a"\\b'])
NUMBERS = st.sampled_from([-1.5, 0.0, 1.0, 5.0, 9.5, 1e300, 2.5e-7])
BOUNDS = st.builds(Bound, NUMBERS, st.booleans()) | st.just(Bound(None))
WORD_FIELDS = st.sampled_from(
    [Field("brand"), Field("categories"), Field("attributes", "colour"), Field("attributes", "a>b")]
)
NUMBER_FIELDS = st.just(Field("price"))
TESTS = (
    st.builds(AnyOf, WORD_FIELDS, st.lists(WORDS.filter(bool), min_size=1, max_size=3).map(tuple))
    | st.builds(Between, NUMBER_FIELDS, BOUNDS, BOUNDS).filter(lambda test: in_order(test))
    | st.builds(Compare, NUMBER_FIELDS, st.sampled_from(["<", "<=", ">", ">=", "="]), NUMBERS)
)


def in_order(test: Between) -> bool:
    ends = test.low.value, test.high.value
    return None in ends or ends == tuple(sorted(ends, key=float))


TREES = st.recursive(
    TESTS,
    lambda inner: (
        st.builds(Negation, inner)
        | st.builds(Both, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Either, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "brand": st.none() | WORDS,
            "price": st.none() | NUMBERS | st.just(float("nan")),
            "categories": st.none() | st.lists(st.none() | WORDS, max_size=3),
            "attributes": st.none()
            | st.lists(st.tuples(st.sampled_from(["colour", "a>b", "size"]), WORDS), max_size=3),
        }
    ),
    max_size=6,
)
SCHEMA = pa.schema(
    [
        ("brand", pa.string()),
        ("price", pa.float64()),
        ("categories", pa.list_(pa.string())),
        ("attributes", pa.map_(pa.string(), pa.string())),
    ]
)


@given(TREES, ROWS, st.integers(0, 6))
@settings(max_examples=200, deadline=None)
def test_a_written_tree_is_read_back_and_passes_the_rows_that_python_passes(
    tree: Expression, rows: list[dict[str, Any]], cut: int
) -> None:
    batches = [pa.RecordBatch.from_pylist(part, SCHEMA) for part in (rows[:cut], rows[cut:])]
    table = pa.Table.from_batches(batches, SCHEMA)
    text = written(tree)

    mask = matching(table, text)

    assert mask.tolist() == [holds(tree, row) for row in rows]
    assert written(parse(text)) == text


def holds(tree: Expression, row: dict[str, Any]) -> bool:
    match tree:
        case Negation(inner):
            return not holds(inner, row)
        case Both(parts):
            return all(holds(part, row) for part in parts)
        case Either(parts):
            return any(holds(part, row) for part in parts)
        case AnyOf(field, values):
            return any(fits(field, found, value) for found in words(field, row) for value in values)
        case Between(_, low, high):
            price = row["price"]
            return (
                price is not None and not isnan(price) and above(low, price) and below(high, price)
            )
        case Compare(_, comparison, number):
            return row["price"] is not None and OPERATORS[comparison](row["price"], number)


OPERATORS = {"<": lt, "<=": le, ">": gt, ">=": ge, "=": eq}


def words(field: Field, row: dict[str, Any]) -> list[str]:
    value = row[field.name]
    if field.key is not None:
        value = [word for key, word in value or () if key == field.key]
    found = value if isinstance(value, list) else [value]
    return [word for word in found if word is not None]


def fits(field: Field, found: str, value: str) -> bool:
    under = field.name == "categories" and found.startswith(value + " > ")
    return found == value or under


def above(low: Bound, price: float) -> bool:
    return low.value is None or (price > low.value if low.exclusive else price >= low.value)


def below(high: Bound, price: float) -> bool:
    return high.value is None or (price < high.value if high.exclusive else price <= high.value)
