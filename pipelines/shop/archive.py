"""The archive of acts beside a shop folder: its layout, and which of its files count."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipelines.errors import ShopError

INDEX = "archive.json"
FORMAT = 2
BUCKETS = 64
PART = re.compile(r"part-([0-9a-f]{32})-([0-9]{1,19})-([0-9]{1,19})\.parquet")


class ArchiveIndex(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of `archive.json`: up to which act of each log the archive is whole.

    `key` tells which key made the newest names of its shoppers, and `erased` how many entries of
    the ledger of people it has obeyed. `robots` counts acts that are left out, as those of robots.
    """

    format: int = FORMAT
    logs: dict[str, int] = {}
    key: str = ""
    erased: int = 0
    robots: int = 0


class Part(NamedTuple):
    """A file of an archive: the acts of a log from one number to another, of a day and bucket."""

    path: Path
    log: str
    first: int
    last: int

    def holds(self, other: "Part") -> bool:
        """Tell whether the acts of another file of the same folder are in this one, too."""
        inside = self.first <= other.first and other.last <= self.last
        return inside and self.log == other.log and self.path != other.path


def read_index(folder: Path) -> ArchiveIndex:
    """Return the index of an archive, or raise a ShopError that names the folder."""
    try:
        index = msgspec.json.decode((folder / INDEX).read_bytes(), type=ArchiveIndex)
    except OSError:
        raise ShopError(
            f"{folder} is no archive of events (no {INDEX}); `vetrina serve --live LIVE` writes "
            "one at LIVE/events/archive"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise ShopError(f"{folder / INDEX} is damaged: {e}; bring back a copy") from None
    if index.format != FORMAT:
        raise ShopError(f"{folder} has archive format {index.format}, this version reads {FORMAT}")
    return index


def archive_parts(folder: Path, index: ArchiveIndex) -> Iterator[tuple[date, list[Path]]]:
    """Yield the files of each day that are whole and in no other file, by bucket and number.

    A file beyond the index is of a write that was cut off.
    """
    for day in sorted(folder.glob("day=*")):
        parts = [part for bucket in sorted(day.glob("bucket=*")) for part in whole(bucket, index)]
        yield date.fromisoformat(day.name.removeprefix("day=")), [part.path for part in parts]


def whole(bucket: Path, index: ArchiveIndex) -> list[Part]:
    """Return the files of one bucket of one day that count, in order."""
    parts = [part for part in parts_of(bucket) if part.last <= index.logs.get(part.log, 0)]
    return [part for part in parts if not any(other.holds(part) for other in parts)]


def parts_of(bucket: Path) -> list[Part]:
    """Return every file of one bucket of one day, in order."""
    matches = [(path, PART.fullmatch(path.name)) for path in bucket.glob("part-*.parquet")]
    parts = [Part(path, m[1], int(m[2]), int(m[3])) for path, m in matches if m]
    return sorted(parts, key=lambda part: part[1:])
