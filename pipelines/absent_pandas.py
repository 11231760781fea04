"""Keeps pyarrow from importing pandas, which takes a quarter of a second and 22 MB."""

import sys
from importlib.abc import MetaPathFinder
from typing import Any


def leave_pandas_out() -> None:
    """Let pyarrow find no pandas, where it is installed.

    With the first value that it converts, pyarrow looks for pandas once, to recognise its values,
    of which a process that answers has none.
    """
    import pyarrow

    hidden = _Hidden("pandas")
    sys.meta_path.insert(0, hidden)
    try:
        pyarrow.scalar(True)
    finally:
        sys.meta_path.remove(hidden)


class _Hidden(MetaPathFinder):
    """Finds no module of one name, although it may be installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname == self._name:
            raise ModuleNotFoundError(f"{fullname} is not used here", name=fullname)
