"""Parts a cell into its several values, where a column holds some."""

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

LISTS = "|"  # parts values unless a mapping says another
MARKS = (";", ",")
LONGEST_LIST = 100_000  # characters
PYTHON_TEXT = re.compile(r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\"")
PYTHON_LIST = re.compile(rf"\[\s*+(?:(?:{PYTHON_TEXT.pattern})\s*+(?:,\s*+|(?=\])))*+\]")
ADDRESSES = re.compile(r"\s*[,;|\s]\s*(?=(?:https?:)?//)")
SEPARATING = re.compile(r"[,;|\s]")
FILES = re.compile(r"\s*[,;|]\s*")
FILE = re.compile(r"[^,;|]*\.(?:jpe?g|png|webp|gif|mp4|webm|mov|mkv)", re.IGNORECASE)


def parts_of(text: str, separator: str) -> list[str]:
    """Part a text; a comma between two digits is decimal, one behind a backslash is a letter."""
    if not separator or separator not in text:
        return [text]
    if separator not in MARKS:
        return text.split(separator)
    between = rf"(?<![\\\d]){separator}|(?<!\\){separator}(?!\d)"
    return [part.replace(f"\\{separator}", separator).strip() for part in re.split(between, text)]


def opened(cell: Any) -> Any:
    """Return the values of a cell that is a list in JSON or Python; any other as it is."""
    if not isinstance(cell, str) or cell[:1] != "[" or cell[-1:] != "]" or len(cell) > LONGEST_LIST:
        return cell
    try:
        return msgspec.json.decode(cell, type=list[str | int | float | bool | None])
    except msgspec.DecodeError:
        if not PYTHON_LIST.fullmatch(cell):
            return cell
    return [_unescaped(text) for text in PYTHON_TEXT.findall(cell)]


def _unescaped(text: str) -> str:
    """Return what a text in Python's quotes says; without backslashes where an escape is wrong."""
    if "\\" not in text:
        return text[1:-1]
    try:
        with warnings.catch_warnings(action="ignore"):
            said: str = ast.literal_eval(text)
        said.encode()  # half of a letter cannot be stored
    except (SyntaxError, ValueError):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return said


def media_of(text: str, separator: str) -> list[str]:
    """Part a cell of addresses or names of files."""
    if separator and separator in text:
        return [part.strip() for part in text.split(separator)]
    if not SEPARATING.search(text):
        return [text]
    if "//" in text:
        return ADDRESSES.split(text)
    names = FILES.split(text)
    return names if len(names) > 1 and all(map(FILE.fullmatch, names)) else [text]


def separator_of(cells: Iterable[str], *, always: str = "") -> str:
    """Return what parts the values of a column: `|`, or `;` or `,` if their parts come again.

    `always` is a mark that parts wherever it stands. "" where a cell is one value.
    """
    distinct = list(dict.fromkeys(cells))
    if any(LISTS in cell for cell in distinct):
        return LISTS
    if always and any(always in cell for cell in distinct):
        return always
    return next((mark for mark in MARKS if _is_list(distinct, mark)), "")


def _is_list(cells: list[str], mark: str) -> bool:
    """Tell whether half of the parts stand alone as well, or in several cells."""
    parted = [{part for part in parts_of(cell, mark) if part} for cell in cells]
    times = Counter(part for parts in parted for part in parts)
    within = [times[part] for parts in parted if len(parts) > 1 for part in parts]
    return bool(within) and sum(count > 1 for count in within) * 2 >= len(within)
