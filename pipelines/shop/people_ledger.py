"""The ledger of people: who withdrew a purpose or asked to be erased, and when."""

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

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


class _Content(NamedTuple):
    """What a ledger says, and of which file it was read."""

    stamp: tuple[int, int, int]
    entries: tuple[LedgerEntry, ...]
    ends: dict[tuple[str, str], datetime]  # by name and purpose
    erased: dict[str, datetime]  # by name


NOTHING = _Content((0, 0, 0), (), {}, {})


class PeopleLedger:
    """A file that only grows; read again when it has, so that every process obeys it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = NOTHING

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, the oldest first."""
        return self._read().entries

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
            whole = file.read().rfind(b"\n") + 1
            file.seek(whole)
            file.truncate()
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        flush(self.path.parent)

    def _read(self) -> _Content:
        try:
            about = self.path.stat()
        except FileNotFoundError:
            return NOTHING
        stamp = (about.st_ino, about.st_size, about.st_mtime_ns)
        content = self._content
        if content.stamp != stamp:
            content = self._content = _content(stamp, self.path)
        return content


def _content(stamp: tuple[int, int, int], path: Path) -> _Content:
    ends: dict[tuple[str, str], datetime] = {}
    erased: dict[str, datetime] = {}
    entries = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            entry = msgspec.json.decode(line, type=LedgerEntry)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise ConfigError(f"{path}, line {number}: {e}; bring back a copy") from None
        entries.append(entry)
        for name in entry.names:
            for purpose in entry.purposes:
                ends[name, purpose] = max(entry.at, ends.get((name, purpose), entry.at))
            if entry.erased:
                erased[name] = max(entry.at, erased.get(name, entry.at))
    return _Content(stamp, tuple(entries), ends, erased)
