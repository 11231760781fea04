"""The SQLite file of a journal: begun once, written by its writer, read while others may write."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from pipelines.durable.files import flush

READ_AT_ONCE = 1_000

Row = tuple[bytes | str | None, ...]  # what is stored beside the number, in the order of `columns`
Item = TypeVar("Item")  # what is submitted
Record = TypeVar("Record")  # what will be written for an item
Entry = TypeVar("Entry")  # a record with its number
Refusal = TypeVar("Refusal")  # why an item is not written
ItemIn = TypeVar("ItemIn", contravariant=True)
RecordIn = TypeVar("RecordIn", contravariant=True)
EntryOut = TypeVar("EntryOut", covariant=True)


class Format(Protocol[ItemIn, RecordIn, EntryOut, Refusal]):
    """What sets one kind of journal apart: its table, its words, and how records become bytes."""

    file: str  # inside the journal's folder
    table: str
    columns: str  # in SQL, without the number
    application_id: int  # so that nobody else's database is taken for this journal
    version: int
    first: int  # the number of the first entry
    title: str  # what the journal is called in messages, such as "log of changes"
    entry: str  # what one entry is called in messages
    begin: str  # how a journal is begun
    full: str  # what to do about one that has reached its bound
    error: type[Exception]  # what is raised, with a message that names the folder
    refusal: type[Refusal]

    def check(self, item: ItemIn) -> Refusal | None:
        """Return why an item cannot be written at all, before anyone prepares it."""
        ...

    def row(self, record: RecordIn) -> Row:
        """Return the columns of a record."""
        ...

    def number(self, sequence: int, record: RecordIn) -> EntryOut:
        """Return a record that was just written, with its number."""
        ...

    def read(self, sequence: int, row: Row) -> EntryOut:
        """Return an entry of the table; ValueError with the reason where it is damaged."""
        ...


def in_parts(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    """Yield entries by the thousand."""
    while part := list(islice(entries, READ_AT_ONCE)):
        yield part


def replay(
    folder: Path,
    form: Format[Item, Record, Entry, Refusal],
    after: int = 0,
    upto: int | None = None,
) -> Iterator[Entry]:
    """Yield the entries above `after` and at most `upto`, in order, while others may write."""
    _check(folder, form)
    with closing(connect(folder, form)) as connection:
        try:
            rows = connection.execute(
                f"SELECT * FROM {form.table} WHERE sequence > ? AND sequence <= ? "
                "ORDER BY sequence",
                (after, 2**62 if upto is None else upto),
            )
            while part := rows.fetchmany(READ_AT_ONCE):
                for sequence, *row in part:
                    yield _read(folder, form, sequence, tuple(row))
        except sqlite3.Error as e:
            raise _unfit(folder, form, e) from None


def identity(folder: Path, form: Format[Item, Record, Entry, Refusal]) -> tuple[str, int]:
    """Return a journal's id and the number of its newest entry; an error where there is none."""
    _check(folder, form)
    with closing(connect(folder, form)) as connection:
        try:
            [[name]] = connection.execute("SELECT id FROM about").fetchall()
            return str(name), last_number(connection, form.table)
        except (sqlite3.Error, ValueError) as e:
            raise _unfit(folder, form, e) from None


def _read(
    folder: Path, form: Format[Item, Record, Entry, Refusal], sequence: int, row: Row
) -> Entry:
    try:
        return form.read(sequence, row)
    except ValueError as e:
        raise form.error(f"{folder}: {form.entry} {sequence} {e}; the log is damaged") from None


def _check(folder: Path, form: Format[Item, Record, Entry, Refusal]) -> None:
    if not (folder / form.file).is_file():
        raise form.error(f"{folder} holds no {form.title}; {form.begin}")


def last_number(connection: sqlite3.Connection, table: str) -> int:
    """Return the number of the newest entry of a table, or the one below the first."""
    rows = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchall()
    return int(rows[0][0]) if rows else 0


def begin(folder: Path, form: Format[Item, Record, Entry, Refusal]) -> None:
    """Make the tables of a new journal in one transaction; leave one that is there as it is."""
    with closing(connect(folder, form)) as connection:
        try:
            [[application]] = connection.execute("PRAGMA application_id")
            [[version]] = connection.execute("PRAGMA user_version")
            if (application, version) == (form.application_id, form.version):
                return
            [[tables]] = connection.execute("SELECT count(*) FROM sqlite_master")
            if tables or application or version:
                raise form.error(
                    f"{folder / form.file} is not a {form.title} of format {form.version}; "
                    "choose another folder"
                )
            connection.executescript(_script(form))
        except sqlite3.Error as e:
            raise _unfit(folder, form, e) from None
    flush(folder)


def _script(form: Format[Item, Record, Entry, Refusal]) -> str:
    """Return the SQL of a new journal."""
    return (
        "BEGIN IMMEDIATE; "
        f"CREATE TABLE {form.table} (sequence INTEGER PRIMARY KEY AUTOINCREMENT, {form.columns}); "
        "CREATE TABLE about (id TEXT NOT NULL); "
        f"INSERT INTO about VALUES ('{secrets.token_hex(16)}'); "
        f"INSERT INTO sqlite_sequence VALUES ('{form.table}', {form.first - 1}); "
        f"PRAGMA application_id = {form.application_id}; "
        f"PRAGMA user_version = {form.version}; COMMIT;"
    )


def connect(folder: Path, form: Format[Item, Record, Entry, Refusal]) -> sqlite3.Connection:
    """Open the database of a journal, or make an empty one; an error where it cannot be used."""
    connection = sqlite3.connect(folder / form.file, timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit waits for the disk
    except sqlite3.Error as e:
        connection.close()
        raise _unfit(folder, form, e) from None
    return connection


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how many bytes a database uses, without the pages that it would fill again."""
    [[pages]] = connection.execute("PRAGMA page_count")
    [[free]] = connection.execute("PRAGMA freelist_count")
    [[size]] = connection.execute("PRAGMA page_size")
    return int((pages - free) * size)


def _unfit(folder: Path, form: Format[Item, Record, Entry, Refusal], error: Exception) -> Exception:
    return form.error(f"{folder / form.file} cannot be used as a {form.title}: {error}")
