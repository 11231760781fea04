"""Opens files of tables: checks that each is what its name says, and unpacks within bounds."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from pipelines.errors import ShopError

PACKED = ".gz"
PARQUET = b"PAR1"
GZIP = b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # little and big endian

# What a file begins with when it is not what its name says.
MAGIC = (
    (PARQUET, "a Parquet file", "rename it to end in .parquet"),
    (GZIP, "packed with gzip", "unpack it first (gunzip), or let its name end in .gz"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save it as CSV"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it first (unzstd)"),
    (b"BZh", "packed with bzip2", "unpack it first (bunzip2)"),
    (b"\xfd7zXZ", "packed with xz", "unpack it first (unxz)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save it as CSV"),
    (b"%PDF", "a PDF", "export the table as CSV"),
    (UTF_16[0], "UTF-16 text", "save it as UTF-8"),
    (UTF_16[1], "UTF-16 text", "save it as UTF-8"),
)


def kind_of(path: Path) -> str:
    """Return the ending that says what a file is, without that of a packed one: ".csv"."""
    name = path.with_suffix("") if path.suffix.lower() == PACKED else path
    return name.suffix.lower()


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


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacked if its name says that it is packed."""
    try:
        if path.suffix.lower() == PACKED:
            with gzip.open(path, "rb") as packed:
                yield cast("IO[bytes]", packed)
        else:
            with path.open("rb") as file:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise ShopError(f"{path} is damaged or cut short: {e}; pack it again") from None
    except OSError as e:
        raise ShopError(f"{path} cannot be read: {e}") from None
