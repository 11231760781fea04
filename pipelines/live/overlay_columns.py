"""Columns of products as numbers, those of a release with what changed since laid over them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from index import Columns, Field, RowCodes
from index.columns.attribute_numbers import is_numeric
from index.columns.bounded_cache import BoundedCache
from index.columns.dictionaries import DictionaryColumn, coded, numbers
from index.columns.table import REMEMBERED_BYTES, REMEMBERED_COLUMNS

Rows = Int64[np.ndarray, "c"]


class WordColumn(NamedTuple):
    """Which words there are, and which rows have them."""

    words: pa.Array  # by code
    pairs: RowCodes


class LiveColumns:
    """What products are counted and sorted by, at one moment."""

    def __init__(
        self,
        products: Columns,
        changed: pa.Table,
        places_of: Callable[[Rows], Rows],
        *,
        still: bool,
    ) -> None:
        """Lay rows of `changed` over those rows that have a place there; of the others it is -1."""
        self._products = products
        self._changed = changed
        self._places_of = places_of
        self._still = still
        self._coded: BoundedCache[DictionaryColumn] = BoundedCache(
            REMEMBERED_COLUMNS, REMEMBERED_BYTES
        )

    def words(self, field: Field, rows: Rows) -> WordColumn:
        """Return the words that these rows have in a column of words."""
        built = self._products.coded(field)
        if self._still:
            return WordColumn(built.words, built.pairs(rows))
        changed, places = self._changed_words(field, built.words), self._places_of(rows)
        here, there = np.flatnonzero(places < 0), np.flatnonzero(places >= 0)
        of_here, of_there = built.pairs(rows[here]), changed.pairs(places[there])
        at = np.concatenate([here[of_here.at], there[of_there.at]])
        return WordColumn(
            changed.words, RowCodes(at, np.concatenate([of_here.codes, of_there.codes]))
        )

    def is_numeric(self, field: Field) -> bool:
        """Tell whether a field is sorted as numbers: most values of an attribute are.

        Those of changed products count for an attribute that the release does not have.
        """
        if self._still or field.key is None or len(self._products.coded(field).words):
            return self._products.is_numeric(field)
        return is_numeric(self._changed, field.name, field.key)

    def numbers(self, field: Field, rows: Rows) -> Float64[np.ndarray, "c"]:
        """Return the numbers that these rows have in a column; NaN where there is none."""
        built = self._products.numbers(field)
        if self._still:
            return np.asarray(built[rows])
        places = self._places_of(rows)
        found = np.array(built[np.minimum(rows, len(built) - 1)])
        found[places >= 0] = numbers(self._changed, field)[places[places >= 0]]
        return found

    def _changed_words(self, field: Field, known: pa.Array) -> DictionaryColumn:
        """Return a column of what changed, in the codes of the release and new ones behind them."""
        key = field.name, field.key
        return self._coded.of(key, lambda: self._code(field, known), lambda column: column.nbytes)

    def _code(self, field: Field, known: pa.Array) -> DictionaryColumn:
        own = coded(self._changed, field)
        codes = np.asarray(pc.fill_null(pc.index_in(own.words, value_set=known), -1), np.int64)
        new = np.flatnonzero(codes < 0)
        codes[new] = len(known) + np.arange(len(new))
        codes = np.append(codes, -1)  # of code -1
        words = pa.concat_arrays([known, own.words.take(pa.array(new))])
        return DictionaryColumn(words, codes[own.codes], own.starts)
