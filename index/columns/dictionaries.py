"""Columns as numbers, to count and sort by: words as codes of a dictionary, the rest as floats."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64, Integer

from index.columns.attribute_numbers import first_numbers
from index.columns.filter_language import Field
from index.columns.filter_masks import PATHS, upwards


class RowCodes(NamedTuple):
    """Which of some rows has which word: a row has none, one or several, and each of them once."""

    at: Int64[np.ndarray, "p"]  # places among the rows that were asked for
    codes: Integer[np.ndarray, "p"]


class DictionaryColumn(NamedTuple):
    """A column of words; without `starts` each row has one code, or -1 for none."""

    words: pa.Array  # by code
    codes: Integer[np.ndarray, "m"]
    starts: Int64[np.ndarray, "n_and_1"] | None = None  # where the codes of each row begin

    @property
    def nbytes(self) -> int:
        """How many bytes of memory it takes."""
        starts = 0 if self.starts is None else self.starts.nbytes
        return int(self.words.nbytes + self.codes.nbytes + starts)

    def pairs(self, rows: Int64[np.ndarray, "c"]) -> RowCodes:
        """Return the words of these rows."""
        if self.starts is None:
            codes = self.codes[rows]
            at = np.flatnonzero(codes >= 0)
            return RowCodes(at, codes[at])
        first, counts = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        at = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
        return RowCodes(at, self.codes[first[at] + within])


def coded(table: pa.Table, field: Field) -> DictionaryColumn:
    """Return a column of words, of lists of words, or one key of a column of maps.

    A key that comes several times in a map has several words. A missing
    or empty word is none. A row has its categories and every category above them.
    """
    column = table.column(field.name)
    if field.key is not None:
        column = _values_of(column, field.key)
    if not pa.types.is_list(column.type):
        return DictionaryColumn(*_codes(column))
    words, flat = _codes(pa.chunked_array(pc.list_flatten(column).chunks, pa.string()))
    rows = _parents(column)[flat >= 0]
    flat = flat[flat >= 0]
    if field.name == PATHS:
        words, rows, flat = _with_all_above(words, rows, flat)
    keys = distinct(rows * max(len(words), 1) + flat)
    rows, flat = np.divmod(keys, max(len(words), 1))
    return DictionaryColumn(words, flat, np.searchsorted(rows, np.arange(table.num_rows + 1)))


def distinct(keys: Int64[np.ndarray, "m"]) -> Int64[np.ndarray, "k"]:
    """Return each number once, ascending; much faster than `np.unique` where they are many."""
    keys = np.sort(keys)
    return np.asarray(keys[np.diff(keys, prepend=keys[:1] - 1) != 0])


def numbers(table: pa.Table, field: Field) -> Float64[np.ndarray, "n"]:
    """Return a column of numbers, or of the first number under a key; NaN where there is none."""
    if field.key is not None:
        return first_numbers(table, field.name, field.key)
    column = pc.fill_null(table.column(field.name).cast(pa.float64()), float("nan"))
    return np.asarray(column.to_numpy(), np.float64)


def _codes(column: pa.ChunkedArray) -> tuple[pa.Array, Integer[np.ndarray, "n"]]:
    chunks = column.dictionary_encode().unify_dictionaries().chunks
    if not chunks:
        return pa.array([], pa.string()), np.empty(0, np.int32)
    words = chunks[0].dictionary
    codes = np.concatenate([np.asarray(pc.fill_null(chunk.indices, -1)) for chunk in chunks])
    empty = pc.index(words, "").as_py()
    return words, codes if empty < 0 else np.where(codes == empty, np.int32(-1), codes)


def _values_of(column: pa.ChunkedArray, key: str) -> pa.ChunkedArray:
    """Return the values of a key: a column of words, or of lists where a row has several."""
    lists = pc.map_lookup(column, key, "all")
    most = pc.max(pc.list_value_length(lists)).as_py() or 0
    return lists if most > 1 else pc.map_lookup(column, key, "first")


def _parents(column: pa.ChunkedArray) -> Int64[np.ndarray, "m"]:
    """Return the row of each value of a column of lists."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)
    return np.repeat(np.arange(len(column)), lengths)


def _with_all_above(
    words: pa.Array, rows: Int64[np.ndarray, "m"], flat: Integer[np.ndarray, "m"]
) -> tuple[pa.Array, Int64[np.ndarray, "k"], Int64[np.ndarray, "k"]]:
    """Give each row that has a path every path above it, too."""
    above = [upwards(path) for path in words.to_pylist()]
    code_of = {
        path: code
        for code, path in enumerate(dict.fromkeys(path for paths in above for path in paths))
    }
    counts = np.array([len(paths) for paths in above], np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    codes = np.array([code_of[path] for paths in above for path in paths], np.int64)
    paths = DictionaryColumn(pa.array(list(code_of), pa.string()), codes, starts)
    at, expanded = paths.pairs(np.asarray(flat, np.int64))
    return paths.words, rows[at], expanded
