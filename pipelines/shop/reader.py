"""Reads a shop folder: products, events by day, users, campaigns, promotions, pictures."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from functools import cached_property, partial
from itertools import accumulate, islice
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipelines.config.sections import GRANTED, ConsentConfig
from pipelines.config.zones import zone_of
from pipelines.errors import ShopError, first_line
from pipelines.people.people import People, names_of_stored
from pipelines.people.permitted import Permission
from pipelines.shop.archive import archive_parts, read_index
from pipelines.shop.schemas import (
    CAMPAIGN_SCHEMA,
    EVENT_SCHEMA,
    PICTURE_SCHEMA,
    PRODUCT_SCHEMA,
    PROMOTION_SCHEMA,
    USER_SCHEMA,
    VIDEO_SCHEMA,
    _stored,
    conform,
)
from pipelines.shop.told_twice import COLUMNS as KEY_COLUMNS
from pipelines.shop.told_twice import act_keys, told_twice

FORMAT = 1
PINNED = "pinned.jsonl"  # what the owner of the shop pins; an import leaves it there
BATCH_ROWS = 10_000
PICTURE_BATCH_ROWS = 1_000
PICTURE_BATCH_BYTES = 64_000_000
PICTURES_AT_ONCE = 64  # where some in the middle of the file are read
HASHED_AT_ONCE = 1 << 20


class ShopMeta(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of `shop.json`."""

    format: int = FORMAT
    name: str
    source: str
    pictures: Literal["none", "drawn", "photo"] = "none"
    counts: dict[str, int] = {}
    timezone: str = ""  # of the times, by its IANA name; "": nobody said
    country: str = ""  # ISO 3166


class Shop:
    """One shop folder, opened for reading; nothing is held in memory.

    With `archive`, the acts that a server archived there until now are events of the shop, too,
    but for those that its own files hold. `people` say under which names the archive has
    shoppers, and who withdrew; `unset` what it means that a shopper said nothing of a purpose.
    """

    def __init__(
        self,
        folder: Path,
        archive: Path | None = None,
        people: People | None = None,
        unset: ConsentConfig = GRANTED,
    ) -> None:
        self.folder = folder
        self._names = None if people is None else people.names
        self.archived: dict[str, int] = {}  # the newest archived act of each log
        self.robots = 0  # acts of robots, which the archive left out
        self._archived_days: dict[date, list[Path]] = {}
        if archive is not None:
            index = read_index(archive)
            if index.key and (self._names is None or index.key not in self._names.key_ids):
                raise ShopError(
                    f"{archive} names its shoppers by a key that is not here; set people.key to "
                    "the file of the server's key"
                )
            self.archived, self.robots = index.logs, index.robots
            self._archived_days = dict(archive_parts(archive, index))
        self.meta = _read_meta(folder)
        self._permission = Permission(people, unset, zone_of(self.meta.timezone))
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
        if self.archived and (not parts or "events" in parts):
            digest.update(msgspec.json.encode(sorted(self.archived.items())))
        if not parts or {"events", "users"} & {*parts}:
            digest.update(self._permission.mark)
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
        """Return the users with declared traits, but for those who were erased."""
        return self._permission.users(_read(self.folder / "users.parquet", USER_SCHEMA))

    def campaigns(self) -> pa.Table:
        """Return the campaigns."""
        return _read(self.folder / "campaigns.parquet", CAMPAIGN_SCHEMA)

    def promotions(self) -> pa.Table:
        """Return what the shop puts forward and when; nothing where it does not say."""
        path = self.folder / "promotions.parquet"
        if not path.exists():
            return PROMOTION_SCHEMA.empty_table()
        with _open(path) as file:  # an older import did not write since when one is known
            held = {*file.schema_arrow.names} | {*PROMOTION_SCHEMA.names} - {"known_from"}
        schema = pa.schema([field for field in PROMOTION_SCHEMA if field.name in held])
        return conform(_read(path, schema), PROMOTION_SCHEMA)

    def days(self) -> list[date]:
        """Return the days that have events, in order."""
        return sorted({*self._own_days(), *self._archived_days})

    def event_batches(
        self, until: datetime | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield events day by day, those at or after `until` and those withdrawn left out.

        A day that begins at or after `until` is not opened. Within a day the files keep the order
        in which they were written, and the rows of one file are in order of time.
        """
        names = list(columns or EVENT_SCHEMA.names)
        read = list(dict.fromkeys([*names, *KEY_COLUMNS]))
        own = self._own_days()
        if self._permission.has_entries:
            self._permission.know(self._own_users[1])
        for day in self.days():
            if until is not None and datetime.combine(day, time.min) >= until:
                return
            cut = until if until is not None and until.date() == day else None
            for path in own.get(day, []):
                for batch in _events(path, [*{*names, "user", "time"}], cut):
                    yield self._permission.acts(batch).select(names)
            for path in self._archived_days.get(day, []):
                for batch in self._archived_events(path, read, cut):
                    yield self._permission.acts(batch).select(names)

    def _archived_events(
        self, path: Path, names: list[str], cut: datetime | None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the acts of a file of the archive that the shop's own files do not hold."""
        for archived in _events(path, names, cut):
            batch = self._with_own_ids(archived)
            yield batch.filter(pc.invert(pc.is_in(act_keys(batch), value_set=self._told_twice)))

    @cached_property
    def _told_twice(self) -> pa.Array:
        """The keys of the archived acts that the shop's own files hold, too."""
        own = partial(_events_of, self._own_days())
        archived = partial(_events_of, self._archived_days)
        return told_twice(own, lambda names: map(self._with_own_ids, archived(names)))

    def _with_own_ids(self, archived: pa.RecordBatch) -> pa.RecordBatch:
        """Return archived acts in which the shop's own users have their own ids."""
        names, ids = self._own_users
        user = archived.column("user")
        own = pc.take(ids, pc.index_in(user, value_set=names))
        place = archived.schema.get_field_index("user")
        return archived.set_column(place, "user", pc.coalesce(own, user))

    @cached_property
    def _own_users(self) -> tuple[pa.Array, pa.Array]:
        """The names of the shop's own users in an archive, and their ids."""
        found = [batch.column("user") for batch in _events_of(self._own_days(), ["user"])]
        declared = _read(self.folder / "users.parquet", USER_SCHEMA)["id"]
        ids = pa.chunked_array([*found, *declared.chunks], pa.string()).unique()
        if self._names is None:
            return ids, ids
        pairs = [
            (name, one) for one in ids.to_pylist() for name in names_of_stored(self._names, one)
        ]
        names, own = ([pair[i] for pair in pairs] for i in (0, 1))
        return pa.array(names, pa.string()), pa.array(own, pa.string())

    def _own_days(self) -> dict[date, list[Path]]:
        """Return the files of each day of the shop folder."""
        return {
            _day_of(folder): sorted(folder.glob("part-*.parquet"), key=_part_number)
            for folder in (self.folder / "events").glob("day=*")
        }

    def _check(self, name: str, schema: pa.Schema) -> None:
        with _open(self.folder / name) as file:
            found = file.schema_arrow.remove_metadata()
        if not found.equals(_stored(schema)):
            raise ShopError(
                f"{self.folder / name} has the columns {', '.join(found.names)}, expected "
                f"{', '.join(schema.names)} with their types; import the shop again"
            )


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
        raise ShopError(f"{path} is damaged: {first_line(e)}; import the shop again") from None


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
            raise ShopError(f"{path} is damaged: {first_line(e)}; import the shop again") from None


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(_batches(path, schema), schema=schema)


def _events(path: Path, names: list[str], cut: datetime | None) -> Iterator[pa.RecordBatch]:
    read = names if cut is None or "time" in names else [*names, "time"]
    for batch in _batches(path, pa.schema([EVENT_SCHEMA.field(name) for name in read])):
        if cut is not None:
            batch = batch.filter(pc.less(batch["time"], pa.scalar(cut, pa.timestamp("us"))))
        yield batch.select(names)


def _events_of(days: dict[date, list[Path]], names: list[str]) -> Iterator[pa.RecordBatch]:
    for paths in days.values():
        for path in paths:
            yield from _events(path, names, None)


def _day_of(folder: Path) -> date:
    try:
        return date.fromisoformat(folder.name.removeprefix("day="))
    except ValueError:
        raise ShopError(f"{folder} is not a day such as day=2017-11-15; remove it") from None


def _part_number(path: Path) -> tuple[int, str]:
    return len(path.name), path.name
