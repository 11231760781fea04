"""Puts a changed module in the place of the imported one, whoever has imported what of it."""

import ast
import gc
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any

Codes = dict[str, list[CodeType]]


def functions_of(path: str) -> dict[str, list[FunctionType]]:
    """Return every function in memory that a file defines, by qualified name, also wrapped ones."""
    found: dict[str, list[FunctionType]] = {}
    for one in gc.get_objects():
        # `isinstance` would ask objects of other libraries for their class, and some warn then
        if type(one) is FunctionType and one.__code__.co_filename == path:
            found.setdefault(one.__code__.co_qualname, []).append(one)
    return found


class Unimportable(Exception):
    """A changed module that cannot be imported."""


def patch(module: ModuleType, tree: ast.Module) -> int:
    """Give a module the code, defaults and constants of a changed one; return how many of these.

    Classes stay as they are, but for the code of their methods. Unimportable where the module
    raises an error while it is read.
    """
    path = str(module.__file__)
    code = compile(tree, path, "exec")
    known, new = functions_of(path), _codes(code)
    for name, functions in known.items():
        for function, changed in zip(
            functions, _matching(new.get(name, []), functions), strict=True
        ):
            if changed is not None:
                function.__code__ = changed
    fresh = {"__name__": module.__name__, "__file__": path}
    try:
        exec(code, fresh)
    except Exception as e:
        raise Unimportable(repr(e)) from None
    _patch_defaults(known, fresh)
    return _patch_constants(module, tree, fresh)


def _codes(code: CodeType) -> Codes:
    """Return the code of every function below, by qualified name."""
    found: Codes = {}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found.setdefault(constant.co_qualname, []).append(constant)
            for name, codes in _codes(constant).items():
                found.setdefault(name, []).extend(codes)
    return found


def _matching(codes: list[CodeType], functions: list[FunctionType]) -> list[CodeType | None]:
    """Return for each function the code that begins nearest to it and has the same variables."""
    return [
        min(
            (code for code in codes if code.co_freevars == function.__code__.co_freevars),
            key=lambda code: abs(code.co_firstlineno - function.__code__.co_firstlineno),
            default=None,
        )
        for function in functions
    ]


def _patch_defaults(known: dict[str, list[FunctionType]], fresh: dict[str, Any]) -> None:
    for name, functions in known.items():
        changed: Any = fresh.get(name.partition(".")[0])
        for part in name.split(".")[1:]:
            changed = getattr(changed, "__dict__", {}).get(part)
        while hasattr(changed, "__wrapped__"):
            changed = changed.__wrapped__
        if isinstance(changed, FunctionType):
            for function in functions:
                function.__defaults__ = changed.__defaults__
                function.__kwdefaults__ = changed.__kwdefaults__


def _patch_constants(module: ModuleType, tree: ast.Module, fresh: dict[str, Any]) -> int:
    """Change numbers, texts and tables of them wherever they were imported; return how many."""
    changed = 0
    names = {
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for name in names:
        before, after = module.__dict__.get(name), fresh[name]
        if not _is_data(after) or before == after:
            continue
        changed += 1
        for other in list(sys.modules.values()):
            if getattr(other, "__dict__", {}).get(name) is before:
                setattr(other, name, after)
    return changed


def _is_data(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_data(one) for pair in value.items() for one in pair)
    if isinstance(value, tuple | list | frozenset | set):
        return all(_is_data(one) for one in value)
    return isinstance(value, str | int | float | bytes | None)
