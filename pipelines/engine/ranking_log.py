"""The ranking log: each ranked request as a line of JSON, enough to rank it again and compare."""

import base64
import re
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from time import monotonic
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32
from msgspec import Meta

from pipelines.errors import UserError
from retrieval import Query

QUEUED = 256  # lines; more are dropped, so that no answer waits
FILE_BYTES = 64_000_000
MOST_FILES = 8  # the oldest are removed
MOST_LINE_BYTES = 8_000_000
PATTERN = "ranked-*.jsonl"
OURS = re.compile(r"ranked-(\d{6,18})\.jsonl", re.ASCII)
CLOSING_SECONDS = 10.0  # that a server which stops waits for a disk


class LoggedRanking(NamedTuple):
    """One request as it was ranked."""

    release: str
    query: Query
    at_seconds: int
    ids: list[str]  # of the candidates, as retrieval ordered them
    features: Float32[np.ndarray, "c f"]
    logits: Float32[np.ndarray, "c"]


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a ranking lies in the file; numbers are little-endian float32 in base64."""

    release: str
    query: Query
    at_seconds: int
    ids: Annotated[tuple[str, ...], Meta(max_length=1_000)]
    features: bytes
    logits: bytes


class RankLog:
    """Writes rankings in a thread of its own; no answer waits for it."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise UserError(f"serve.log={str(folder)!r} cannot be written: {e.strerror}") from None
        self.dropped = 0
        self._folder = folder
        self._queue: Queue[LoggedRanking | None] = Queue(QUEUED)
        self._thread = Thread(target=self._write, name="rank log", daemon=True)
        self._thread.start()

    def put(self, ranking: LoggedRanking) -> None:
        """Take a ranking, or count it as dropped where too many wait."""
        try:
            self._queue.put_nowait(ranking)
        except Full:
            self.dropped += 1

    def close(self) -> None:
        """Write the queued rankings and end; where the disk hangs, they are dropped."""
        end = monotonic() + CLOSING_SECONDS
        try:
            self._queue.put(None, timeout=CLOSING_SECONDS)
            self._thread.join(max(end - monotonic(), 0))
        except Full:
            pass
        if self._thread.is_alive():
            self.dropped += self._queue.qsize()

    def _write(self) -> None:
        while (ranking := self._queue.get()) is not None:
            try:
                with self._file().open("ab") as file:
                    file.write(encode(ranking) + b"\n")
            except OSError:  # a full disk must not stop the shop
                self.dropped += 1

    def _file(self) -> Path:
        """Return the file to go on with; a full one is followed by the next."""
        files = files_of(self._folder)
        if files and files[-1].stat().st_size < FILE_BYTES:
            return files[-1]
        for old in files[: max(len(files) - MOST_FILES + 1, 0)]:
            old.unlink(missing_ok=True)
        number = 1 + (_number(files[-1]) if files else 0)
        return self._folder / f"ranked-{number:06d}.jsonl"


def files_of(folder: Path) -> list[Path]:
    """Return the files of a log in the order they were written; others in the folder are not."""
    return sorted((file for file in folder.glob(PATTERN) if OURS.fullmatch(file.name)), key=_number)


def _number(file: Path) -> int:
    return int(file.stem.removeprefix("ranked-"))


def encode(ranking: LoggedRanking) -> bytes:
    """Return a ranking as one line."""
    line = Line(
        release=ranking.release,
        query=msgspec.structs.replace(ranking.query, candidates=None),
        at_seconds=ranking.at_seconds,
        ids=tuple(ranking.ids),
        features=base64.b64encode(ranking.features.astype("<f4").tobytes()),
        logits=base64.b64encode(ranking.logits.astype("<f4").tobytes()),
    )
    return msgspec.json.encode(line)


def decode(line: bytes, where: str) -> LoggedRanking:
    """Read a line again; UserError where it is not one."""
    try:
        if len(line) > MOST_LINE_BYTES:
            raise ValueError(f"longer than {MOST_LINE_BYTES:,} bytes")
        record = msgspec.json.decode(line, type=Line)
        logits, features = (_floats(text) for text in (record.logits, record.features))
        if not record.ids or len(logits) != len(record.ids) or len(features) % len(record.ids):
            raise ValueError(
                f"{len(record.ids)} products, {len(logits)} logits and {len(features)} features"
            )
    except ValueError as e:  # msgspec's and base64's errors are such
        raise UserError(f"{where} is no line of a ranking log: {e}") from None
    table = features.reshape(len(record.ids), -1)
    return LoggedRanking(
        record.release, record.query, record.at_seconds, list(record.ids), table, logits
    )


def _floats(text: bytes) -> Float32[np.ndarray, "n"]:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
