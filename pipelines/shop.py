"""The shop folder: products, events by day, users, campaigns, promotions, pictures, as Parquet."""

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import accumulate, islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipelines.durable import flush, flush_all
from pipelines.errors import ShopError
from pipelines.quality import QualityReport

FORMAT = 1
PINNED = "pinned.jsonl"  # what the owner of the shop pins; an import leaves it there
BATCH_ROWS = 10_000
PICTURE_BATCH_ROWS = 1_000
PICTURE_BATCH_BYTES = 64_000_000
PICTURES_AT_ONCE = 64  # where some in the middle of the file are read
EVENTS_IN_MEMORY = 500_000
HASHED_AT_ONCE = 1 << 20
DICTIONARY_BYTES = 64 << 20  # so that a row group stores equal pictures once
COMPRESSION = {  # what is compressed by itself is not compressed again
    "pictures": {"id": "zstd", "image": "none", "media_type": "zstd"},
    "videos": {"id": "zstd", "video": "none"},
}

_TEXT = pa.string()
_TEXTS = pa.list_(pa.string())
_PAIRS = pa.map_(pa.string(), pa.string())
_CONSENT = pa.struct([(purpose, pa.bool_()) for purpose in ("search", "recommend", "ads", "train")])

PRODUCT_SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("title", _TEXT),
        ("description", _TEXT),
        ("brand", _TEXT),
        ("categories", _TEXTS),
        ("price", pa.float64()),
        ("currency", _TEXT),
        ("availability", _TEXT),
        ("attributes", _PAIRS),
        ("images", _TEXTS),
        ("videos", _TEXTS),
        ("item_group_id", _TEXT),
        ("tags", _TEXTS),
    ]
)
EVENT_SCHEMA = pa.schema(
    [
        ("type", _TEXT),
        ("user", _TEXT),
        ("session", _TEXT),
        ("time", pa.timestamp("s")),  # the shop's local time
        ("product", _TEXT),
        ("quantity", pa.float64()),
        ("value", pa.float64()),
        ("text", _TEXT),
        ("position", pa.int32()),
        ("propensity", pa.float32()),
        ("placement", _TEXT),
        ("consent", _CONSENT),
    ]
)
USER_SCHEMA = pa.schema([("id", _TEXT), ("traits", _PAIRS), ("consent", _CONSENT)])
CAMPAIGN_SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("kind", _TEXT),
        ("start", pa.timestamp("s")),
        ("end", pa.timestamp("s")),
        ("products", _TEXTS),
        ("users", _TEXTS),
    ]
)
PROMOTION_SCHEMA = pa.schema(
    [
        ("product", _TEXT),
        ("kind", _TEXT),
        ("start", pa.timestamp("s")),
        ("end", pa.timestamp("s")),
        ("share", pa.float32()),
    ]
)
PICTURE_SCHEMA = pa.schema([("id", _TEXT), ("image", pa.binary()), ("media_type", _TEXT)])
VIDEO_SCHEMA = pa.schema([("id", _TEXT), ("video", pa.binary())])
SCHEMAS = {
    "products": PRODUCT_SCHEMA,
    "users": USER_SCHEMA,
    "campaigns": CAMPAIGN_SCHEMA,
    "promotions": PROMOTION_SCHEMA,
    "pictures": PICTURE_SCHEMA,
    "videos": VIDEO_SCHEMA,
}

# What a column holds where a source does not have it: the defaults of the nouns.
_MAY_BE_NULL = frozenset({"price", "product", "value", "position", "propensity"})
_DEFAULTS = {"availability": "IN_STOCK", "quantity": 1.0, "share": 1.0}


class ShopMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What `shop.json` says about the folder."""

    format: int = FORMAT
    name: str
    source: str
    pictures: Literal["none", "drawn", "photo"] = "none"
    counts: dict[str, int] = {}


class Shop:
    """One shop folder, opened for reading; nothing is held in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = _read_meta(folder)
        self._check("products.parquet", PRODUCT_SCHEMA)
        self._check("users.parquet", USER_SCHEMA)
        self._check("campaigns.parquet", CAMPAIGN_SCHEMA)

    @property
    def num_products(self) -> int:
        """Return how many products the shop has."""
        with _open(self.folder / "products.parquet") as file:
            return int(file.metadata.num_rows)

    @property
    def deleted(self) -> frozenset[str]:
        """Return the ids of products that were taken out on purpose; a file does not say so."""
        return frozenset()

    def fingerprint(self, *parts: str) -> str:
        """Return a hash over names, sizes and contents of all Parquet files, or of some.

        A part is `products`, `events`, `users`, `campaigns`, `promotions`, `pictures` or `videos`.
        """
        digest = xxhash.xxh3_128()
        for path in sorted(self.folder.rglob("*.parquet")):
            if (
                parts
                and path.relative_to(self.folder).parts[0].removesuffix(".parquet") not in parts
            ):
                continue
            digest.update(f"{path.relative_to(self.folder)}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(HASHED_AT_ONCE):
                    digest.update(block)
        return digest.hexdigest()

    def product_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all products in file order, columns as in PRODUCT_SCHEMA."""
        yield from _batches(self.folder / "products.parquet", PRODUCT_SCHEMA)

    def picture_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield `id, image, media_type`; of one product the first that comes is the one shown.

        Equal pictures are next to each other; nothing is yielded where there are none.
        """
        path = self.folder / "pictures.parquet"
        if path.exists():
            with _open(path) as file:
                row_bytes = path.stat().st_size // max(file.metadata.num_rows, 1)
            rows = min(PICTURE_BATCH_ROWS, PICTURE_BATCH_BYTES // max(row_bytes, 1))
            yield from _batches(path, PICTURE_SCHEMA, max(rows, 1))

    def pictures(self, start: int, count: int) -> Iterator[bytes]:
        """Yield the bytes of `count` pictures from the one at place `start` of the file."""
        path = self.folder / "pictures.parquet"
        with _open(path) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        ends = list(accumulate(sizes))
        groups = [
            i
            for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
            if end > start and end - size < start + count
        ]
        skipped = start - (ends[groups[0]] - sizes[groups[0]]) if groups else 0
        batches = _batches(path, PICTURE_SCHEMA, PICTURES_AT_ONCE, groups)
        images = (image.as_py() or b"" for batch in batches for image in batch["image"])
        yield from islice(images, skipped, skipped + count)

    def video_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield `id, video`, one row at a time; nothing where the shop has no videos."""
        path = self.folder / "videos.parquet"
        if path.exists():
            yield from _batches(path, VIDEO_SCHEMA, 1)

    def users(self) -> pa.Table:
        """Return the users with declared traits."""
        return _read(self.folder / "users.parquet", USER_SCHEMA)

    def campaigns(self) -> pa.Table:
        """Return the campaigns."""
        return _read(self.folder / "campaigns.parquet", CAMPAIGN_SCHEMA)

    def promotions(self) -> pa.Table:
        """Return what the shop puts forward and when; nothing where it does not say."""
        path = self.folder / "promotions.parquet"
        return _read(path, PROMOTION_SCHEMA) if path.exists() else PROMOTION_SCHEMA.empty_table()

    def days(self) -> list[date]:
        """Return the days that have events, in order."""
        return [day for day, _ in self._day_folders()]

    def event_batches(
        self, until: datetime | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield events day by day, those at or after `until` left out.

        A day that begins at or after `until` is not opened. Within a day the files keep the order
        in which they were written, and the rows of one file are in order of time.
        """
        names = list(columns or EVENT_SCHEMA.names)
        for day, folder in self._day_folders():
            if until is not None and datetime.combine(day, time.min) >= until:
                return
            cut = until if until is not None and until.date() == day else None
            for path in sorted(folder.glob("part-*.parquet"), key=_part_number):
                yield from _events(path, names, cut)

    def _day_folders(self) -> list[tuple[date, Path]]:
        folders = (self.folder / "events").glob("day=*")
        return sorted((_day_of(folder), folder) for folder in folders)

    def _check(self, name: str, schema: pa.Schema) -> None:
        with _open(self.folder / name) as file:
            found = file.schema_arrow.remove_metadata()
        if not found.equals(_stored(schema)):
            raise ShopError(
                f"{self.folder / name} has the columns {', '.join(found.names)}, expected "
                f"{', '.join(schema.names)} with their types; import the shop again"
            )


class ShopWriter:
    """Writes a shop beside its place and moves it there at the end, whole or not at all."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        source: str,
        pictures: Literal["drawn", "photo"] = "photo",
    ) -> None:
        self.folder = folder.resolve()
        self._name = name
        self._source = source
        self._pictures = pictures
        self._draft = self.folder.parent / f".{self.folder.name}.draft"
        self._old = self.folder.parent / f".{self.folder.name}.old"
        self._counts = dict.fromkeys(("products", "events", "users", "campaigns", "pictures"), 0)
        self._files: dict[str, pq.ParquetWriter] = {}
        self._waiting: list[pa.Table] = []
        self._parts = 0
        self._lock: IO[bytes] | None = None

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
            if self._lock is not None:
                self._lock.close()

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
        self._waiting.append(conform(table, EVENT_SCHEMA))
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
        if self._old.exists() and not self.folder.exists():  # killed between two renames
            self._old.rename(self.folder)
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
            self._lock = (self._draft / ".lock").open("wb")
        except OSError as e:
            raise ShopError(f"{self.folder} cannot be written: {e.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise ShopError(f"another import is writing {self.folder}; wait for it") from None
        for left in self._draft.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != ".lock":
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
        )
        text = msgspec.json.format(msgspec.json.encode(meta), indent=2)
        (self._draft / "shop.json").write_bytes(text + b"\n")
        if (self.folder / PINNED).is_file():
            shutil.copyfile(self.folder / PINNED, self._draft / PINNED)
        (self._draft / ".lock").unlink()
        flush_all(self._draft)
        self._move()

    def _move(self) -> None:
        shutil.rmtree(self._old, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(self._old)
        self._draft.rename(self.folder)
        flush(self.folder.parent)
        shutil.rmtree(self._old, ignore_errors=True)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with exactly these columns and types; nulls become the noun's default."""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(_default_column(field, table.num_rows))
            continue
        column = table[field.name].cast(field.type)
        if column.null_count and field.name not in _MAY_BE_NULL:
            default = pa.scalar(_default(field), field.type)
            column = pc.if_else(column.is_valid(), column, default)
        columns.append(column)
    return pa.table(columns, schema=schema)


def _default(field: pa.Field) -> Any:
    if field.name in _MAY_BE_NULL:
        return None
    if field.name in _DEFAULTS:
        return _DEFAULTS[field.name]
    if pa.types.is_struct(field.type):
        return {child.name: True for child in field.type}
    return "" if pa.types.is_string(field.type) else []


def _default_column(field: pa.Field, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(_default(field), field.type), length)


def _runs(days: pa.ChunkedArray) -> list[dict[str, pa.Scalar]]:
    counts = pc.value_counts(days.combine_chunks())  # in order of first sight: sorted as the days
    return [{"values": run["values"], "counts": run["counts"]} for run in counts]


def _read_meta(folder: Path) -> ShopMeta:
    try:
        meta = msgspec.json.decode((folder / "shop.json").read_bytes(), type=ShopMeta)
    except OSError:
        raise ShopError(
            f"{folder} is not a shop (no shop.json); make one with `vetrina import`"
        ) from None
    except msgspec.DecodeError as e:
        raise ShopError(f"{folder / 'shop.json'} is damaged: {e}; import again") from None
    if meta.format != FORMAT:
        raise ShopError(
            f"{folder} has shop format {meta.format}, this version reads {FORMAT}; import again"
        )
    return meta


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise ShopError(f"{path} is missing; import the shop again") from None
    except (OSError, pa.ArrowException) as e:
        raise ShopError(f"{path} is damaged: {_first_line(e)}; import the shop again") from None


def _batches(
    path: Path,
    schema: pa.Schema,
    batch_rows: int = BATCH_ROWS,
    row_groups: list[int] | None = None,
) -> Iterator[pa.RecordBatch]:
    with _open(path) as file:
        try:
            for batch in file.iter_batches(
                batch_rows, row_groups=row_groups, columns=schema.names, use_threads=False
            ):
                yield batch.cast(schema)
        except (OSError, pa.ArrowException) as e:
            raise ShopError(f"{path} is damaged: {_first_line(e)}; import the shop again") from None


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(_batches(path, schema), schema=schema)


def _events(path: Path, names: list[str], cut: datetime | None) -> Iterator[pa.RecordBatch]:
    read = names if cut is None or "time" in names else [*names, "time"]
    for batch in _batches(path, pa.schema([EVENT_SCHEMA.field(name) for name in read])):
        if cut is not None:
            batch = batch.filter(pc.less(batch["time"], pa.scalar(cut, pa.timestamp("us"))))
        yield batch.select(names)


def _stored(schema: pa.Schema) -> pa.Schema:
    """Return the schema as a Parquet file gives it back: there, times count milliseconds."""
    milliseconds = {pa.timestamp("s"): pa.timestamp("ms")}
    return pa.schema([f.with_type(milliseconds.get(f.type, f.type)) for f in schema])


def _day_of(folder: Path) -> date:
    try:
        return date.fromisoformat(folder.name.removeprefix("day="))
    except ValueError:
        raise ShopError(f"{folder} is not a day such as day=2017-11-15; remove it") from None


def _part_number(path: Path) -> tuple[int, str]:
    return len(path.name), path.name


def _parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        compression=COMPRESSION.get(path.stem, "zstd"),
        dictionary_pagesize_limit=DICTIONARY_BYTES,
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
