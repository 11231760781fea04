"""Reads a filter and tells which rows pass: `brand: ANY("A", "B") AND price: IN(10, 50.0e)`."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool
from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, VisitError

from index.types import FilterError

LONGEST = 10_000  # characters
DEEPEST = 32  # parentheses and NOTs within one another
PATH = " > "

GRAMMAR = r"""
?start: either
?either: both ("OR" both)*
?both: one ("AND" one)*
?one: "NOT" one                                       -> negation
    | "(" either ")"
    | FIELD ":" "ANY" "(" STRING ("," STRING)* ")"    -> any_of
    | FIELD ":" "IN" "(" BOUND "," BOUND ")"          -> between
    | FIELD COMPARISON NUMBER                         -> compare
FIELD: /[A-Za-z_][A-Za-z0-9_]*(\.\w[\w -]*)?(?=\s*[:<>=])/
STRING: /"(\\.|[^"\\])*"/
BOUND: /\*|-?\d+(\.\d+)?[ie]?/
COMPARISON: "<=" | ">=" | "<" | ">" | "="
NUMBER: /-?\d+(\.\d+)?/
%ignore /\s+/
"""

Mask = Bool[np.ndarray, "n"]
COMPARISONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
}


class Bound(NamedTuple):
    """One end of an interval; None: open."""

    value: float | None
    exclusive: bool


def matching(table: pa.Table, text: str) -> Mask:
    """Return True for each row that passes the filter; a missing value passes no test.

    `field: ANY("a", "b")` holds when one of the values is equal; a category holds for everything
    under it. `field: IN(1, 5e)` is an interval, `e` leaves its end out, `*` is open.
    `attributes.colour` looks into a map. AND, OR, NOT and parentheses combine.
    """
    if len(text) > LONGEST:
        raise FilterError(f"a filter of {len(text):,} characters; at most {LONGEST:,} are read")
    _refuse_deep(text)
    try:
        mask: Mask = _Evaluate(table).transform(_parser().parse(text))
    except UnexpectedInput as e:
        raise FilterError(
            f"cannot be read at position {(e.pos_in_stream or 0) + 1}: {_near(text, e)}; "
            'write for example brand: ANY("A") AND price: IN(10, 50e)'
        ) from None
    except VisitError as e:
        raise e.orig_exc from None
    return mask


@lru_cache(1)
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr")


def _near(text: str, error: UnexpectedInput) -> str:
    at = error.pos_in_stream
    return repr(text[at : at + 20]) if at is not None and 0 <= at < len(text) else "it ends early"


def _refuse_deep(text: str) -> None:
    """Count how many parentheses and NOTs stand around each operand."""
    depth, around = 0, [0]
    for found in re.finditer(r'"(?:\\.|[^"\\])*"|[()]|[A-Za-z]+', text):
        word = found.group()
        if word == "(":
            depth += 1
            around.append(depth)
        elif word == ")":
            depth = around.pop() - 1 if len(around) > 1 else 0
        elif word == "NOT":
            depth += 1
        elif word in ("AND", "OR"):
            depth = around[-1]
        if depth > DEEPEST:
            raise FilterError(f"nested more than {DEEPEST} deep at position {found.start() + 1}")


@v_args(inline=True)
class _Evaluate(Transformer):
    def __init__(self, table: pa.Table) -> None:
        super().__init__()
        self._table = table

    def either(self, *masks: Mask) -> Mask:
        return np.asarray(np.logical_or.reduce(masks))

    def both(self, *masks: Mask) -> Mask:
        return np.asarray(np.logical_and.reduce(masks))

    def negation(self, mask: Mask) -> Mask:
        return ~mask

    def any_of(self, field: Token, *values: Token) -> Mask:
        wanted = [_unquoted(value) for value in values]
        return _holds_any(self._column(field), wanted, field)

    def between(self, field: Token, low: Token, high: Token) -> Mask:
        values = self._numbers(field)
        lower, upper = _bound(low), _bound(high)
        mask: Mask = ~np.isnan(values)
        if lower.value is not None:
            mask &= values > lower.value if lower.exclusive else values >= lower.value
        if upper.value is not None:
            mask &= values < upper.value if upper.exclusive else values <= upper.value
        return mask

    def compare(self, field: Token, comparison: Token, number: Token) -> Mask:
        return COMPARISONS[comparison](self._numbers(field), float(number))

    def _numbers(self, field: Token) -> np.ndarray:
        column = self._column(field)
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            raise FilterError(
                f"field {str(field)!r} at position {_place(field)} holds words, not numbers; "
                f'write {field}: ANY("...")'
            )
        return np.asarray(column.cast(pa.float64()).fill_null(float("nan")))

    def _column(self, field: Token) -> pa.ChunkedArray:
        name, _, key = str(field).partition(".")
        known = self._table.column_names
        if name not in known:
            raise FilterError(
                f"unknown field {name!r} at position {_place(field)}; "
                f"choose one of {', '.join(known)}"
            )
        column = self._table.column(name)
        if pa.types.is_map(column.type) != bool(key):
            raise FilterError(
                f"field {str(field)!r} at position {_place(field)}: "
                + (f"write {name}.KEY" if not key else f"{name!r} has no parts")
            )
        return pc.map_lookup(column, key.strip(), "first") if key else column


def _place(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _unquoted(token: str) -> str:
    return token[1:-1].replace('\\"', '"').replace("\\\\", "\\")


def _bound(token: str) -> Bound:
    if token == "*":
        return Bound(None, exclusive=False)
    return Bound(float(token.rstrip("ie")), exclusive=token.endswith("e"))


def _holds_any(column: pa.ChunkedArray, wanted: list[str], field: Token) -> Mask:
    if pa.types.is_list(column.type):
        return _lists_hold(column, wanted, paths=field == "categories")
    if not pa.types.is_string(column.type):
        raise FilterError(
            f"field {str(field)!r} at position {_place(field)} holds numbers, not words; "
            f"write {field}: IN(1, 5)"
        )
    return np.asarray(pc.is_in(column, value_set=pa.array(wanted, pa.string())))


def _lists_hold(column: pa.ChunkedArray, wanted: list[str], *, paths: bool) -> Mask:
    mask = np.zeros(len(column), bool)
    owners = np.asarray(pc.list_parent_indices(column.combine_chunks()))
    values = pc.list_flatten(column)
    found = np.asarray(pc.is_in(values, value_set=pa.array(wanted, pa.string())))
    if paths:
        for prefix in wanted:
            found = found | np.asarray(pc.starts_with(values, prefix + PATH))
    mask[owners[found]] = True
    return mask
