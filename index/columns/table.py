"""Attribute columns of a catalogue: memory-mapped Arrow, found by id, filtered before a search."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from index.columns.attribute_numbers import is_numeric
from index.columns.bounded_cache import BoundedCache
from index.columns.cells import cell_reader
from index.columns.dictionaries import DictionaryColumn, coded, numbers
from index.columns.filter_language import Field, parse
from index.columns.filter_masks import passing
from index.columns.map_keys import Keys, keys_of, refuse_unknown_keys
from index.errors import DamagedIndex, IndexFault

REMEMBERED_COLUMNS = 32  # as numbers
REMEMBERED_BYTES = 1 << 29  # of columns of words, and of columns of numbers as many


Numbers = Float64[np.ndarray, "n"]


class RowLookup(NamedTuple):
    """Rows of the ids that are known, in the order asked, and the ids that are not."""

    rows: Int64[np.ndarray, "m"]
    missing: tuple[str, ...]


class Columns:
    """A table with an `id` column; a row's number is its place."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        batches = table.to_batches()
        self._cells = [[cell_reader(column) for column in batch.columns] for batch in batches]
        self._starts = [0, *accumulate(batch.num_rows for batch in batches)]
        kinds = {field.name: field.type for field in table.schema}
        self._names = tuple(kinds)
        self._maps = tuple(name for name, kind in kinds.items() if pa.types.is_map(kind))
        self._row_of = {name: row for row, name in enumerate(table.column("id").to_pylist())}
        if len(self._row_of) != table.num_rows:
            raise IndexFault(
                f"{table.num_rows - len(self._row_of)} of {table.num_rows} ids stand twice; "
                "an id names one row"
            )
        self._coded: BoundedCache[DictionaryColumn] = BoundedCache(
            REMEMBERED_COLUMNS, REMEMBERED_BYTES
        )
        self._numbers: BoundedCache[Numbers] = BoundedCache(REMEMBERED_COLUMNS, REMEMBERED_BYTES)
        self._numeric = lru_cache(REMEMBERED_COLUMNS)(self._is_numeric)

    @staticmethod
    def write(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Write batches, one after the other, to an Arrow file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)

    @classmethod
    def open(cls, path: Path) -> "Columns":
        """Map an Arrow file into memory; the caller has checked its checksum."""
        try:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
            table.validate(full=True)
        except pa.ArrowInvalid as e:
            raise DamagedIndex(f"{path.name} is not an Arrow file: {str(e)[:200]}") from None
        return cls(table)

    @property
    def table(self) -> pa.Table:
        """The columns themselves; for building, not for serving."""
        return self._table

    @property
    def ids(self) -> list[str]:
        """The ids, by row."""
        return list(self._row_of)

    @property
    def size(self) -> int:
        """How many rows there are."""
        return int(self._table.num_rows)

    def rows_of(self, ids: list[str]) -> RowLookup:
        """Return where these ids stand."""
        rows = [self._row_of.get(name, -1) for name in ids]
        missing = tuple(name for name, row in zip(ids, rows, strict=True) if row < 0)
        return RowLookup(np.array([row for row in rows if row >= 0], np.int64), missing)

    def ids_of(self, rows: Int64[np.ndarray, "k"]) -> list[str]:
        """Return the ids of these rows."""
        ids: list[str] = self._table.column("id").take(pa.array(rows)).to_pylist()
        return ids

    def column(self, name: str) -> list[Any]:
        """Return one column as Python values; for building, not for serving."""
        values: list[Any] = self._table.column(name).to_pylist()
        return values

    def allowed(self, text: str, beside: pa.Table | None = None) -> Bool[np.ndarray, "n"]:
        """Return which rows pass a filter, or FilterError with the position; "" passes all.

        A key of a column of maps that neither a row has nor one of the table beside is refused.
        """
        if not text.strip():
            return np.ones(self.size, bool)
        expression = parse(text)
        refuse_unknown_keys(
            expression, [self._keys, *([] if beside is None else [keys_of(beside)])]
        )
        return passing(self._table, expression, strict=beside is None or not beside.num_rows)

    def coded(self, field: Field) -> DictionaryColumn:
        """Return a column of words as codes, remembered for the next request."""
        key = field.name, field.key
        return self._coded.of(key, lambda: coded(self._table, field), lambda column: column.nbytes)

    def numbers(self, field: Field) -> Float64[np.ndarray, "n"]:
        """Return a column of numbers, or of the first number under a key; NaN for none."""
        key = field.name, field.key
        return self._numbers.of(
            key, lambda: numbers(self._table, field), lambda column: column.nbytes
        )

    def is_numeric(self, field: Field) -> bool:
        """Tell whether a field holds numbers: most of its values where they are words."""
        return self._numeric(field.name, field.key)

    def records(self, rows: Int64[np.ndarray, "k"]) -> list[dict[str, Any]]:
        """Return these rows as dictionaries, in this order."""
        return list(map(self._record, rows.tolist()))

    def _is_numeric(self, name: str, key: str | None) -> bool:
        if key is not None:
            return is_numeric(self._table, name, key)
        kind = self._table.schema.field(name).type
        return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))

    @cached_property
    def _keys(self) -> Keys:
        return keys_of(self._table)

    def _record(self, row: int) -> dict[str, Any]:
        """Read one row cell by cell: `take` and `slice` take longer, or copy whole columns."""
        part = bisect_right(self._starts, row) - 1
        place = row - self._starts[part]
        cells = (read(place) for read in self._cells[part])
        record = dict(zip(self._names, cells, strict=True))
        for name in self._maps:
            record[name] = values_by_key(record[name])
        return record


def values_by_key(pairs: Iterable[tuple[str, Any]] | None) -> dict[str, Any]:
    """Return a map as a dictionary: the value of each key, or the list where it has several."""
    several: dict[str, list[Any]] = {}
    for key, value in pairs or ():
        several.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in several.items()}


def pairs_of(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return a dictionary as a map, in which a key comes once for each value of its list."""
    return [
        (key, one)
        for key, value in values.items()
        for one in (value if isinstance(value, list | tuple) else [value])
    ]
