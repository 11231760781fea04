"""Writes a shop folder beside its place and moves it there at the end, whole or not at all."""

import shutil
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import Timeout

from pipelines.durable.files import draft_of, restore, swap
from pipelines.durable.locks import lock_file
from pipelines.errors import ShopError
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import PINNED, ShopMeta
from pipelines.shop.schemas import (
    ACT_SCHEMA,
    CAMPAIGN_SCHEMA,
    PICTURE_SCHEMA,
    PRODUCT_SCHEMA,
    PROMOTION_SCHEMA,
    SCHEMAS,
    USER_SCHEMA,
    VIDEO_SCHEMA,
    conform,
)

LOCK = ".lock"  # in the draft
EVENTS_IN_MEMORY = 500_000
DICTIONARY_BYTES = 64 << 20  # so that a row group stores equal pictures once
COMPRESSION = {  # what is compressed by itself is not compressed again
    "pictures": {"id": "zstd", "image": "none", "media_type": "zstd"},
    "videos": {"id": "zstd", "video": "none"},
}


class ShopWriter:
    """Writes a shop beside its place and moves it there at the end, whole or not at all."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        source: str,
        pictures: Literal["drawn", "photo"] = "photo",
        timezone: str = "",
        country: str = "",
    ) -> None:
        self.timezone = timezone  # of the times that are written; may be set until the end
        self.country = country
        self.folder = folder.resolve()
        self._name = name
        self._source = source
        self._pictures = pictures
        self._draft = draft_of(self.folder)
        self._lock = lock_file(self._draft / LOCK)
        self._counts = dict.fromkeys(("products", "events", "users", "campaigns", "pictures"), 0)
        self._files: dict[str, pq.ParquetWriter] = {}
        self._waiting: list[pa.Table] = []
        self._parts = 0

    def __enter__(self) -> "ShopWriter":
        self._refuse_to_overwrite()
        self._take_draft()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for file in self._files.values():
                file.close()
            shutil.rmtree(self._draft, ignore_errors=True)
            self._lock.release()

    def add_products(self, table: pa.Table) -> pa.Table:
        """Append products, and return them as written: every column, with the noun's defaults."""
        written = conform(table, PRODUCT_SCHEMA)
        self._append("products", written)
        return written

    def add_pictures(self, table: pa.Table) -> None:
        """Append pictures; equal pictures next to each other are stored once."""
        self._append("pictures", conform(table, PICTURE_SCHEMA))

    def add_videos(self, table: pa.Table) -> None:
        """Append videos as bytes; of one product in the order in which they come."""
        self._append("videos", conform(table, VIDEO_SCHEMA))

    def add_events(self, table: pa.Table) -> None:
        """Append events in any order; columns that are not there get the noun's default."""
        self._waiting.append(conform(table, ACT_SCHEMA))
        if sum(table.num_rows for table in self._waiting) >= EVENTS_IN_MEMORY:
            self._write_events()

    def set_users(self, table: pa.Table) -> None:
        """Append users."""
        self._append("users", conform(table, USER_SCHEMA))

    def set_campaigns(self, table: pa.Table) -> None:
        """Append campaigns."""
        self._append("campaigns", conform(table, CAMPAIGN_SCHEMA))

    def add_promotions(self, table: pa.Table) -> None:
        """Append promotions."""
        self._append("promotions", conform(table, PROMOTION_SCHEMA))

    def write_report(self, report: QualityReport) -> None:
        """Write `quality.json` and `quality.txt`."""
        (self._draft / "quality.json").write_bytes(report.json())
        (self._draft / "quality.txt").write_text(report.table(), encoding="utf-8")

    def _refuse_to_overwrite(self) -> None:
        restore(self.folder)
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise ShopError(f"{self.folder} is a file; give a folder for the shop")
        if not (self.folder / "shop.json").is_file() and any(self.folder.iterdir()):
            raise ShopError(
                f"{self.folder} holds files that are not a shop (no shop.json); it is left as it "
                "is: choose another folder, or empty it"
            )

    def _take_draft(self) -> None:
        """Take the draft's place, and clear what a killed import left there."""
        try:
            self._draft.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            raise ShopError(f"another import is writing {self.folder}; wait for it") from None
        except OSError as e:
            raise ShopError(f"{self.folder} cannot be written: {e.strerror}") from None
        for left in self._draft.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != LOCK:
                left.unlink()

    def _append(self, name: str, table: pa.Table) -> None:
        if name not in self._files:
            self._files[name] = _parquet_writer(self._draft / f"{name}.parquet", SCHEMAS[name])
        self._files[name].write_table(table)
        self._counts[name] = self._counts.get(name, 0) + table.num_rows

    def _write_events(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).sort_by("time")
        self._waiting = []
        days = pc.cast(pc.floor_temporal(table["time"], unit="day"), pa.date32())
        start = 0
        for run in _runs(days):
            self._write_day(run["values"].as_py(), table.slice(start, run["counts"].as_py()))
            start += run["counts"].as_py()
        self._counts["events"] += table.num_rows
        self._parts += 1

    def _write_day(self, day: date, table: pa.Table) -> None:
        folder = self._draft / "events" / f"day={day:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        with _parquet_writer(folder / f"part-{self._parts}.parquet", table.schema) as file:
            file.write_table(table)

    def _finish(self) -> None:
        self._write_events()
        self.set_users(USER_SCHEMA.empty_table())
        self.set_campaigns(CAMPAIGN_SCHEMA.empty_table())
        self.add_products(PRODUCT_SCHEMA.empty_table())
        for file in self._files.values():
            file.close()
        meta = ShopMeta(
            name=self._name,
            source=self._source,
            pictures=self._pictures if self._counts["pictures"] else "none",
            counts=self._counts,
            timezone=self.timezone,
            country=self.country,
        )
        text = msgspec.json.format(msgspec.json.encode(meta), indent=2)
        (self._draft / "shop.json").write_bytes(text + b"\n")
        if (self.folder / PINNED).is_file():
            shutil.copyfile(self.folder / PINNED, self._draft / PINNED)
        (self._draft / LOCK).unlink()
        swap(self._draft, self.folder)


def _runs(days: pa.ChunkedArray) -> list[dict[str, pa.Scalar]]:
    counts = pc.value_counts(days.combine_chunks())  # in order of first sight: sorted as the days
    return [{"values": run["values"], "counts": run["counts"]} for run in counts]


def _parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        compression=COMPRESSION.get(path.stem, "zstd"),
        dictionary_pagesize_limit=DICTIONARY_BYTES,
    )
