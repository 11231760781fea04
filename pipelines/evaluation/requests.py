"""Reads files of requests, one JSON object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from index.lines import bounded_lines
from pipelines.config.loading import moment
from pipelines.config.sections import OFFLINE_DEADLINE_MS
from pipelines.engine.decoding import read_query
from pipelines.errors import RequestError, UserError, json_fault
from retrieval import Query

LONGEST_LINE = 16_000_000  # bytes: 100,000 candidates with the longest ids fit
DEPTH = 100  # products of an answer, unless the request says otherwise


class RunError(UserError):
    """Requests that cannot be read, or a run that cannot be written; names the file."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request, a line of the file. `image` is a path from the folder of that file."""

    id: Annotated[str, Meta(min_length=1, max_length=128)] | int
    text: str | None = None
    image: str | None = None
    liked: dict[str, float] | None = None
    disliked: dict[str, float] | None = None
    user: str | None = None
    at: str | None = None
    filter: str | None = None
    candidates: tuple[str, ...] | None = None
    k: int | None = None


def read_request(line: bytes | None) -> Request:
    """Return the request of one line, or RequestError; None stands for a line that is too long."""
    if line is None:
        raise RequestError("line", f"is longer than {LONGEST_LINE:,} bytes")
    try:
        return msgspec.json.decode(line, type=Request)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise RequestError(
            "line",
            f"{json_fault(line, e)}; expected one JSON object with some of "
            f"{', '.join(Request.__struct_fields__)}",
        ) from None


def to_query(request: Request, folder: Path) -> Query:
    """Return what the engine is asked, under the same rules as over HTTP."""
    said = {
        "text": request.text,
        "image": None if request.image is None else _picture(folder, request.image),
        "liked": request.liked,
        "disliked": request.disliked,
        "user": request.user,
        "scene": None if request.at is None else {"at": moment(request.at)},
        "filter": request.filter,
        "candidates": request.candidates,
        "k": DEPTH if request.k is None else request.k,
        "deadline_ms": OFFLINE_DEADLINE_MS,
    }
    known = {name: value for name, value in said.items() if value is not None}
    return read_query(msgspec.json.encode(known))


def _picture(folder: Path, name: str) -> bytes:
    if not name or "\0" in name:
        raise RequestError("image", f"{name!r} is not the path of a picture")
    return read_picture(folder / name)


def request_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines that say something, with their number; None where one is too long."""
    try:
        with path.open("rb") as file:
            for number, line in bounded_lines(file, LONGEST_LINE):
                if line is None or line.strip():
                    yield number, line
    except OSError as e:
        raise RunError(
            f"{path}: {e.strerror}; expected a file of one JSON request a line"
        ) from None


LARGEST_PICTURE = 10_000_000  # bytes


def read_picture(path: Path) -> bytes:
    """Read a query picture of at most 10 MB."""
    try:
        size = path.stat().st_size
        if not path.is_file() or size > LARGEST_PICTURE:
            raise RequestError(
                "image", f"{path} is no file of at most {LARGEST_PICTURE:,} bytes, but {size:,}"
            )
        return path.read_bytes()
    except OSError as e:
        raise RequestError("image", f"{path}: {e.strerror}") from None
