"""Reads the lines of files from outside, each within a bound."""

from collections.abc import Iterator
from typing import IO

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of UTF-8


def bounded_lines(file: IO[bytes], longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield lines with their ends and numbers, from 1; None for one of more than `longest` bytes.

    A byte order mark is left out.
    """
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if len(line) <= longest:
            yield number, without_mark(line) if number == 1 else line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(longest)
        yield number, None


def without_mark(content: bytes) -> bytes:
    """Return the bytes of a text without its byte order mark."""
    return content.removeprefix(BYTE_ORDER_MARK)
