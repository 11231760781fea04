"""Opens a table by the kind that its name says."""

from collections.abc import Callable
from pathlib import Path

from pipelines.errors import ShopError
from pipelines.importers.tables.csv_rows import read_csv, read_tsv
from pipelines.importers.tables.files import GZIP, PACKED, PARQUET, UTF_16, check_file, kind_of
from pipelines.importers.tables.json_rows import read_json, read_jsonl
from pipelines.importers.tables.parquet_rows import read_parquet
from pipelines.importers.tables.rows import Rows, TableFormat
from pipelines.importers.tables.xml_rows import read_xml


def open_rows(
    path: Path,
    separator: str = "",
    *,
    encoding: str = "",
    columns: tuple[str, ...] = (),
    only: bool = False,
) -> Rows:
    """Open a CSV, TSV, JSON, Parquet or XML file; its kind is told by its name and checked.

    Texts may be packed (.csv.gz). `columns` are names that the header should have: they tell it
    from lines above it, and with `only` no other columns of Parquet are read. With "" the file
    decides on its separator and its encoding.
    """
    read = READERS.get(kind_of(path))
    if read is None or (read is read_parquet and path.suffix.lower() == PACKED):
        raise ShopError(
            f"{path}: the name does not say what it is; expected one that ends in "
            f"{', '.join(READERS)}, texts also in .csv{PACKED}; save a workbook as CSV"
        )
    packed = path.suffix.lower() == PACKED
    check_file(path, but=(PARQUET,) if read is read_parquet else (GZIP,) if packed else UTF_16)
    return read(path, TableFormat(separator, encoding, columns, only))


READERS: dict[str, Callable[[Path, TableFormat], Rows]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".tab": read_tsv,
    ".txt": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".parquet": read_parquet,
    ".xml": read_xml,
}
