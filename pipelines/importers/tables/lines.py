"""Reads the lines of a text file in its encoding, each within bounds."""

import codecs
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from pipelines.errors import ShopError
from pipelines.importers.tables.files import opened
from pipelines.importers.tables.letters.encodings import Encoding, encoding_of
from pipelines.shop.remarks import Remarks

MAX_LINE = 1_000_000  # characters
MAX_CHARACTERS = 100_000_000_000  # of a file, unpacked
SINGLE_BYTES = "vetrina-windows-1252"


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decode bytes that are not UTF-8 one by one."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(SINGLE_BYTES, _windows_1252)


def text_lines(
    path: Path, encoding: str, remarks: Remarks, *, skip_long: bool = False
) -> Iterator[tuple[int, str | None]]:
    """Yield the lines of a file without their ends, with numbers; None for one that is too long.

    `encoding` is the one that somebody says; "" lets the bytes decide. CR, LF and CRLF end a line.
    NUL letters are left out.
    """
    told = encoding_of(path, encoding)
    _remark(told, remarks)
    with opened(path) as file:
        errors = SINGLE_BYTES if told.bad_lines else "strict"
        text = TextIOWrapper(file, told.name, errors)
        for number, line in _bounded(path, text, told.name):
            if len(line) <= MAX_LINE:
                nulls = line.count("\0")
                if nulls:
                    remarks.add("NUL letters are left out", number, count=nulls)
                yield number, line.rstrip("\n").replace("\0", "")
            elif skip_long:
                yield number, None
            else:
                raise ShopError(
                    f"{path}, line {number}: longer than {MAX_LINE:,} characters; is it a table?"
                )


def _remark(told: Encoding, remarks: Remarks) -> None:
    kind = "lines that are not UTF-8 are read as Windows-1252"
    if told.guessed:
        kind = f"the file is not UTF-8: it is read as {told.name}; is that right? (key `encoding`)"
    if told.guessed and not told.examples:
        remarks.add(kind)
    for line, word in told.examples:
        remarks.add(kind, line, word, count=0)
    if told.examples:
        remarks.add(kind, count=told.bad_lines or 1)


def _bounded(path: Path, text: TextIOWrapper, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield lines with their ends, of a too long one only the beginning."""
    number, total = 0, 0
    try:
        while line := text.readline(MAX_LINE + 1):
            number += 1
            yield number, line
            total += len(line)
            if len(line) > MAX_LINE:
                while line and not line.endswith("\n"):
                    line = text.readline(MAX_LINE)
                    total += len(line)
            if total > MAX_CHARACTERS:
                raise ShopError(f"{path}: unpacks to over {MAX_CHARACTERS:,} characters")
    except UnicodeError:
        raise ShopError(
            f"{path}, line {number + 1} or soon after: not {encoding} text; say another `encoding` "
            "in the mapping, or save the file as UTF-8"
        ) from None
