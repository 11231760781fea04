"""Tests that cannot fail are no tests: what passes over nothing is refused by its line."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import TypeIs

from tests.assertions import each, every

HERE = Path(__file__).parent
SURE = {"each", "range", "product", "enumerate", "queries", "list", "sorted"}  # of what is there


def test_no_assertion_over_all_of_something_passes_over_nothing() -> None:
    found = [f"{path}:{line}" for path, tree in trees() for line in bare_alls(tree)]

    assert found == [], "write `every(...)` of tests.assertions in place of `all(...)`"


def test_no_test_whose_assertions_all_stand_in_loops_passes_over_nothing() -> None:
    found = [f"{path}:{line}" for path, tree in trees() for line in unsure_tests(tree)]

    assert found == [], "loop over `each(...)` of tests.assertions"


@pytest.mark.parametrize(
    ("body", "bad"),
    [
        ("assert all(x for x in found)", 1),
        ("assert found and all(found)", 1),
        ("assert every(x for x in found)", 0),
        ("for x in found: assert x", 1),
        ("for x in found():\n  for y in (1, 2): assert x == y", 1),
        ("for x in each(found): assert x", 0),
        ("for x in (1, 2): assert x", 0),
        ("for x in found: assert x\n assert found", 0),
    ],
)
def test_what_may_pass_over_nothing_is_seen(body: str, bad: int) -> None:
    tree = ast.parse(f"def test_it():\n {body}")

    assert len([*bare_alls(tree), *unsure_tests(tree)]) == bad


def test_nothing_is_not_every_thing() -> None:
    assert every([1, True])
    assert not every([1, 0])
    assert list(each("ab")) == ["a", "b"]
    with pytest.raises(AssertionError, match="nothing that this test looks at"):
        every([])


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(HERE.rglob("test_*.py")):
        yield path.relative_to(HERE).as_posix(), ast.parse(path.read_text())


def bare_alls(tree: ast.Module) -> Iterator[int]:
    """Yield the line of each assertion by `all` over something that may be empty."""
    drawn = {id(node) for test in ast.walk(tree) if is_drawn(test) for node in ast.walk(test)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assert) or id(node) in drawn:
            continue
        if any(called(call) == "all" for call in ast.walk(node)):
            yield node.lineno


def unsure_tests(tree: ast.Module) -> Iterator[int]:
    """Yield the line of each test that checks nothing where its loops are not entered."""
    for test in ast.walk(tree):
        if is_test(test) and not is_drawn(test):
            loops = [one for one in ast.walk(test) if isinstance(one, ast.For)]
            unsure = [loop for loop in loops if not is_sure(loop.iter)]
            inside = {id(node) for loop in unsure for node in ast.walk(loop)}
            checks = [node for node in ast.walk(test) if is_check(node)]
            if checks and every(id(check) in inside for check in checks):
                yield test.lineno


def is_test(node: ast.AST) -> TypeIs[ast.FunctionDef]:
    """Tell whether a node is a test."""
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def is_drawn(node: ast.AST) -> bool:
    """Tell whether hypothesis draws what a test looks at, sometimes nothing."""
    return is_test(node) and "given" in map(called, node.decorator_list)


def is_sure(iterated: ast.expr) -> bool:
    """Tell whether something is looped over that cannot be empty."""
    if isinstance(iterated, ast.Name):
        return iterated.id.isupper()
    literal = isinstance(iterated, ast.List | ast.Tuple | ast.Dict | ast.Constant)
    return literal or called(iterated) in SURE


def is_check(node: ast.AST) -> bool:
    """Tell whether a node is an assertion, also of pytest and numpy."""
    named = node.attr if isinstance(node, ast.Attribute) else ""
    return isinstance(node, ast.Assert) or named in ("raises", "fail") or "assert_" in named


def called(node: ast.AST) -> str:
    """Return the name that a call calls; "" for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return ""
