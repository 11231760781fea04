"""Row masks: compiles a filter into one Arrow expression, and applies it to a table."""

import re
from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_, or_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64
from pyarrow import acero

from index.columns.attribute_numbers import keyed_values, numbers_of
from index.columns.expression_visitor import ExpressionVisitor
from index.columns.filter_language import (
    AnyOf,
    Between,
    Bound,
    Compare,
    Expression,
    Field,
    parse,
)
from index.errors import FilterError

PATHS = "categories"  # the column whose values are paths, such as Food > Bread
PATH = " > "

Mask = Bool[np.ndarray, "n"]
Numbers = Float64[np.ndarray, "m"]
Combine = Callable[[pc.Expression, pc.Expression], pc.Expression]
COMPARISONS: dict[str, Combine] = {
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "=": pc.equal,
}
COMPARED = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
            "=": np.equal}  # fmt: skip


def matching(table: pa.Table, text: str, *, strict: bool = True) -> Mask:
    """Return True for each row that passes the filter; a missing value passes no test.

    `field: ANY("a", "b")` holds when one of the values is equal; a category holds for everything
    under it. `field: IN(1, 5e)` is an interval, `e` leaves its end out, `*` is open.
    `attributes.colour` looks into a map, where a key may come several times and whose values are
    also compared as numbers. AND, OR, NOT (or `-`) and parentheses combine.
    """
    return passing(table, parse(text), strict=strict)


def passing(table: pa.Table, expression: Expression, *, strict: bool = True) -> Mask:
    """Return True for each row for which a tree holds; FilterError for what the table lacks.

    Where it is not `strict`, numbers may be compared that no row of this table has under a key.
    """
    compiled = _Compiler(table, strict=strict)
    passes = compiled.visit(expression)
    source = acero.Declaration("table_source", acero.TableSourceNodeOptions(compiled.columns()))
    project = acero.Declaration("project", acero.ProjectNodeOptions([passes], ["passes"]))
    result = acero.Declaration.from_sequence([source, project]).to_table(use_threads=False)
    return np.asarray(result.column("passes"), bool)


class _Compiler(ExpressionVisitor[pc.Expression]):
    """Translates a tree into an expression over the columns of one table, which is never null.

    Arrow cannot look into lists within an expression, so a test of a list is a column of its own:
    the expression of the test over the flat values, gathered by row.
    """

    def __init__(self, table: pa.Table, *, strict: bool) -> None:
        self._table = table
        self._strict = strict
        self._columns: dict[str, pa.ChunkedArray | pa.Array] = {}

    def columns(self) -> pa.Table:
        """Return the columns that the expression reads."""
        return pa.table(self._columns or {"": pa.nulls(self._table.num_rows)})

    def both(self, parts: Sequence[pc.Expression]) -> pc.Expression:
        """Return the conjunction of the parts."""
        return _balanced(and_, parts)

    def either(self, parts: Sequence[pc.Expression]) -> pc.Expression:
        """Return the disjunction of the parts."""
        return _balanced(or_, parts)

    def negation(self, inner: pc.Expression) -> pc.Expression:
        """Return the opposite, which is true where a value is missing."""
        return pc.invert(inner)

    def any_of(self, test: AnyOf) -> pc.Expression:
        """Return a test of words, false where there are none."""
        return _or_false(self._any_of(test.field, test.values))

    def between(self, test: Between) -> pc.Expression:
        """Return a test of an interval, false where there is no number."""
        if test.field.key is not None:
            return self._any_number(test.field, lambda numbers: _between(numbers, test))
        return _or_false(_inside(self._numbers(test.field), test.low, test.high))

    def compare(self, test: Compare) -> pc.Expression:
        """Return a comparison, false where there is no number."""
        if test.field.key is not None:
            return self._any_number(test.field, lambda numbers: _compared(numbers, test))
        compared = COMPARISONS[test.comparison](self._numbers(test.field), pc.scalar(test.number))
        return _or_false(compared)

    def _any_of(self, field: Field, values: Sequence[str]) -> pc.Expression:
        column = self._column(field)
        if field.key is not None and _holds_words(column.type.item_type):
            column = pc.map_lookup(column, field.key, "all")
        if pa.types.is_list(column.type):
            name = f"{len(self._columns)}: {field.name}"
            words = _under(column, values) if field.name == PATHS else list(values)
            self._columns[name] = pa.array(_lists_hold(column, words))
            return pc.field(name)
        if not _holds_words(_type_of(column, field)):
            raise FilterError(
                f"{_named(field)} holds numbers, not words ({column.type}); "
                f"write {field.name}: IN(1, 5)"
            )
        return self._read(field).isin(list(values))

    def _any_number(self, field: Field, passes: Callable[[Numbers], Mask]) -> pc.Expression:
        """Return whether one of the numbers that a row has under a key passes."""
        self._column(field)
        rows, values = keyed_values(self._table, field.name, str(field.key))
        numbers = numbers_of(values)
        if self._strict and len(numbers) and np.isnan(numbers).all():
            raise FilterError(
                f'{_named(field)} holds words, not numbers; write {_spelt(field)}: ANY("...")'
            )
        mask = np.zeros(self._table.num_rows, bool)
        mask[rows[passes(numbers)]] = True
        name = f"{len(self._columns)}: {field.name}"
        self._columns[name] = pa.array(mask)
        return pc.field(name)

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
        names = self._table.column_names
        if field.name not in names:
            raise FilterError(
                f"unknown field {field.name!r} at position {field.position}; "
                f"choose one of {', '.join(names)}"
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


def _compared(numbers: Numbers, test: Compare) -> Mask:
    return np.asarray(COMPARED[test.comparison](numbers, test.number), bool)


def _between(numbers: Numbers, test: Between) -> Mask:
    inside = ~np.isnan(numbers)
    if test.low.value is not None:
        above = np.greater if test.low.exclusive else np.greater_equal
        inside &= above(numbers, test.low.value)
    if test.high.value is not None:
        below = np.less if test.high.exclusive else np.less_equal
        inside &= below(numbers, test.high.value)
    return np.asarray(inside)


def _type_of(column: pa.ChunkedArray, field: Field) -> pa.DataType:
    return column.type if field.key is None else column.type.item_type


def _holds_words(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _named(field: Field) -> str:
    return f"field {_spelt(field)!r} at position {field.position}"


def _spelt(field: Field) -> str:
    return field.name if field.key is None else f"{field.name}.{field.key}"


def _under(column: pa.ChunkedArray, roots: Sequence[str]) -> list[str]:
    """Return the paths of the column that are, or lie under, one of the roots."""
    above = set(roots)
    paths = pc.unique(pc.list_flatten(column)).to_pylist()
    return [path for path in paths if path is not None and not above.isdisjoint(upwards(path))]


def upwards(path: str) -> list[str]:
    """Return the path and every path above it."""
    return [path, *(path[: end.start()] for end in re.finditer(f"(?={PATH})", path))]


def _lists_hold(column: pa.ChunkedArray, words: Sequence[str]) -> Mask:
    """Return which lists hold one of these words, batch by batch."""
    return np.concatenate([np.zeros(0, bool), *(_holds(chunk, words) for chunk in column.chunks)])


def _holds(lists: pa.ListArray, words: Sequence[str]) -> Mask:
    mask = np.zeros(len(lists), bool)
    equal = pc.is_in(pc.list_flatten(lists), value_set=pa.array(words, pa.string()))
    mask[np.asarray(pc.list_parent_indices(lists))[np.asarray(equal, bool)]] = True
    return mask
