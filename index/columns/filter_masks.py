"""Compiles a filter to one Arrow expression and tells which rows pass it."""

import re
from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_, or_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool
from pyarrow import acero

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
)
from index.errors import FilterError

PATHS = "categories"  # the column whose values are paths, such as Food > Bread
PATH = " > "

Mask = Bool[np.ndarray, "n"]
Combine = Callable[[pc.Expression, pc.Expression], pc.Expression]
COMPARISONS: dict[str, Combine] = {
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "=": pc.equal,
}


def matching(table: pa.Table, text: str) -> Mask:
    """Return True for each row that passes the filter; a missing value passes no test.

    `field: ANY("a", "b")` holds when one of the values is equal; a category holds for everything
    under it. `field: IN(1, 5e)` is an interval, `e` leaves its end out, `*` is open.
    `attributes.colour` looks into a map. AND, OR, NOT (or `-`) and parentheses combine.
    """
    return passing(table, parse(text))


def passing(table: pa.Table, expression: Expression) -> Mask:
    """Return True for each row for which a tree holds; FilterError for what the table lacks."""
    compiled = _Compiler(table)
    passes = compiled.expression(expression)
    source = acero.Declaration("table_source", acero.TableSourceNodeOptions(compiled.columns()))
    project = acero.Declaration("project", acero.ProjectNodeOptions([passes], ["passes"]))
    found = acero.Declaration.from_sequence([source, project]).to_table(use_threads=False)
    return np.asarray(found.column("passes"), bool)


class _Compiler:
    """Turns a tree into an expression over the columns of one table.

    Arrow cannot look into lists within an expression, so a test of a list is a column of its own:
    the expression of the test over the flat values, gathered by row.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._columns: dict[str, pa.ChunkedArray | pa.Array] = {}

    def columns(self) -> pa.Table:
        """Return the columns that the expression reads."""
        return pa.table(self._columns or {"": pa.nulls(self._table.num_rows)})

    def expression(self, node: Expression) -> pc.Expression:
        """Return an expression that is true or false for every row, and never null."""
        match node:
            case Both(parts):
                return _balanced(and_, [self.expression(part) for part in parts])
            case Either(parts):
                return _balanced(or_, [self.expression(part) for part in parts])
            case Negation(inner):
                return pc.invert(self.expression(inner))
            case AnyOf(field, values):
                return _or_false(self._any_of(field, values))
            case Between(field, low, high):
                return _or_false(_inside(self._numbers(field), low, high))
            case Compare(field, comparison, number):
                return _or_false(COMPARISONS[comparison](self._numbers(field), pc.scalar(number)))

    def _any_of(self, field: Field, values: Sequence[str]) -> pc.Expression:
        column = self._column(field)
        if pa.types.is_list(column.type):
            name = f"{len(self._columns)}: {field.name}"
            wanted = _under(column, values) if field.name == PATHS else list(values)
            self._columns[name] = pa.array(_lists_hold(column, wanted))
            return pc.field(name)
        if not _holds_words(_type_of(column, field)):
            raise FilterError(
                f"{_named(field)} holds numbers, not words ({column.type}); "
                f"write {field.name}: IN(1, 5)"
            )
        return self._read(field).isin(list(values))

    def _numbers(self, field: Field) -> pc.Expression:
        kind = _type_of(self._column(field), field)
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise FilterError(
                f"{_named(field)} holds words, not numbers ({kind}); "
                f'write {_spelt(field)}: ANY("...")'
            )
        return self._read(field).cast(pa.float64(), safe=False)

    def _read(self, field: Field) -> pc.Expression:
        self._columns[field.name] = self._table.column(field.name)
        column = pc.field(field.name)
        return column if field.key is None else pc.map_lookup(column, field.key, "first")

    def _column(self, field: Field) -> pa.ChunkedArray:
        known = self._table.column_names
        if field.name not in known:
            raise FilterError(
                f"unknown field {field.name!r} at position {field.position}; "
                f"choose one of {', '.join(known)}"
            )
        column = self._table.column(field.name)
        if pa.types.is_map(column.type) != (field.key is not None):
            raise FilterError(
                f"{_named(field)}: "
                + (
                    f"write {field.name}.KEY"
                    if field.key is None
                    else f"{field.name!r} has no parts"
                )
            )
        return column


def _balanced(combine: Combine, parts: Sequence[pc.Expression]) -> pc.Expression:
    """Combine many parts as a tree that is only as deep as the logarithm of their number."""
    if len(parts) <= 2:
        return reduce(combine, parts)
    half = len(parts) // 2
    return combine(_balanced(combine, parts[:half]), _balanced(combine, parts[half:]))


def _or_false(test: pc.Expression) -> pc.Expression:
    return pc.coalesce(test, pc.scalar(value=False))


def _inside(values: pc.Expression, low: Bound, high: Bound) -> pc.Expression:
    inside = pc.equal(values, values)  # false for NaN, null where there is no number
    if low.value is not None:
        above = pc.greater if low.exclusive else pc.greater_equal
        inside = and_(inside, above(values, pc.scalar(low.value)))
    if high.value is not None:
        below = pc.less if high.exclusive else pc.less_equal
        inside = and_(inside, below(values, pc.scalar(high.value)))
    return inside


def _type_of(column: pa.ChunkedArray, field: Field) -> pa.DataType:
    return column.type if field.key is None else column.type.item_type


def _holds_words(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _named(field: Field) -> str:
    return f"field {_spelt(field)!r} at position {field.position}"


def _spelt(field: Field) -> str:
    return field.name if field.key is None else f"{field.name}.{field.key}"


def _under(column: pa.ChunkedArray, wanted: Sequence[str]) -> list[str]:
    """Return the paths of the column that are, or lie under, one of those wanted."""
    roots = set(wanted)
    paths = pc.unique(pc.list_flatten(column)).to_pylist()
    return [path for path in paths if path is not None and not roots.isdisjoint(upwards(path))]


def upwards(path: str) -> list[str]:
    """Return the path and every path above it."""
    return [path, *(path[: end.start()] for end in re.finditer(f"(?={PATH})", path))]


def _lists_hold(column: pa.ChunkedArray, wanted: Sequence[str]) -> Mask:
    """Return which lists hold one of these words, batch by batch."""
    return np.concatenate([np.zeros(0, bool), *(_holds(chunk, wanted) for chunk in column.chunks)])


def _holds(lists: pa.ListArray, wanted: Sequence[str]) -> Mask:
    mask = np.zeros(len(lists), bool)
    found = pc.is_in(pc.list_flatten(lists), value_set=pa.array(wanted, pa.string()))
    mask[np.asarray(pc.list_parent_indices(lists))[np.asarray(found, bool)]] = True
    return mask
