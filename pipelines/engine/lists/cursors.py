"""Cursors: the place where a list goes on, with the release and the request it belongs to."""

import base64
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import msgspec
import xxhash
from msgspec import Meta

from pipelines.config.place import ShopPlace
from pipelines.errors import RequestError, StaleCursor
from retrieval import Query, Stage
from retrieval.types import local_seconds

BEGIN = "*"
LAST_SECOND = 7_258_118_400  # 2200
DIGEST_BYTES = 4


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a list goes on, and what decides its order beside the request."""

    release: Annotated[str, Meta(max_length=200)]
    request: Annotated[str, Meta(max_length=32)]  # a digest
    sequence: Annotated[int, Meta(ge=0, lt=2**62)]  # of the newest change when it began
    at_seconds: Annotated[int, Meta(ge=0, lt=LAST_SECOND)]  # the moment of the first page
    stage: Stage  # that answered the first page
    offset: Annotated[int, Meta(ge=0, lt=2**62)]


class Key(NamedTuple):
    """What decides the order of a list, among the products as they are."""

    request: str
    at: datetime | None
    stage: Stage


class PageRequest(NamedTuple):
    """One page of a list: what is asked for, and from where."""

    query: Query  # with the moment of the first page
    stage: Stage  # how far to go
    offset: int
    request: str
    began: int | None  # the newest change when the list began; None: it begins now

    @property
    def goes_on(self) -> bool:
        """Whether there was a page before this one."""
        return self.began is not None

    def key(self, stage: Stage) -> Key:
        """Return what a list that was answered by this stage is remembered by."""
        return Key(self.request, self.query.scene.at, stage)

    def is_stale(self, sequence: int) -> bool:
        """Tell whether products have changed since the list began."""
        return self.goes_on and self.began != sequence

    def refuse_another(self, stage: Stage) -> None:
        """Refuse to go on by another order than the list began with."""
        if self.goes_on and stage is not self.stage:
            raise StaleCursor(
                "cursor",
                f"is of a list by {self.stage}, and now only {stage} answers; begin it again "
                f"with {BEGIN!r}",
            )

    def next(self, total: int, stage: Stage, release: str, sequence: int) -> str:
        """Return the cursor of the page behind this one; "" where the list ends."""
        offset, at = self.offset + self.query.k, self.query.scene.at
        if offset >= total or at is None:
            return ""
        began = sequence if self.began is None else self.began
        return encoded(Cursor(release, self.request, began, local_seconds(at), stage, offset))


def page_request(query: Query, stage: Stage, release: str, place: ShopPlace) -> PageRequest:
    """Return the page that a request asks for, or RequestError for a cursor that is not its own."""
    request = digest(query, stage)
    if query.cursor in ("", BEGIN):
        at = query.scene.at or place.now()
        return PageRequest(_at_moment(query, at), stage, 0, request, None)
    cursor = decoded(query.cursor)
    if cursor.release != release:
        raise StaleCursor(
            "cursor",
            f"is of release {cursor.release!r}, and this is {release!r}; begin the list again "
            f"with {BEGIN!r}",
        )
    if cursor.request != request:
        raise RequestError(
            "cursor",
            "is of another request; send the one that it was given to, in which only k, facets, "
            f"explain and deadline_ms may differ, or begin again with {BEGIN!r}",
        )
    at = query.scene.at or datetime.fromtimestamp(cursor.at_seconds, UTC).replace(tzinfo=None)
    return PageRequest(_at_moment(query, at), cursor.stage, cursor.offset, request, cursor.sequence)


def digest(query: Query, stage: Stage) -> str:
    """Return what tells one list from another: all of a request but how it is shown."""
    plain = msgspec.structs.replace(query, k=1, deadline_ms=1, explain=False, cursor="", facets=())
    content = msgspec.json.encode((plain, stage), order="deterministic")
    return xxhash.xxh3_64_hexdigest(content)


def encoded(cursor: Cursor) -> str:
    """Return a cursor as the text that a request sends back."""
    content = msgspec.msgpack.encode(cursor)
    return base64.urlsafe_b64encode(_checksum(content) + content).decode().rstrip("=")


def decoded(text: str) -> Cursor:
    """Return the cursor of a text, or RequestError."""
    try:
        padded = text + "=" * (-len(text) % 4)
        content = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        if _checksum(content[DIGEST_BYTES:]) != content[:DIGEST_BYTES]:
            raise _unreadable()
        return msgspec.msgpack.decode(content[DIGEST_BYTES:], type=Cursor)
    except (ValueError, RecursionError):
        raise _unreadable() from None


def _checksum(content: bytes) -> bytes:
    """Guard against damage; who forges a cursor reaches nothing that a request does not."""
    return xxhash.xxh32_digest(content)


def _unreadable() -> RequestError:
    return RequestError(
        "cursor", f"cannot be read; send one as it was given, or {BEGIN!r} to begin a list"
    )


def _at_moment(query: Query, at: datetime) -> Query:
    return msgspec.structs.replace(query, scene=msgspec.structs.replace(query.scene, at=at))
