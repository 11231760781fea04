"""Reads CSV, TSV, JSONL or Parquet row by row, with line numbers, in bounded memory."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import ShopError, first_line
from pipelines.shop.quality import shown

MAX_LINE_BYTES = 1_000_000  # a CSV field is bounded by the csv module, at 131,072 characters
MAX_ROW_GROUP_BYTES = 8_000_000_000  # unpacked
BATCH_ROWS = 1_000
BATCH_BYTES = 64_000_000
LOOKED_AT = 100  # first JSON lines that tell which columns there are

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


class Row(NamedTuple):
    """One row: its values by column, or the error that makes it unreadable."""

    line: int  # the first of the row, counted from 1 with the header; in Parquet the row's number
    values: dict[str, Any]
    mistake: str = ""


class Rows(NamedTuple):
    """The columns of a file, and its rows."""

    columns: tuple[str, ...]
    rows: Iterator[Row]
    complete: bool = True  # False where a row may leave out a column, and others be seen later


def open_rows(path: Path, separator: str = "") -> Rows:
    """Open a CSV, TSV, JSONL or Parquet file; its kind is told by its name and checked."""
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise ShopError(
            f"{path}: the name does not say what it is; expected one that ends in "
            f"{', '.join(READERS)}"
        )
    check_file(path, but=(PARQUET,) if read is _read_parquet else ())
    return read(path, separator)


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


def _read_csv(path: Path, separator: str) -> Rows:
    texts = (line or "" for _, line in lines_of(path))
    reader = csv.reader(texts, delimiter=separator or ",")
    header = [name.strip() for name in _next(reader, path, 1) or []]
    if not any(header):
        raise ShopError(f"{path}, line 1: the header is empty")
    _refuse_twice(f"{path}, line 1", header)
    return Rows(tuple(name for name in header if name), _csv_rows(reader, path, header))


def _read_tsv(path: Path, separator: str) -> Rows:
    return _read_csv(path, separator or "\t")


def _refuse_twice(where: str, columns: Iterable[str]) -> None:
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        raise ShopError(f"{where}: columns are named twice: {', '.join(twice[:10])}")


def _csv_rows(reader: Any, path: Path, header: list[str]) -> Iterator[Row]:
    while True:
        line = reader.line_num + 1
        fields = _next(reader, path, line)
        if fields is None:
            return
        if len(fields) == len(header):
            yield Row(line, dict(zip(header, fields, strict=True)))
        elif fields:  # an empty line is no row
            yield Row(line, {}, f"{len(fields)} fields where the header has {len(header)}")


def _next(reader: Any, path: Path, line: int) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as e:
        raise ShopError(f"{path}, line {line}: {e}; is a quote left open?") from None


def _read_jsonl(path: Path, separator: str) -> Rows:
    del separator  # lines of JSON have none
    rows = _json_rows(path)
    first = list(islice(rows, LOOKED_AT))
    if not first:
        raise ShopError(f"{path} holds no rows, only empty lines")
    columns = dict.fromkeys(name for row in first for name in row.values)
    if not columns:
        raise ShopError(f"{path}, line {first[0].line}: {first[0].mistake or 'an empty object'}")
    return Rows(tuple(columns), chain(first, rows), complete=False)


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in lines_of(path, skip_long=True):
        if line is None:
            yield Row(number, {}, f"longer than {MAX_LINE_BYTES:,} bytes")
        elif line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> Row:
    try:
        value = msgspec.json.decode(line)
    except msgspec.DecodeError as e:
        return Row(number, {}, f"not JSON: {e}")
    except RecursionError:
        return Row(number, {}, "not JSON: nested too deep")
    if not isinstance(value, dict):
        return Row(number, {}, f"expected an object, got {shown(value)}")
    return Row(number, value)


def _read_parquet(path: Path, separator: str) -> Rows:
    del separator
    try:
        file = pq.ParquetFile(path)
        names = tuple(file.schema_arrow.names)
        sizes = [file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)]
    except (OSError, pa.ArrowException, UnicodeDecodeError) as e:
        raise ShopError(f"{path} is not a Parquet file, or is damaged: {first_line(e)}") from None
    _refuse_twice(str(path), names)
    if max(sizes, default=0) > MAX_ROW_GROUP_BYTES:
        raise ShopError(
            f"{path}: a row group unpacks to {max(sizes):,} bytes, at most "
            f"{MAX_ROW_GROUP_BYTES:,} are read; write it with smaller row groups"
        )
    return Rows(names, _parquet_rows(path, file))


def _parquet_rows(path: Path, file: pq.ParquetFile) -> Iterator[Row]:
    number = 0
    try:
        for batch in file.iter_batches(_batch_rows(file.metadata), use_threads=False):
            for values in batch.to_pylist():
                number += 1
                yield Row(number, values)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as e:
        raise ShopError(f"{path}, after row {number}: damaged: {first_line(e)}") from None


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Fewer rows at once where they are large, such as pictures."""
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    row_bytes = max(
        (group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0
    )
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max(row_bytes, 1)))


READERS: dict[str, Callable[[Path, str], Rows]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".txt": _read_tsv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".parquet": _read_parquet,
}
