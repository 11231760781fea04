"""Reads the rows of Parquet."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import ShopError, first_line
from pipelines.importers.tables.rows import Row, Rows, TableFormat
from pipelines.shop.remarks import Remarks

MAX_ROW_GROUP_BYTES = 8_000_000_000  # unpacked
BATCH_ROWS = 1_000
BATCH_BYTES = 64_000_000


def read_parquet(path: Path, form: TableFormat) -> Rows:
    """Read a Parquet file batch by batch, of its columns those that are asked for."""
    try:
        file = pq.ParquetFile(path)
        names = tuple(file.schema_arrow.names)
        sizes = [file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)]
    except (OSError, pa.ArrowException, UnicodeDecodeError) as e:
        raise ShopError(f"{path} is not a Parquet file, or is damaged: {first_line(e)}") from None
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ShopError(f"{path}: columns are named twice: {', '.join(twice[:10])}")
    if max(sizes, default=0) > MAX_ROW_GROUP_BYTES:
        raise ShopError(
            f"{path}: a row group unpacks to {max(sizes):,} bytes, at most "
            f"{MAX_ROW_GROUP_BYTES:,} are read; write it with smaller row groups"
        )
    wanted = {part for name in form.columns for part in (name, name.partition(".")[0])}
    some = [name for name in names if name in wanted] if form.only else list(names)
    return Rows(names, _parquet_rows(path, file, some), nested=True, remarks=Remarks(path))


def _parquet_rows(path: Path, file: pq.ParquetFile, columns: list[str]) -> Iterator[Row]:
    number = 0
    try:
        size = _batch_rows(file.metadata)
        for batch in file.iter_batches(size, columns=columns, use_threads=False):
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
