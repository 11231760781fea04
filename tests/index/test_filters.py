import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import FilterError
from index.filters import matching

TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "brand": ["Oat Co", "Rye Ltd", "Rye Ltd", 'Say "cheese"'],
        "price": pa.array([1.0, 5.0, None, 9.5]),
        "categories": [["Food > Bread", "New"], ["Food"], ["Toys > Foodies"], []],
        "attributes": pa.array(
            [[("colour", "red")], [("colour", "blue"), ("size", "L")], [("颜色", "红色")], []],
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
    'attributes.size: ANY("L")': "b",
    'attributes.颜色: ANY("红色")': "c",
    'brand: ANY("Rye Ltd") AND NOT price = 5 OR id: ANY("d")': "cd",
    'brand: ANY("Rye Ltd") AND (price = 5 OR id: ANY("d"))': "b",
    'NOT (brand: ANY("Rye Ltd") OR price > 9)': "a",
    'brand:ANY("nobody")': "",
    " AND ".join(["NOT price > 9"] * 40): "abc",
    " OR ".join(["(NOT (price > 9))"] * 40): "abc",
    'brand: ANY("NOT NOT ((((")': "",
}
REFUSED = {
    "brand": "cannot be read at position 1",
    "brand: ANY(Rye)": "position 12: 'Rye)'",
    'brand: ANY("Rye': "cannot be read at position 12",
    "price: IN(1,": "cannot be read at position",
    'brand: ANY("a") AND': "cannot be read at position",
    'brand: ANY("a") brand: ANY("b")': "position 17",
    'brandy: ANY("a")': "unknown field 'brandy' at position 1; choose one of id, brand, price",
    'price: ANY("a")': "holds numbers, not words",
    "brand > 3": "holds words, not numbers",
    'attributes: ANY("red")': "write attributes.KEY",
    'brand.x: ANY("red")': "'brand' has no parts",
    "(" * 33 + "price > 1" + ")" * 33: "nested more than 32 deep at position 33",
    "NOT " * 40 + "price > 1": "nested more than 32 deep",
    "NOT\t" * 2_000 + "price > 1": "nested more than 32 deep",
    'brand: ANY("a\\\\") OR ' + "NOT " * 2_400 + "price > 1": "nested more than 32 deep",
    "(NOT " * 20 + "price > 1" + ")" * 20: "nested more than 32 deep",
    'brand: ANY("' + "x" * 10_000 + '")': "a filter of 10,014 characters; at most 10,000",
    "price > 1; DROP TABLE products": "position 10",
}


@pytest.mark.parametrize(("text", "passing"), PASSING.items())
def test_a_filter_passes_the_rows_it_describes(text: str, passing: str) -> None:
    assert "".join(np.asarray(TABLE["id"])[matching(TABLE, text)]) == passing


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=[t[:24] for t in REFUSED])
def test_a_filter_that_cannot_be_read_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(FilterError, match=re.escape(message)):
        matching(TABLE, text)


@given(st.text(alphabet='brandpice:()"ANYINOT ,.*<>=19\\', max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        mask = matching(TABLE, text)
    except FilterError:
        return

    assert mask.shape == (4,)
