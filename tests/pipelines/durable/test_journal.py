"""A journal of another kind than product changes: notes of bytes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipelines.durable.journal import Journal, Row, identity, replay


class NoteError(ValueError):
    """A journal of notes that cannot be used."""


class Notes:
    """Notes are bytes; an empty one is refused with a text."""

    file = "notes.sqlite"
    table = "notes"
    columns = "body BLOB NOT NULL"
    application_id = 7
    version = 1
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
