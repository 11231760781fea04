"""Reads a filter into a small typed tree: `brand: ANY("A", "B") AND price: IN(10, 50.0e)`."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Union

import msgspec
from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput
from lark.lexer import TerminalDef

from index.errors import FilterError

LONGEST = 10_000  # characters
DEEPEST = 32  # parentheses and NOTs within one another
SHOWN = 20  # characters of what cannot be read that a message repeats
EXAMPLE = 'write for example brand: ANY("A") AND price: IN(10, 50e)'

# The grammar of Google's retail search and AIP-160, without bare values: every test names its
# field. `++` and `*+` never give back what they took, so reading takes time in proportion.
GRAMMAR = r"""
?start: either
?either: both (_OR both)*
?both: one (_AND one)*
?one: (NOT | MINUS) one                               -> negation
    | LPAR either _RPAR                               -> group
    | FIELD _COLON ANY LPAR STRING (_COMMA STRING)* _RPAR  -> any_of
    | FIELD _COLON IN LPAR BOUND _COMMA BOUND _RPAR   -> between
    | FIELD COMPARISON NUMBER                         -> compare
_OR: "OR"
_AND: "AND"
NOT: "NOT"
MINUS: "-"
ANY: "ANY"
IN: "IN"
LPAR: "("
_RPAR: ")"
_COLON: ":"
_COMMA: ","
FIELD: /[A-Za-z_][A-Za-z0-9_]*+(?:\.(?:\w(?: *+[\w-])*+|"(?:\\[\s\S]|[^"\\])*+"))?+/
STRING: /"(?:\\[\s\S]|[^"\\])*+"/
BOUND: /\*|-?[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+[ie]?+/
COMPARISON: "<=" | ">=" | "<" | ">" | "="
NUMBER: /-?[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+/
%ignore /\s+/
"""
SPOKEN = {  # how a message calls what may stand at a place
    "FIELD": "a field",
    "STRING": "a value in double quotes",
    "NUMBER": "a number",
    "BOUND": "a number or *",
    "COMPARISON": "a comparison",
    "$END": "the end",
}


class Field(msgspec.Struct, frozen=True):
    """A column, or one key of a column of maps; `position` counts characters from 1."""

    name: str
    key: str | None = None
    position: int = 1


class Bound(msgspec.Struct, frozen=True):
    """One end of an interval; None: open."""

    value: float | None
    exclusive: bool = False


class AnyOf(msgspec.Struct, frozen=True):
    """Holds where one of the field's values is one of these."""

    field: Field
    values: tuple[str, ...]


class Between(msgspec.Struct, frozen=True):
    """Holds where the field's number lies in the interval."""

    field: Field
    low: Bound
    high: Bound


class Compare(msgspec.Struct, frozen=True):
    """Holds where the field's number compares so; one of <, <=, >, >=, =."""

    field: Field
    comparison: str
    number: float


class Negation(msgspec.Struct, frozen=True):
    """Holds where the inner one does not."""

    inner: "Expression"


class Both(msgspec.Struct, frozen=True):
    """Holds where all parts hold."""

    parts: tuple["Expression", ...]


class Either(msgspec.Struct, frozen=True):
    """Holds where one of the parts holds."""

    parts: tuple["Expression", ...]


Expression = Union[AnyOf, Between, Compare, Negation, Both, Either]  # noqa: UP007 (a name in quotes is used above)


def parse(text: str) -> Expression:
    """Return the tree of a filter, or FilterError with the place, what is there and what should be.

    NOT (or `-`) binds closest, then AND, then OR. Places count characters from 1.
    """
    _refuse_unreadable(text)
    try:
        return _parsed(text)
    except UnexpectedInput as e:
        raise _unexpected(text, e) from None


def written(expression: Expression) -> str:
    """Return a filter that is read as this very tree, places aside."""
    match expression:
        case AnyOf(field, values):
            return f"{_name(field)}: ANY({', '.join(map(_quoted, values))})"
        case Between(field, low, high):
            return f"{_name(field)}: IN({_end(low)}, {_end(high)})"
        case Compare(field, comparison, number):
            return f"{_name(field)} {comparison} {_number(number)}"
        case Negation(inner):
            return f"NOT {_within(inner)}"
        case Both(parts):
            return " AND ".join(map(_within, parts))
        case Either(parts):
            return " OR ".join(map(_within, parts))


def field_named(text: str) -> Field:
    """Return the field of a name such as `brand`, `attributes.size` or `attributes."a.b"`."""
    name, dot, key = text.partition(".")
    quoted = len(key) > 1 and key.startswith('"') and key.endswith('"')
    return Field(name, (_unquoted(key) if quoted else key) if dot else None)


def fields_of(expression: Expression) -> tuple[Field, ...]:
    """Return the fields that a filter tests, each as often as it does."""
    return tuple(_fields(expression))


def single_values(expression: Expression) -> Iterator[AnyOf]:
    """Yield each value that a filter names, as a test of its own."""
    match expression:
        case Both(parts) | Either(parts):
            for part in parts:
                yield from single_values(part)
        case Negation(inner):
            yield from single_values(inner)
        case AnyOf(field, values):
            yield from (AnyOf(field, (value,)) for value in values)


def compares_keys(expression: Expression) -> bool:
    """Tell whether a filter compares numbers under a key of a column of maps."""
    match expression:
        case Both(parts) | Either(parts):
            return any(map(compares_keys, parts))
        case Negation(inner):
            return compares_keys(inner)
        case AnyOf():
            return False
        case _:
            return expression.field.key is not None


def without(expression: Expression, field: Field) -> Expression | None:
    """Return a filter without its conditions on one field, None where nothing is left.

    A condition is what AND joins. FilterError where one tests other fields as well: in a
    disjunction they cannot be told apart.
    """
    if isinstance(expression, Both):
        kept = [without(part, field) for part in expression.parts]
        parts = tuple(part for part in kept if part is not None)
        return Both(parts) if len(parts) > 1 else parts[0] if parts else None
    fields = list(_fields(expression))
    mine = [one for one in fields if (one.name, one.key) == (field.name, field.key)]
    if mine and len(mine) < len(fields):
        raise FilterError(
            f"field {_name(field)!r} at position {mine[0].position} stands in one condition with "
            "other fields, so it cannot be left out; join its conditions to the others by AND"
        )
    return None if mine else expression


def _fields(expression: Expression) -> Iterator[Field]:
    match expression:
        case Both(parts) | Either(parts):
            for part in parts:
                yield from _fields(part)
        case Negation(inner):
            yield from _fields(inner)
        case _:
            yield expression.field


def _refuse_unreadable(text: str) -> None:
    if len(text) > LONGEST:
        raise FilterError(
            f"a filter of {len(text):,} characters; at most {LONGEST:,} are read, and the first "
            f"too many is at position {LONGEST + 1}"
        )
    if half := re.search("[\ud800-\udfff]", text):
        raise FilterError(f"cannot be read at position {half.start() + 1}: half a character")


def _parsed(text: str) -> Expression:
    """Feed the parser token by token, and stop where it nests too deep."""
    parser = _parser().parse_interactive(text)
    depth, around, before = 0, [0], ""
    last = None
    for last in parser.iter_parse():
        if last.type in ("NOT", "MINUS") or (last.type == "LPAR" and before not in ("ANY", "IN")):
            depth += 1
        if last.type == "LPAR":
            around.append(depth)
        elif last.type == "_RPAR":
            depth = around.pop()
        elif last.type in ("_AND", "_OR"):
            depth = around[-1]
        if depth > DEEPEST:
            raise FilterError(f"nested more than {DEEPEST} deep at position {_place(last)}")
        before = last.type
    tree: Expression = parser.feed_eof(last)  # type: ignore[no-untyped-call]
    return tree


@lru_cache(1)
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", transformer=_Build())


@v_args(inline=True)
class _Build(Transformer):
    def either(self, *parts: Expression) -> Either:
        return Either(parts)

    def both(self, *parts: Expression) -> Both:
        return Both(parts)

    def negation(self, _: Token, inner: Expression) -> Negation:
        return Negation(inner)

    def group(self, _: Token, inner: Expression) -> Expression:
        return inner

    def any_of(self, field: Token, _: Token, __: Token, *values: Token) -> AnyOf:
        for value in values:
            if value == '""':
                raise FilterError(
                    f"cannot be read at position {_place(value)}: an empty word, which no product "
                    f"has; NOT {field}: ANY(...) passes those without a value, too"
                )
        return AnyOf(_field(field), tuple(map(_unquoted, values)))

    def between(self, field: Token, _: Token, __: Token, low: Token, high: Token) -> Between:
        between = Between(_field(field), _bound(low), _bound(high))
        least, most = between.low.value, between.high.value
        if least is not None and most is not None and least > most:
            raise FilterError(
                f"cannot be read at position {_place(low)}: from {low} to {high} is nothing; write "
                "the lower end first"
            )
        return between

    def compare(self, field: Token, comparison: Token, number: Token) -> Compare:
        return Compare(_field(field), str(comparison), float(number))


def _field(token: Token) -> Field:
    name, dot, key = str(token).partition(".")
    if not dot:
        return Field(name, None, _place(token))
    return Field(name, _unquoted(key) if key.startswith('"') else key, _place(token))


def _bound(token: Token) -> Bound:
    if token == "*":
        return Bound(None)
    return Bound(float(token.rstrip("ie")), exclusive=token.endswith("e"))


def _place(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _unquoted(token: str) -> str:
    """Return a text in double quotes as products have it, its letters composed."""
    return unicodedata.normalize("NFC", re.sub(r'\\(["\\])', r"\1", token[1:-1]))


def _unexpected(text: str, error: UnexpectedInput) -> FilterError:
    token = getattr(error, "token", None)
    ends = token is not None and token.type == "$END"
    at = len(text.rstrip()) if ends else error.pos_in_stream or 0
    found = repr(text[at : at + SHOWN]) if at < len(text) and not ends else "it ends early"
    names = getattr(error, "allowed", None) or getattr(error, "expected", None) or ()
    expected = sorted({_spoken(name) for name in names})
    return FilterError(
        f"cannot be read at position {at + 1}: {found}, where {_listed(expected)} should be; "
        f"{EXAMPLE}"
    )


def _spoken(name: str) -> str:
    if name in SPOKEN:
        return SPOKEN[name]
    [terminal] = [t for t in _terminals() if t.name == name]
    return repr(terminal.pattern.value)


def _terminals() -> list[TerminalDef]:
    return list(_parser().terminals)


def _listed(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _within(inner: Expression) -> str:
    text = written(inner)
    return f"({text})" if isinstance(inner, Both | Either) else text


def _name(field: Field) -> str:
    return field.name if field.key is None else f"{field.name}.{_quoted(field.key)}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _end(bound: Bound) -> str:
    if bound.value is None:
        return "*"
    return f"{_number(bound.value)}{'e' if bound.exclusive else 'i'}"


def _number(value: Any) -> str:
    return repr(float(value)) if abs(value) != float("inf") else f"{'-' * (value < 0)}1e999"
