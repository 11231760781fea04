"""Filters in Milvus: translates a filter into its expressions, and rows into its columns.

Milvus and its embedded form differ in what NOT makes of a missing value, so nothing is missing
there: words are a list, which may be empty, and a number stands beside whether it is known.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from index.columns.expression_visitor import ExpressionVisitor
from index.columns.filter_language import (
    AnyOf,
    Between,
    Bound,
    Compare,
    Expression,
    Field,
    compares_keys,
)
from index.columns.filter_masks import PATHS, passing, upwards
from index.errors import FilterError, IndexFault

LARGEST = float(np.finfo(np.float64).max)
PLAIN = re.compile(r"[^\W_][\w .,:;>&/+-]{0,99}")  # stored as it is; anything else by its digest
LONGEST_WORD = 512  # bytes of what is stored, at most: 100 characters in UTF-8
MOST_WORDS = 4096  # of one row in one column, as Milvus has it


def milvus_expression(expression: Expression, columns: pa.Schema) -> str:
    """Return a filter as Milvus reads it; FilterError, with the position, for what columns lack."""
    passing(columns.empty_table(), expression)  # refuses unknown fields and wrong types
    if compares_keys(expression):
        raise FilterError(
            "compares numbers under a key of a map, which Milvus holds as words; give the rows "
            "that pass instead"
        )
    return _MilvusWriter().visit(expression)


def milvus_columns(schema: pa.Schema) -> dict[str, str]:
    """Return the columns of a collection that filters on this schema need: "words" or "number"."""
    kinds = {field.name: _kind(field.type) for field in schema}
    return {_name(name): kind for name, kind in kinds.items() if kind}


def milvus_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the stored columns of each row: words, and numbers with whether there is one."""
    kinds = {field.name: _kind(field.type) for field in table.schema}
    for record in table.select([name for name, kind in kinds.items() if kind]).to_pylist():
        stored: dict[str, Any] = {}
        for name, value in record.items():
            if kinds[name] == "number":
                is_number = value is not None and value == value
                stored[_known(name)] = is_number
                stored[_name(name)] = _bounded(float(value)) if is_number else 0.0
            else:
                stored[_name(name)] = _words(name, value)
        yield stored


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        kind = kind.value_type
    elif pa.types.is_map(kind):
        kind = kind.item_type
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return "number"
    return "words" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else ""


def _words(name: str, value: Any) -> list[str]:
    """Return the words of one value; a path with every path above it, a map with its keys,
    of which one may come several times."""
    if value is None:
        return []
    if isinstance(value, str):
        return [_word(value)]
    if value and isinstance(value[0], tuple):
        words = [_pair(key, word) for key, word in value if word is not None]
    elif name == PATHS:
        words = [_word(path) for leaf in value if leaf is not None for path in upwards(leaf)]
    else:
        words = [_word(word) for word in value if word is not None]
    distinct = list(dict.fromkeys(words))
    if len(distinct) > MOST_WORDS:
        raise IndexFault(
            f"column {name!r} has a row with {len(distinct):,} values, and Milvus takes at most "
            f"{MOST_WORDS:,}; leave some out"
        )
    return distinct


def _word(value: str) -> str:
    if PLAIN.fullmatch(value) and not value.endswith(" "):
        return value
    return "_" + blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _pair(key: str, value: str) -> str:
    return _word(f"{key}: {value}") if ":" not in key else _word(f"\0{len(key)}\0{key}\0{value}")


class _MilvusWriter(ExpressionVisitor[str]):
    """Translates a tree into a boolean expression of Milvus."""

    def both(self, parts: Sequence[str]) -> str:
        """Return the conjunction of the parts."""
        return " and ".join(f"({part})" for part in parts)

    def either(self, parts: Sequence[str]) -> str:
        """Return the disjunction of the parts."""
        return " or ".join(f"({part})" for part in parts)

    def negation(self, inner: str) -> str:
        """Return the opposite."""
        return f"not ({inner})"

    def any_of(self, test: AnyOf) -> str:
        """Return a test of stored words; of a map, they hold the key as well."""
        field = test.field
        words = [_word(v) if field.key is None else _pair(field.key, v) for v in test.values]
        listed = ", ".join(f'"{word}"' for word in dict.fromkeys(words))
        return f"array_contains_any({_name(field.name)}, [{listed}])"

    def between(self, test: Between) -> str:
        """Return a test of an interval, of a number that is there."""
        ends = [_end(test.field, test.low, ">"), _end(test.field, test.high, "<")]
        return " and ".join([f"{_known(test.field.name)} == true", *filter(None, ends)])

    def compare(self, test: Compare) -> str:
        """Return a comparison, of a number that is there."""
        name, sign = test.field.name, "==" if test.comparison == "=" else test.comparison
        return f"{_known(name)} == true and {_name(name)} {sign} {_number(test.number)}"


def _end(field: Field, bound: Bound, sign: str) -> str:
    if bound.value is None:
        return ""
    return f"{_name(field.name)} {sign}{'' if bound.exclusive else '='} {_number(bound.value)}"


def _number(value: float) -> str:
    return repr(_bounded(float(value)))


def _bounded(value: float) -> float:
    return min(max(value, -LARGEST), LARGEST)


def _name(column: str) -> str:
    return f"c_{column}"


def _known(column: str) -> str:
    return f"known_{column}"
