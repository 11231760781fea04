"""Numbers in columns of words: an attribute such as `42`, `12,5` or `12 cm` is its number.

A unit behind the number is left out, not converted. What is no number, such as `n/a` or `10-12`,
has none: it passes no comparison and is sorted last.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

MOST_IN_WORDS = 0.5  # of the values of a column that is sorted as numbers
LONGEST = 64  # characters of a value that may be a number
_GAPS = " '\u00a0\u202f"  # between thousands
_UNIT_SIGNS = "%\"'°€$£¥\u2032\u2033\u00b2\u00b3/("  # that a unit begins with, beside letters
_NUMBER = re.compile(
    rf"\s*+([-+\u2212]?)(\d{{1,18}}(?:[.,{_GAPS}]\d{{1,18}})*+)\s*+([^\d]{{0,24}})"
)


def number_in(text: str) -> float:
    """Return the number that a value is, with or without a unit; NaN if it is none.

    `1,299.50` and `1.299,50` are 1299.5. One comma or point is decimal, but `1,299` is a thousand.
    """
    match = _NUMBER.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        return float("nan")
    sign, digits, unit = match.groups()
    if unit and not (unit[0].isalpha() or unit[0] in _UNIT_SIGNS):
        return float("nan")
    value = _value(re.sub(f"[{_GAPS}]", "", digits))
    return -value if sign in ("-", "\u2212") else value


def numbers_of(values: pa.ChunkedArray | pa.Array) -> Float64[np.ndarray, "n"]:
    """Return the number of each value; NaN where it is none. Each distinct value is read once."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = whole.dictionary_encode()
    distinct = [number_in(word) for word in coded.dictionary.to_pylist()]
    codes = np.asarray(pc.fill_null(coded.indices, -1), np.int64)
    return np.array([*distinct, np.nan], np.float64)[codes]


def first_numbers(table: pa.Table, name: str, key: str) -> Float64[np.ndarray, "n"]:
    """Return the first number that each row of a column of maps has under a key; NaN for none."""
    numbers = np.full(table.num_rows, np.nan)
    rows, values = keyed_values(table, name, key)
    found = numbers_of(values)
    known = ~np.isnan(found)
    rows, found = rows[known], found[known]
    numbers[rows[::-1]] = found[::-1]  # the first of a row is written last
    return numbers


def keyed_values(table: pa.Table, name: str, key: str) -> tuple[Int64[np.ndarray, "m"], pa.Array]:
    """Return the values under a key of a column of maps, and the row of each; of none no row."""
    lists = pc.map_lookup(table.column(name), key, "all")
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    return np.asarray(pc.list_parent_indices(lists), np.int64), pc.list_flatten(lists)


def is_numeric(table: pa.Table, name: str, key: str) -> bool:
    """Tell whether more than half of the values under a key are numbers, blank ones aside."""
    _, values = keyed_values(table, name, key)
    filled = values.filter(pc.not_equal(pc.utf8_trim_whitespace(values), ""))
    numbers = numbers_of(filled)
    return len(numbers) > 0 and float(np.mean(np.isnan(numbers))) < MOST_IN_WORDS


def _value(digits: str) -> float:
    """Return the value of digits with points and commas."""
    last = max(digits.rfind("."), digits.rfind(","))
    if last < 0:
        return float(digits)
    sign = digits[last]
    whole, decimals = digits[:last], digits[last + 1 :]
    several = whole.count(sign) > 0
    thousand = sign == "," and "." not in whole and len(decimals) == 3 and whole != "0"
    if several or (thousand and len(whole) <= 3):
        return float(re.sub("[.,]", "", digits))
    return float(f"{re.sub('[.,]', '', whole)}.{decimals}")
