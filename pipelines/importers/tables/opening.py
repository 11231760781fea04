"""Opens a table by the kind that its name says."""

from collections.abc import Callable
from pathlib import Path

from pipelines.errors import ShopError
from pipelines.importers.tables.csv_rows import read_csv, read_tsv
from pipelines.importers.tables.files import PARQUET, check_file
from pipelines.importers.tables.json_rows import read_jsonl
from pipelines.importers.tables.parquet_rows import read_parquet
from pipelines.importers.tables.rows import Rows


def open_rows(path: Path, separator: str = "") -> Rows:
    """Open a CSV, TSV, JSONL or Parquet file; its kind is told by its name and checked."""
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise ShopError(
            f"{path}: the name does not say what it is; expected one that ends in "
            f"{', '.join(READERS)}"
        )
    check_file(path, but=(PARQUET,) if read is read_parquet else ())
    return read(path, separator)


READERS: dict[str, Callable[[Path, str], Rows]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".txt": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
}
