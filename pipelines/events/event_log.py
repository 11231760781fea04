"""The durable log of acts: what is stored of one, and which acts are there already."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipelines.durable import journal_file
from pipelines.durable.journal import MOST_BYTES, Journal
from pipelines.durable.journal_file import Row
from pipelines.events.kept_act import KeptAct
from pipelines.live.change_log import LiveError

LARGEST_ACT = 65_536  # bytes of its JSON
FIRST = 1 << 48  # the number of the first act: no change has one as high, so `after` says which log
FORGOTTEN_AT_ONCE = 500  # the writer waits meanwhile
FOLDER = "events"  # inside the folder of --live


class LoggedAct(NamedTuple):
    """An act as it lies in the log."""

    sequence: int
    kept: KeptAct


class UnwrittenAct(NamedTuple):
    """Why an act was not written: it is there already under a number, or it cannot be."""

    status: int  # of HTTP; 200: it is there; 204: nobody may keep it
    field: str = ""
    message: str = ""
    sequence: int = 0


ActOutcome = int | UnwrittenAct
LookAt = Callable[[Sequence[KeptAct]], Sequence[KeptAct | UnwrittenAct]]
EventLog = Journal[KeptAct, KeptAct, LoggedAct, UnwrittenAct]


class EventFormat:
    """The format of a journal of acts."""

    file = "events.sqlite"
    table = "events"
    columns = "key TEXT NOT NULL UNIQUE, order_key TEXT UNIQUE, body BLOB NOT NULL"
    application_id = 0x56_45_56_54  # "VEVT"
    version = 2
    first = FIRST
    title = "log of events"
    entry = "event"
    begin = "`vetrina serve --live` begins one"
    full = "stop the server and move the log to another folder, leaving its archive where it is"
    error: type[Exception] = LiveError
    refusal = UnwrittenAct

    def check(self, item: KeptAct) -> UnwrittenAct | None:
        """Refuse an act that is too large."""
        size = len(msgspec.json.encode(item))
        if size <= LARGEST_ACT:
            return None
        return UnwrittenAct(
            413, "body", f"has {size:,} bytes as it is kept; at most {LARGEST_ACT:,}"
        )

    def row(self, record: KeptAct) -> Row:
        """Return the keys and the act as JSON."""
        return record.key, record.order_key, msgspec.json.encode(record)

    def number(self, sequence: int, record: KeptAct) -> LoggedAct:
        """Return an act with its number."""
        return LoggedAct(sequence, record)

    def read(self, sequence: int, row: Row) -> LoggedAct:
        """Return the act of a row; ValueError with the reason where it is none."""
        match row:
            case (str(), str() | None, bytes(body)):
                return LoggedAct(sequence, msgspec.json.decode(body, type=KeptAct))
            case _:
                raise ValueError("has columns of other types")


EVENTS = EventFormat()


def keep_all(acts: Sequence[KeptAct]) -> Sequence[KeptAct]:
    """Refuse nothing."""
    return acts


class KnownKeys:
    """Finds which acts are in the log already; called by the thread that writes it."""

    def __init__(self, folder: Path, last: Callable[[], int]) -> None:
        self._folder = folder
        self._last = last
        self._connection: sqlite3.Connection | None = None

    def prepare(self, acts: Sequence[KeptAct]) -> list[KeptAct | UnwrittenAct]:
        """Return each act that is new; of the others the number under which it is known."""
        known = self._known(acts)
        prepared: list[KeptAct | UnwrittenAct] = []
        number = self._last()
        for act in acts:
            keys = _keys_of(act)
            there = next((known[key] for key in keys if key in known), None)
            if there is not None:
                prepared.append(UnwrittenAct(200, sequence=there))
                continue
            number += 1
            known |= dict.fromkeys(keys, number)
            prepared.append(act)
        return prepared

    def _known(self, acts: Sequence[KeptAct]) -> dict[str, int]:
        if self._connection is None:
            self._connection = sqlite3.connect(self._folder / EVENTS.file, timeout=30)
        wanted = msgspec.json.encode([key for act in acts for key in _keys_of(act)]).decode()
        rows = self._connection.execute(
            "WITH wanted AS (SELECT value FROM json_each(?)) "
            "SELECT key, sequence FROM events WHERE key IN wanted "
            "UNION ALL "
            "SELECT order_key, sequence FROM events WHERE order_key IN wanted",
            (wanted,),
        )
        return {str(key): int(number) for key, number in rows}


def _keys_of(act: KeptAct) -> list[str]:
    """Return the keys of an act."""
    return [act.key] if act.order_key is None else [act.key, act.order_key]


def open_event_log(
    folder: Path,
    apply: Callable[[Sequence[LoggedAct]], None],
    most_bytes: int = MOST_BYTES,
    look_at: LookAt = keep_all,
) -> EventLog:
    """Open the log of a folder to write, or begin one; LiveError where another process does.

    `look_at` returns each act as it is to be kept, or why it is not, before keys are looked up.
    """
    log: EventLog
    keys = KnownKeys(folder, lambda: log.last)

    def prepare(acts: Sequence[KeptAct]) -> list[KeptAct | UnwrittenAct]:
        seen = look_at(acts)
        prepared = iter(keys.prepare([one for one in seen if isinstance(one, KeptAct)]))
        return [next(prepared) if isinstance(one, KeptAct) else one for one in seen]

    log = Journal(folder, EVENTS, prepare=prepare, apply=apply, most_bytes=most_bytes)
    return log


def forget(folder: Path, upto: int, before: datetime) -> int:
    """Remove acts up to a number that arrived before a moment; return how many.

    Purchases with an order stay: a page may tell of one again months later.
    """
    removed = 0
    with closing(sqlite3.connect(folder / EVENTS.file, timeout=30, isolation_level=None)) as log:
        log.execute("PRAGMA secure_delete = ON")
        while old := _oldest(log, upto, before):
            log.execute(
                "DELETE FROM events WHERE order_key IS NULL AND sequence BETWEEN ? AND ?",
                (old[0], old[-1]),
            )
            removed += len(old)
    return removed


def _oldest(log: sqlite3.Connection, upto: int, before: datetime) -> list[int]:
    """Return the numbers of the oldest acts that arrived before a moment, a few at once."""
    rows = log.execute(
        "SELECT sequence, body FROM events WHERE order_key IS NULL AND sequence <= ? "
        "ORDER BY sequence LIMIT ?",
        (upto, FORGOTTEN_AT_ONCE),
    )
    return [
        number
        for number, body in takewhile(
            lambda row: msgspec.json.decode(row[1], type=KeptAct).received_at < before, rows
        )
    ]


def replay(folder: Path, after: int = 0, upto: int | None = None) -> Iterator[LoggedAct]:
    """Yield the acts above `after` and at most `upto`, in order, while others may write."""
    return journal_file.replay(folder, EVENTS, after, upto)


def identity(folder: Path) -> tuple[str, int]:
    """Return the id of a log and the number of its newest act; LiveError where there is none."""
    return journal_file.identity(folder, EVENTS)
