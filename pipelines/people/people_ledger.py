"""The ledger of people: who withdrew a purpose or asked to be erased, and when."""

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from threading import Lock

import msgspec

from pipelines.durable.files import flush
from pipelines.errors import ConfigError
from retrieval.types import Noun

FILE = "people.jsonl"  # inside the folder of --live
PURPOSES = ("search", "recommend", "ads", "train")


class LedgerEntry(Noun, frozen=True, kw_only=True):
    """One line: from `at` back, acts under these names serve these purposes no more.

    Of somebody who is erased they are on no disk either. The names are pseudonyms.
    """

    at: datetime
    names: tuple[str, ...]
    purposes: tuple[str, ...] = PURPOSES
    erased: bool = False


class _Content:
    """What was read of a ledger up to an offset."""

    def __init__(self, inode: int = 0) -> None:
        self.inode = inode
        self.offset = 0
        self.entries: list[LedgerEntry] = []
        self.ends: dict[tuple[str, str], datetime] = {}  # by name and purpose
        self.erased: dict[str, datetime] = {}  # by name

    def add(self, entry: LedgerEntry) -> None:
        """Take an entry in."""
        self.entries.append(entry)
        for name in entry.names:
            for purpose in entry.purposes:
                known = self.ends.get((name, purpose), entry.at)
                self.ends[name, purpose] = max(entry.at, known)
            if entry.erased:
                self.erased[name] = max(entry.at, self.erased.get(name, entry.at))


class PeopleLedger:
    """A file that only grows; read again when it has, so that every process obeys it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = _Content()
        self._lock = Lock()

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, the oldest first."""
        return tuple(self._read().entries)

    def check(self) -> None:
        """Raise ConfigError where a line cannot be read."""
        self._read()

    def end_of(self, purpose: str, names: Iterable[str]) -> datetime | None:
        """Return the instant up to which acts of a person serve a purpose no more, or None."""
        ends = self._read().ends
        return max((ends[name, purpose] for name in names if (name, purpose) in ends), default=None)

    def erased_at(self, names: Iterable[str]) -> datetime | None:
        """Return when somebody was erased, the last time, or None."""
        erased = self._read().erased
        return max((erased[name] for name in names if name in erased), default=None)

    def append(self, entry: LedgerEntry) -> None:
        """Write an entry on the disk; one process does. Half a line of a killed one is removed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
        with os.fdopen(handle, "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - 1, 0))
            if end and file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
                file.seek(0, os.SEEK_END)
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        flush(self.path.parent)

    def _read(self) -> _Content:
        """Return the content, with what has been appended since the last time."""
        try:
            about = self.path.stat()
        except FileNotFoundError:
            return _Content()
        content = self._content
        if (content.inode, content.offset) != (about.st_ino, about.st_size):
            with self._lock:
                content = self._catch_up(about.st_ino, about.st_size)
        return content

    def _catch_up(self, inode: int, size: int) -> _Content:
        content = self._content
        if content.inode != inode or content.offset > size:
            content = _Content(inode)  # another file
        with self.path.open("rb") as file:
            file.seek(content.offset)
            *lines, _ = file.read().split(b"\n")  # behind the last end of a line nothing counts
        for line in lines:
            content.add(self._entry(line, len(content.entries) + 1))
            content.offset += len(line) + 1
        self._content = content
        return content

    def _entry(self, line: bytes, number: int) -> LedgerEntry:
        try:
            return msgspec.json.decode(line, type=LedgerEntry)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise ConfigError(f"{self.path}, line {number}: {e}; bring back a copy") from None
