"""Checks that a file is what its name says, and reads its lines within bounds."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipelines.errors import ShopError

MAX_LINE_BYTES = 1_000_000  # a CSV field is bounded by the csv module, at 131,072 characters

PARQUET = b"PAR1"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # little and big endian

# What a file begins with when it is not what its name says.
MAGIC = (
    (PARQUET, "a Parquet file", "rename it to end in .parquet"),
    (b"\x1f\x8b", "packed with gzip", "unpack it first (gunzip)"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save it as CSV"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it first (unzstd)"),
    (b"BZh", "packed with bzip2", "unpack it first (bunzip2)"),
    (b"\xfd7zXZ", "packed with xz", "unpack it first (unxz)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save it as CSV"),
    (b"%PDF", "a PDF", "export the table as CSV"),
    (UTF_16[0], "UTF-16 text", "save it as UTF-8"),
    (UTF_16[1], "UTF-16 text", "save it as UTF-8"),
)


def check_file(path: Path, *, but: tuple[bytes, ...] = ()) -> None:
    """Refuse what is no file, empty, packed, or not what its name says.

    `but` are beginnings in MAGIC that are right for this kind of file.
    """
    try:
        is_folder, is_file, exists = path.is_dir(), path.is_file(), path.exists()
        start = b""
        if is_file:
            with path.open("rb") as file:
                start = file.read(8)
    except (OSError, ValueError) as e:  # ValueError: a NUL byte in the name
        raise ShopError(f"{path} cannot be read: {e}") from None
    if is_folder:
        raise ShopError(f"{path} is a folder; give the file itself")
    if not exists:
        raise ShopError(f"{path}: there is no such file")
    if not is_file:
        raise ShopError(f"{path} is not a regular file")
    if not start:
        raise ShopError(f"{path} is empty")
    for magic, what, remedy in MAGIC:
        if start.startswith(magic) and magic not in but:
            raise ShopError(f"{path} is not what its name says: it is {what}; {remedy}")


def lines_of(path: Path, *, skip_long: bool = False) -> Iterator[tuple[int, str | None]]:
    """Yield the lines of a UTF-8 file with their numbers; None for one that is too long."""
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
            if len(line) <= MAX_LINE_BYTES:
                yield number, _decoded(path, number, line)
                continue
            if not skip_long:
                raise ShopError(
                    f"{path}, line {number}: longer than {MAX_LINE_BYTES:,} bytes; is it a table?"
                )
            _skip_line(file)
            yield number, None


def _skip_line(file: IO[bytes]) -> None:
    while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
        pass


def _decoded(path: Path, number: int, line: bytes) -> str:
    if b"\0" in line:
        raise ShopError(f"{path}, line {number}: holds a NUL byte; it is not UTF-8 text")
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as e:
        raise ShopError(
            f"{path}, line {number}: byte 0x{line[e.start]:02x} is not UTF-8; save the file as "
            "UTF-8 (from Latin-1: iconv -f LATIN1 -t UTF-8)"
        ) from None
