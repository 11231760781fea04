"""A journal of another kind than product changes: notes of bytes."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from pipelines.durable import journal as journal_module
from pipelines.durable.journal import Journal
from pipelines.durable.journal_file import Row, identity, replay


class NoteError(ValueError):
    """A journal of notes that cannot be used."""


class Notes:
    """Notes are bytes; an empty one is refused with a text."""

    file = "notes.sqlite"
    table = "notes"
    columns = "body BLOB NOT NULL"
    application_id = 7
    version = 1
    first = 1
    title = "log of notes"
    entry = "note"
    begin = "write one"
    full = "begin another"
    error: type[Exception] = NoteError
    refusal = str

    def check(self, item: bytes) -> str | None:
        return None if item else "is empty"

    def row(self, record: bytes) -> Row:
        return (record,)

    def number(self, sequence: int, record: bytes) -> tuple[int, bytes]:
        return sequence, record

    def read(self, sequence: int, row: Row) -> tuple[int, bytes]:
        [body] = row
        if not isinstance(body, bytes):
            raise ValueError("is not bytes")
        return sequence, body


def take(items: Sequence[bytes]) -> list[bytes | str]:
    return list(items)


@pytest.fixture
def seen() -> list[tuple[int, bytes]]:
    return []


@pytest.fixture
def notes(tmp_path: Path, seen: list[tuple[int, bytes]]) -> Iterator[Journal]:
    journal = Journal(tmp_path / "log", Notes(), prepare=take, apply=seen.extend)
    yield journal
    journal.close()


def test_a_journal_numbers_stores_and_shows_what_it_is_given(
    notes: Journal, seen: list[tuple[int, bytes]]
) -> None:
    outcomes = notes.append([b"a", b"", b"b"])

    assert outcomes == [1, "is empty", 2]
    assert list(notes.replay()) == seen == [(1, b"a"), (2, b"b")]
    assert identity(notes.folder, Notes()) == (notes.id, 2)


def test_messages_name_the_kind_of_journal(notes: Journal, tmp_path: Path) -> None:
    with pytest.raises(NoteError, match="another process takes notes here"):
        Journal(notes.folder, Notes(), prepare=take, apply=print)
    with pytest.raises(NoteError, match="holds no log of notes; write one"):
        list(replay(tmp_path, Notes()))


def test_a_journal_that_cannot_be_opened_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / Notes.file).write_bytes(b"not a database" * 400)
    with pytest.raises(NoteError, match="cannot be used as a log of notes"):
        Journal(tmp_path, Notes(), prepare=take, apply=print)
    (tmp_path / Notes.file).unlink()

    journal = Journal(tmp_path, Notes(), prepare=take, apply=lambda _: None)

    assert journal.append([b"a"]) == [1]
    journal.close()


def test_a_cancelled_append_is_not_written_and_ends_nothing(tmp_path: Path) -> None:
    begun, go = Event(), Event()
    journal = opened(tmp_path, prepare=waiting(begun, go))
    first = journal.submit([b"in work"])
    begun.wait(10)
    second, third = journal.submit([b"cancelled"]), journal.submit([b"waits"])

    cancelled = first.cancel(), second.cancel()
    go.set()

    assert cancelled == (False, True)  # what is being written can be taken back no longer
    assert (first.result(10), third.result(10), journal.append([b"later"])) == ([1], [2], [3])
    with pytest.raises(CancelledError):
        second.result(10)
    journal.close()
    assert [body for _, body in journal.replay()] == [b"in work", b"waits", b"later"]


def test_a_group_of_which_everything_was_cancelled_asks_nobody(tmp_path: Path) -> None:
    begun, go = Event(), Event()
    asked: list[int] = []
    journal = opened(tmp_path, prepare=waiting(begun, go, asked))
    first = journal.submit([b"in work"])
    begun.wait(10)
    journal.submit([b"cancelled"]).cancel()

    go.set()
    first.result(10)
    journal.close()

    assert asked == [1]


def test_after_a_change_that_is_written_but_not_applied_the_journal_is_closed_and_says_why(
    tmp_path: Path, seen: list[tuple[int, bytes]]
) -> None:
    def broken(_: Sequence[tuple[int, bytes]]) -> None:
        raise ValueError("no room in memory")

    journal = opened(tmp_path, apply=broken)
    journal.subscribe(take, seen.extend, after=0)

    with pytest.raises(NoteError, match=r"up to 1 are written, but were not applied.*no room"):
        journal.append([b"a"])
    with pytest.raises(NoteError, match=r"closed: notes up to 1.*start the server again"):
        journal.append([b"b"])
    journal.close()

    assert seen == list(journal.replay()) == [(1, b"a")]  # the other follower was told


def test_what_waits_when_the_journal_closes_by_itself_is_refused(tmp_path: Path) -> None:
    begun, go = Event(), Event()

    def broken(_: Sequence[tuple[int, bytes]]) -> None:
        begun.set()
        go.wait(10)
        raise ValueError("broken")

    journal = opened(tmp_path, apply=broken)
    first = journal.submit([b"a"])
    begun.wait(10)
    waiting = [journal.submit([b"b"]), journal.submit([b"c"])]
    go.set()

    for one in (first, *waiting):
        with pytest.raises(NoteError, match="broken"):
            one.result(10)
    journal.close()
    assert list(journal.replay()) == [(1, b"a")]


class Panic(BaseException):
    """As libraries in Rust raise: no Exception."""


@pytest.mark.parametrize("fault", [Panic("panicked"), SystemExit(1), StopIteration()])
def test_whatever_a_preparation_raises_reaches_who_waits_as_an_exception(
    tmp_path: Path, fault: BaseException
) -> None:
    def failing(items: Sequence[bytes]) -> list[bytes]:
        if items[0] == b"bad":
            raise fault
        return list(items)

    journal = opened(tmp_path, prepare=failing)

    error = journal.submit([b"bad"]).exception(10)

    assert isinstance(error, Exception)
    assert journal.append([b"good"]) == [1]
    journal.close()


@pytest.mark.parametrize("prepared", [[], [b"a", b"b", b"c"]])
def test_a_preparation_of_another_length_is_an_error(tmp_path: Path, prepared: list[bytes]) -> None:
    journal = opened(tmp_path, prepare=lambda _: prepared)

    with pytest.raises(ValueError, match=f"2 notes were prepared as {len(prepared)}"):
        journal.append([b"a", b"b"])
    journal.close()

    assert list(journal.replay()) == []


def test_a_writer_that_cannot_open_the_database_tells_it_to_everyone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path).close()

    def fails(folder: Path, form: Any) -> sqlite3.Connection:  # after the id was read
        raise NoteError("the disk is gone")

    monkeypatch.setattr(journal_module, "connect", fails)
    journal = opened(tmp_path)

    with pytest.raises(NoteError, match="the disk is gone"):
        journal.append([b"a"])
    journal.close()


def test_a_commit_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[sqlite3.Connection] = []
    settings: list[tuple[int, str]] = []
    real = journal_module.connect

    def noting(folder: Path, form: Any) -> sqlite3.Connection:
        connections.append(real(folder, form))
        return connections[-1]

    def ask(_: Sequence[tuple[int, bytes]]) -> None:  # called by the thread that writes
        writer = connections[-1]
        [[synchronous]] = writer.execute("PRAGMA synchronous").fetchall()
        [[mode]] = writer.execute("PRAGMA journal_mode").fetchall()
        settings.append((synchronous, mode))

    monkeypatch.setattr(journal_module, "connect", noting)
    journal = opened(tmp_path, apply=ask)
    journal.append([b"a"])
    journal.close()

    assert settings == [(2, "wal")]  # 2 is FULL: in WAL mode, NORMAL loses commits to a power cut


class CommitsInDoubt(sqlite3.Connection):
    """A connection whose commits happen and are reported as failures."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        cursor = super().execute(sql, *parameters)
        if sql == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return cursor


def test_where_it_is_in_doubt_what_was_written_nothing_more_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path).close()
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=CommitsInDoubt)
    )
    journal = opened(tmp_path)

    with pytest.raises(NoteError, match="were not written: disk I/O error"):
        journal.append([b"a"])
    with pytest.raises(NoteError, match="closed: it is in doubt which notes were written"):
        journal.append([b"b"])
    journal.close()


class FailsOnce(sqlite3.Connection):
    """A connection whose first commit fails, and leaves the transaction open."""

    failed = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and not FailsOnce.failed:
            FailsOnce.failed = True
            raise sqlite3.OperationalError("database or disk is full")
        return super().execute(sql, *parameters)


def test_a_commit_that_failed_for_certain_is_undone_and_more_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path).close()
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=FailsOnce))
    journal = opened(tmp_path)

    with pytest.raises(NoteError, match="disk is full"):
        journal.append([b"a"])
    numbers = journal.append([b"b"])
    journal.close()

    assert numbers == [1]
    assert list(journal.replay()) == [(1, b"b")]


def opened(
    folder: Path,
    prepare: Callable[[Sequence[bytes]], Sequence[bytes | str]] = take,
    apply: Callable[[Sequence[tuple[int, bytes]]], None] = lambda _: None,
) -> Journal:
    return Journal(folder, Notes(), prepare=prepare, apply=apply)


def waiting(
    begun: Event, go: Event, asked: list[int] | None = None
) -> Callable[[Sequence[bytes]], list[bytes]]:
    def prepare(items: Sequence[bytes]) -> list[bytes]:
        begun.set()
        go.wait(10)
        if asked is not None:
            asked.append(len(items))
        return list(items)

    return prepare
