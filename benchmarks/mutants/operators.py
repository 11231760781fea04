"""The places of a module that can be changed, and how: one mutant is one change at one place."""

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

Statement = ast.stmt
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Add,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
BOOLEAN: dict[type[ast.boolop], type[ast.boolop]] = {ast.And: ast.Or, ast.Or: ast.And}


class Mutant(NamedTuple):
    """One change of a module: where it is, and what it says before and after."""

    file: str  # from the root of the repository
    number: int  # among those of the file
    function: str  # "" outside of functions
    first: int  # line of its statement
    last: int
    before: str
    after: str

    @property
    def change(self) -> str:
        """What is changed into what."""
        return f"`{self.before}` to `{self.after}`"


class _Place(NamedTuple):
    function: str
    statement: Statement
    node: ast.AST
    after: str
    apply: Callable[[], None]


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    return [
        Mutant(
            file,
            number,
            place.function,
            place.statement.lineno,
            _last_line(place.statement),
            _short(ast.unparse(place.node)),
            _short(place.after),
        )
        for number, place in enumerate(_places(ast.parse(source)))
    ]


def mutated(source: str, number: int) -> ast.Module:
    """Return the module with the change of this number, at the lines of the original."""
    tree = ast.parse(source)
    next(place for i, place in enumerate(_places(tree)) if i == number).apply()
    return ast.fix_missing_locations(tree)


def _places(tree: ast.Module) -> Iterator[_Place]:
    yield from _in_body(tree, "", inside_function=False)


def _in_body(owner: ast.AST, function: str, *, inside_function: bool) -> Iterator[_Place]:
    """Yield the places of all statements below `owner`: those of functions, and module constants.

    Bodies of classes beside their methods are left alone: their fields are read when the class is
    made.
    """
    for body in ("body", "orelse", "finalbody", "handlers"):
        for index, statement in enumerate(getattr(owner, body, ())):
            name = f"{function}.{statement.name}".lstrip(".") if _named(statement) else function
            is_function = isinstance(statement, ast.FunctionDef)
            inside = inside_function or is_function
            if is_function:
                yield from _defaults(statement, name)
            elif inside or (isinstance(owner, ast.Module) and isinstance(statement, ast.Assign)):
                yield from _of_statement(statement, owner, body, index, function)
            yield from _in_body(statement, name, inside_function=inside)


def _named(statement: ast.AST) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.ClassDef)


def _defaults(function: ast.FunctionDef, name: str) -> Iterator[_Place]:
    for default in [*function.args.defaults, *filter(None, function.args.kw_defaults)]:
        yield from _in_expression(function, default, name)


def _of_statement(
    statement: ast.AST, owner: ast.AST, body: str, index: int, function: str
) -> Iterator[_Place]:
    if not isinstance(statement, ast.stmt) or isinstance(statement, ast.ClassDef):
        return
    if _removable(statement):
        gone = ast.copy_location(ast.Pass(), statement)

        def remove() -> None:
            getattr(owner, body)[index] = gone

        yield _Place(function, statement, statement, "pass", remove)
    if isinstance(statement, ast.Raise | ast.Assert):
        return  # what is inside is a message, or cannot happen
    if isinstance(statement, ast.Return) and not _is_none(statement.value):

        def nothing() -> None:
            statement.value = ast.Constant(None)

        yield _Place(function, statement, statement, "return None", nothing)
    for child in _expressions(statement):
        yield from _in_expression(statement, child, function)


def _removable(statement: ast.stmt) -> bool:
    """Tell whether a statement can be left out without an error of a missing name."""
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant | ast.Yield | ast.YieldFrom)
    if isinstance(statement, ast.Assign):
        return all(isinstance(t, ast.Subscript | ast.Attribute) for t in statement.targets)
    return isinstance(statement, ast.AugAssign | ast.Raise | ast.Continue | ast.Break)


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield the expressions of a statement itself, without annotations and inner statements."""
    for name, value in ast.iter_fields(statement):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.expr):
                yield child
            elif isinstance(child, ast.withitem):
                yield child.context_expr


def _in_expression(statement: ast.stmt, root: ast.expr, function: str) -> Iterator[_Place]:
    if isinstance(statement, ast.AugAssign):
        other = ARITHMETIC.get(type(statement.op))
        if root is statement.value and other is not None:
            yield _operator(statement, statement, "op", other, function)
    for node in _walked(root):
        yield from _of_node(statement, node, function)


def _walked(root: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below, but for the texts of f-strings."""
    yield root
    if not isinstance(root, ast.JoinedStr):
        for child in ast.iter_child_nodes(root):
            yield from _walked(child)


def _of_node(statement: ast.stmt, node: ast.AST, function: str) -> Iterator[_Place]:
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                for other in COMPARISONS[type(operator)]:
                    yield _comparison(statement, node, index, other, function)
        case ast.BinOp() if type(node.op) in ARITHMETIC and not _is_text(node):
            yield _operator(statement, node, "op", ARITHMETIC[type(node.op)], function)
        case ast.BoolOp():
            yield _operator(statement, node, "op", BOOLEAN[type(node.op)], function)
        case ast.UnaryOp(op=ast.Not() | ast.Invert() | ast.USub(), operand=operand):
            if not isinstance(operand, ast.Constant):
                yield _twice(statement, node, function)
        case ast.IfExp():
            yield _swapped(statement, node, function)
        case ast.Constant(value=bool() | int() | float()):
            yield _constant(statement, node, function)


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr | ast.Constant)
        and not isinstance(getattr(side, "value", ""), int | float)
        for side in (node.left, node.right)
    )


def _operator(
    statement: ast.stmt, node: ast.AST, field: str, other: type[ast.AST], function: str
) -> _Place:
    before = getattr(node, field)

    def apply() -> None:
        setattr(node, field, other())

    after = _after(node, apply, lambda: setattr(node, field, before))
    return _Place(function, statement, node, after, apply)


def _twice(statement: ast.stmt, node: ast.UnaryOp, function: str) -> _Place:
    """Apply an operator twice, which leaves the operand as it is."""
    before = node.operand

    def apply() -> None:
        node.operand = ast.copy_location(ast.UnaryOp(node.op, before), before)

    def undo() -> None:
        node.operand = before

    return _Place(function, statement, node, _after(node, apply, undo), apply)


def _comparison(
    statement: ast.stmt, node: ast.Compare, index: int, other: type[ast.cmpop], function: str
) -> _Place:
    before = node.ops[index]

    def apply() -> None:
        node.ops[index] = other()

    def undo() -> None:
        node.ops[index] = before

    return _Place(function, statement, node, _after(node, apply, undo), apply)


def _swapped(statement: ast.stmt, node: ast.IfExp, function: str) -> _Place:
    def apply() -> None:
        node.body, node.orelse = node.orelse, node.body

    return _Place(function, statement, node, _after(node, apply, apply), apply)


def _constant(statement: ast.stmt, node: ast.Constant, function: str) -> _Place:
    before = node.value
    assert isinstance(before, bool | int | float)
    other = not before if isinstance(before, bool) else before + 1
    if other == before:  # a float too large for one more
        other = -before

    def apply() -> None:
        node.value = other

    return _Place(function, statement, node, repr(other), apply)


def _after(node: ast.AST, apply: Callable[[], None], undo: Callable[[], None]) -> str:
    apply()
    text = ast.unparse(node)
    undo()
    return text


def _last_line(statement: ast.stmt) -> int:
    """Return the last line of a statement itself, without those of its body.

    A default of a function is read where its body runs.
    """
    body = None if isinstance(statement, ast.FunctionDef) else getattr(statement, "body", None)
    if isinstance(body, list) and body:
        return int(max(statement.lineno, body[0].lineno - 1))
    return statement.end_lineno or statement.lineno


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:97]}..."
