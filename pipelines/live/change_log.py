"""The durable log of product changes: what is stored of a change, and how it is encoded."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from pipelines.durable import journal_file
from pipelines.durable.journal import MOST_BYTES, Journal
from pipelines.durable.journal_file import Row
from pipelines.errors import UserError
from pipelines.live.changes import (
    LARGEST_CHANGE,
    Change,
    RejectedChange,
    logged_change,
    too_large,
    written,
)


class LiveError(UserError):
    """A log of changes that cannot be used; names its folder."""


class Encoded(NamedTuple):
    """A change that may be written, with the vector of its text where it brings a new one."""

    change: Change
    vector: Float32[np.ndarray, "t"] | None = None
    encoder: str = ""  # fingerprint of what made the vector


class Logged(NamedTuple):
    """A change as it lies in the log."""

    sequence: int
    change: Change
    vector: Float32[np.ndarray, "t"] | None
    encoder: str


Outcome = int | RejectedChange  # its sequence number, or why it was not taken
Prepare = Callable[[Sequence[Change]], Sequence[Encoded | RejectedChange]]
Apply = Callable[[Sequence[Logged]], None]


class ChangeFormat:
    """The format of a journal of product changes."""

    file = "changes.sqlite"
    table = "changes"
    columns = "body BLOB NOT NULL, vector BLOB, encoder TEXT NOT NULL"
    application_id = 0x56_4C_4F_47  # "VLOG"
    version = 1
    first = 1
    title = "log of changes"
    entry = "change"
    begin = "`vetrina serve --live` begins one"
    full = (
        "import the shop anew from a source that has them, and begin a new log for those that come"
    )
    error: type[Exception] = LiveError
    refusal = RejectedChange

    def check(self, item: Change) -> RejectedChange | None:
        """Refuse a change that is too large."""
        size = len(written(item))
        return too_large(size) if size > LARGEST_CHANGE else None

    def row(self, record: Encoded) -> Row:
        """Return the change as JSON, its vector as 32-bit floats, and the encoder's name."""
        return written(record.change), _blob(record.vector), record.encoder

    def number(self, sequence: int, record: Encoded) -> Logged:
        """Return a change with its number."""
        return Logged(sequence, *record)

    def read(self, sequence: int, row: Row) -> Logged:
        """Return the change of a row; ValueError with the reason where it is none."""
        match row:
            case (bytes(body), bytes() | None as vector, str(encoder)):
                change = logged_change(body)
            case _:
                raise ValueError("has columns of other types")
        if isinstance(change, RejectedChange):
            raise ValueError(change.message)
        return Logged(sequence, change, _array(vector), encoder)


CHANGES = ChangeFormat()
FILE = CHANGES.file
ChangeLog = Journal[Change, Encoded, Logged, RejectedChange]


def open_change_log(
    folder: Path,
    *,
    prepare: Prepare | None = None,
    apply: Apply | None = None,
    most_bytes: int = MOST_BYTES,
) -> ChangeLog:
    """Open the log of a folder to write, or begin one; LiveError where another process does.

    `prepare` decides which changes are taken, before they are written; `apply` is called with
    those that were, before `append` returns. By default every change is taken, without a vector.
    """
    return Journal(
        folder,
        CHANGES,
        prepare=prepare or accept_all,
        apply=apply or ignore,
        most_bytes=most_bytes,
    )


def accept_all(changes: Sequence[Change]) -> Sequence[Encoded | RejectedChange]:
    """Accept every change, without a vector."""
    return [Encoded(change) for change in changes]


def ignore(_: Sequence[Logged]) -> None:
    """Ignore what was written."""


def replay(folder: Path, after: int = 0, upto: int | None = None) -> Iterator[Logged]:
    """Yield the changes above `after` and at most `upto`, in order, while others may write."""
    return journal_file.replay(folder, CHANGES, after, upto)


def identity(folder: Path) -> tuple[str, int]:
    """Return the id of a log and the number of its newest change; LiveError where there is none."""
    return journal_file.identity(folder, CHANGES)


def _blob(vector: Float32[np.ndarray, "t"] | None) -> bytes | None:
    return None if vector is None else vector.astype("<f4").tobytes()


def _array(blob: bytes | None) -> Float32[np.ndarray, "t"] | None:
    return None if blob is None else np.frombuffer(blob, "<f4").astype(np.float32)
