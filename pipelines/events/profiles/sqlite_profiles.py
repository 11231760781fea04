"""Profiles in SQLite: written by the process that writes the log of events, read by all."""

import logging
import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from threading import local
from typing import Any

from pipelines.durable.files import is_in_place
from pipelines.durable.journal_file import in_parts
from pipelines.events.event_log import LoggedAct, identity, replay
from pipelines.events.kept_act import PURPOSES, KeptAct, Purpose, visitor_name
from pipelines.events.profiles.profiles import ProfileLine
from pipelines.people.people import VISITOR, People
from retrieval.types import EventType

logger = logging.getLogger(__name__)

FILE = "profiles.sqlite"
MOST_LINES = 500  # of one shopper
FORMAT = 1

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS about (log TEXT NOT NULL, upto INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS lines (
    key TEXT NOT NULL, line INTEGER NOT NULL, user TEXT NOT NULL, visitor TEXT NOT NULL,
    at_ms INTEGER NOT NULL, type TEXT NOT NULL, product TEXT NOT NULL, quantity REAL NOT NULL,
    visit TEXT NOT NULL, text TEXT NOT NULL, purposes INTEGER NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (key, line)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS of_user ON lines (user, at_ms) WHERE user <> '';
CREATE INDEX IF NOT EXISTS of_visitor ON lines (visitor, at_ms) WHERE visitor <> '';
CREATE INDEX IF NOT EXISTS of_time ON lines (at_ms);
PRAGMA user_version = {FORMAT};
"""
ORDER = "at_ms DESC, key DESC, line DESC"
COLUMNS = (
    "at_ms, type, product, quantity, visit, text, purposes, sequence, user, visitor, key, line"
)
LOGINS = (
    "SELECT at_ms, user FROM lines WHERE visitor = ? AND visitor <> '' AND user <> '' "
    "AND at_ms >= ? ORDER BY at_ms, key"
)
OWN = (
    f"SELECT {COLUMNS} FROM lines WHERE user = ? AND user <> '' ORDER BY {ORDER} LIMIT {MOST_LINES}"
)
VISITORS = (
    "SELECT visitor FROM lines WHERE user = ? AND user <> '' AND visitor <> '' "
    "GROUP BY visitor ORDER BY max(at_ms) DESC, visitor LIMIT 16"
)
ANONYMOUS = (
    f"SELECT {COLUMNS} FROM lines WHERE visitor = ? AND visitor <> '' AND user = '' "
    f"ORDER BY {ORDER} LIMIT {MOST_LINES}"
)
WITHHELD = "SELECT 1 FROM lines WHERE {who} AND NOT purposes & ? LIMIT 1"
TOO_MANY = (
    "DELETE FROM lines WHERE (key, line) IN (SELECT key, line FROM lines WHERE {who} "
    f"ORDER BY {ORDER} LIMIT -1 OFFSET {MOST_LINES})"
)


class SqliteProfiles:
    """The profiles of one folder, to read."""

    def __init__(self, folder: Path, people: People) -> None:
        self._path = folder / FILE
        self.people = people
        self._mine = local()

    @property
    def upto(self) -> int:
        """The number of the newest act that the profiles show; 0 where they cannot be read."""
        try:
            return int(self._about()[1])
        except (sqlite3.Error, OSError):
            return 0

    @property
    def log(self) -> str:
        """The id of the log that the acts come from."""
        return str(self._about()[0])

    def lines(self, users: Sequence[str], visitors: Sequence[str]) -> list[ProfileLine]:
        """Return the lines of a shopper's recent acts, oldest first, at most MOST_LINES.

        Nothing where the file cannot be read: an answer is better without them than not given.
        """
        try:
            return self._lines(users, visitors)
        except (sqlite3.Error, OSError):
            logger.exception("%s cannot be read; shoppers are answered without it", self._path)
            return []

    def withholds(self, purpose: Purpose, users: Sequence[str], visitors: Sequence[str]) -> bool:
        """Tell whether a recent act may not serve a purpose; True where the file cannot be read."""
        try:
            return self._withholds(1 << PURPOSES.index(purpose), users, visitors)
        except (sqlite3.Error, OSError):
            logger.exception("%s cannot be read; nobody is taken to have consented", self._path)
            return True

    def _withholds(self, bit: int, users: Sequence[str], visitors: Sequence[str]) -> bool:
        read = self._connection().execute
        browsers = [name for user in users for (name,) in read(VISITORS, (user,))]
        of = {
            "user = ? AND user <> ''": users,
            "visitor = ? AND visitor <> ''": visitors,
            "visitor = ? AND visitor <> '' AND user = ''": browsers,
        }
        return any(
            read(WITHHELD.format(who=who), (name, bit)).fetchall()
            for who, names in of.items()
            for name in names
        )

    def _lines(self, users: Sequence[str], visitors: Sequence[str]) -> list[ProfileLine]:
        rows: list[Any] = []
        browsers = dict.fromkeys(visitors)
        read = self._connection().execute
        for user in users:
            rows += read(OWN, (user,))
            browsers |= dict.fromkeys(name for (name,) in read(VISITORS, (user,)))
        for name in browsers:
            acts = read(ANONYMOUS, (name,)).fetchall()
            logins = read(LOGINS, (name, acts[-1][0])).fetchall() if acts else []
            for act in acts:
                owner = _next_user(logins, act[0])
                if name in visitors if owner is None else owner in users:
                    rows.append(act)
        rows.sort(key=lambda row: (row[0], row[10], row[11]))
        return [_line(row) for row in rows[-MOST_LINES:]]

    def close(self) -> None:
        """Close what this thread has opened; those of other threads end with them."""
        connection = getattr(self._mine, "connection", None)
        if connection is not None:
            connection.close()
            del self._mine.connection, self._mine.inode

    def _about(self) -> tuple[str, int]:
        [about] = self._connection().execute("SELECT log, upto FROM about").fetchall()
        return about  # type: ignore[no-any-return]

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection to the file that is there now; it may be a new one."""
        inode = self._path.stat().st_ino
        if getattr(self._mine, "inode", None) != inode:
            self.close()
            self._mine.connection, self._mine.inode = _connect(self._path), inode
        connection: sqlite3.Connection = self._mine.connection
        return connection


class ProfileWriter:
    """Writes the profiles of one folder; called by the thread that writes the log."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._open: sqlite3.Connection | None = None
        self._inode = 0  # of the open file

    def catch_up(self) -> None:
        """Apply the acts of the log that the profiles lack; begin anew beside another log.

        Profiles are made from the log alone: a file that cannot be read is made again.
        """
        folder = self._path.parent
        log, last = identity(folder)
        try:
            upto = self._begin(log)
        except sqlite3.DatabaseError:
            self._remove()
            upto = self._begin(log)
        self._open = _connect(self._path, shared=True)
        self._inode = self._path.stat().st_ino
        for part in in_parts(replay(folder, upto, last)):
            self._apply(self._open, part)

    def apply(self, logged: Sequence[LoggedAct]) -> None:
        """Show these acts from here on, which are in the log; lost profiles are made again."""
        if self._open is not None and is_in_place(self._path, self._inode):
            self._apply(self._open, logged)
            return
        self.close()
        self._remove()
        self.catch_up()

    def _remove(self) -> None:
        for path in self._path.parent.glob(f"{FILE}*"):
            path.unlink()

    def _apply(self, open_file: sqlite3.Connection, logged: Sequence[LoggedAct]) -> None:
        rows = [row for one in logged for row in _rows(one)]
        users = {(row[2],) for row in rows if row[2]}
        visitors = {(row[3],) for row in rows if row[3] and not row[2]}
        with _transaction(open_file) as connection:
            marks = ", ".join("?" * 12)
            connection.executemany(f"INSERT OR IGNORE INTO lines VALUES ({marks})", rows)
            connection.executemany(TOO_MANY.format(who="user = ? AND user <> ''"), users)
            connection.executemany(
                TOO_MANY.format(who="visitor = ? AND visitor <> '' AND user = ''"), visitors
            )
            connection.execute("UPDATE about SET upto = ?", (logged[-1].sequence,))

    def uses(self, name: str, purpose: Purpose, after: datetime | None, upto: datetime) -> bool:
        """Tell whether acts of a person serve a purpose after one moment and up to another."""
        who = "visitor" if name.startswith(VISITOR) else "user"
        assert self._open is not None, "catch_up comes first"
        rows = self._open.execute(
            f"SELECT 1 FROM lines WHERE {who} = ? AND {who} <> '' AND at_ms > ? AND at_ms <= ? "
            "AND purposes & ? LIMIT 1",
            (
                name.removeprefix(VISITOR),
                -1 if after is None else _milliseconds(after),
                _milliseconds(upto),
                1 << PURPOSES.index(purpose),
            ),
        )
        return bool(rows.fetchall())

    def close(self) -> None:
        """Close the file."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _begin(self, log: str) -> int:
        """Make the tables where there are none; return up to which act of the log they are."""
        with closing(_connect(self._path)) as connection:
            connection.executescript(SCHEMA)
            with _transaction(connection):
                about = connection.execute("SELECT log, upto FROM about").fetchall()
                if not about or about[0][0] != log:
                    connection.execute("DELETE FROM lines")
                    connection.execute("DELETE FROM about")
                    connection.execute("INSERT INTO about VALUES (?, 0)", (log,))
                    about = [(log, 0)]
        return int(about[0][1])


def forget_lines(folder: Path, before: datetime) -> None:
    """Remove the acts before a moment from the profiles of a folder."""
    with closing(_connect(folder / FILE)) as connection:
        connection.execute("DELETE FROM lines WHERE at_ms < ?", (_milliseconds(before),))


def _rows(logged: LoggedAct) -> Iterator[tuple[Any, ...]]:
    """Yield the lines of an act that may be used for search or recommendation.

    What was only shown is none: nothing reads it, and it would push out what was bought. What a
    robot did is none, either.
    """
    kept = logged.kept
    act, purposes = kept.act, _bits(kept)
    if not purposes or kept.robot or act.at is None or act.type is EventType.IMPRESSION:
        return
    about = (act.user or "", act.visitor or "", _milliseconds(act.at), str(act.type))
    rest = (kept.visit, act.text, purposes, logged.sequence)
    if not act.lines:
        yield kept.key, 0, *about, "", 1.0, *rest
    for place, line in enumerate(act.lines):
        yield kept.key, place, *about, line.product, line.quantity, *rest


def _next_user(logins: list[tuple[int, str]], at_ms: int) -> str | None:
    """Return the first user who logged in at a moment or later."""
    place = bisect_left(logins, at_ms, key=lambda login: login[0])
    return logins[place][1] if place < len(logins) else None


def _bits(kept: KeptAct) -> int:
    """Return the purposes as a number; 0 where there is none that profiles serve."""
    if not {"search", "recommend"} & set(kept.purposes):
        return 0
    return sum(1 << PURPOSES.index(one) for one in kept.purposes)


def _line(row: Any) -> ProfileLine:
    at_ms, kind, product, quantity, visit, text, bits, sequence, user, visitor, *_ = row
    purposes = frozenset(one for i, one in enumerate(PURPOSES) if bits >> i & 1)
    person = user or visitor_name(visitor)
    return ProfileLine(
        at_ms, EventType(kind), product, quantity, visit, text, purposes, sequence, person
    )


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _connect(path: Path, *, shared: bool = False) -> sqlite3.Connection:
    """Open a file; `shared`: threads use it one after the other."""
    connection = sqlite3.connect(
        path, timeout=30, isolation_level=None, check_same_thread=not shared
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # what a crash takes is read from the log
    return connection
