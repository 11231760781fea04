"""The keys of columns of maps, and filters that name one which no row has."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from index.columns.filter_language import Expression, fields_of
from index.errors import FilterError

MOST_NAMED = 20  # keys that a message lists

Keys = Mapping[str, frozenset[str]]  # by column


def keys_of(table: pa.Table) -> Keys:
    """Return the keys that a row has, for each column of maps."""
    maps = [field.name for field in table.schema if pa.types.is_map(field.type)]
    return {name: _keys(table.column(name)) for name in maps}


def refuse_unknown_keys(expression: Expression, known: Sequence[Keys]) -> None:
    """Raise FilterError where a filter tests a key that no row has, with the keys that are near."""
    for field in fields_of(expression):
        columns = [keys[field.name] for keys in known if field.name in keys]
        keys = frozenset().union(*columns)
        if columns and field.key is not None and field.key not in keys:
            raise FilterError(
                f"unknown field '{field.name}.{field.key[:80]}' at position {field.position}: no "
                f"product has it; {_advice(field.name, field.key, keys)}"
            )


def _advice(name: str, key: str, keys: frozenset[str]) -> str:
    near = get_close_matches(key[:80], keys, n=3) or sorted(keys)[:MOST_NAMED]
    return f"choose one of {', '.join(near)}" if near else f"none has any {name}"


def _keys(column: pa.ChunkedArray) -> frozenset[str]:
    chunks = (pc.unique(chunk.keys).to_pylist() for chunk in column.chunks)
    return frozenset(key for keys in chunks for key in keys)
