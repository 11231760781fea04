"""Checks a request before it is routed: its Host, its bytes, HEAD, and the time its body takes."""

import asyncio
from collections.abc import Awaitable, Mapping
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from litestar.types import ASGIApp, Message, Receive, Send

from pipelines.config.sections import ServeConfig
from pipelines.serving.admission import DEADLINE_HEADER, AdmissionControl, Arrival, Overloaded
from pipelines.serving.bodies.bodies import NOT_UTF8, Failure, FailureBody
from pipelines.serving.error_responses import body_too_slow, too_many_bodies

PAUSE_SECONDS = 10.0  # between two parts of a body
BODY_SECONDS = 120.0  # for a whole body
MOST_HELD_BYTES = 256_000_000  # of all bodies that are in memory at the same time
TOLD = ("/v1/clicks/",)  # a GET there counts, and HEAD asks for nothing to happen
OPEN_TO_ALL = ("/healthz", "/readyz")  # a probe may call them by any name
DEADLINE_NAME = DEADLINE_HEADER.encode()
T = TypeVar("T")


class RequestGuard:
    """The outermost part of the application."""

    def __init__(
        self,
        app: ASGIApp,
        config: ServeConfig,
        admission: AdmissionControl,
        queries: Mapping[str, str],
    ) -> None:
        """Pass requests on to `app`; `queries` has the paths of answers, and the kind of each."""
        self._app = app
        self._admission = admission
        self._queries = queries
        self._checks_host = bool(config.live)
        self._hosts = {"localhost", config.host.lower(), *(name.lower() for name in config.hosts)}
        self._held_bytes = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer what cannot be routed, and pass on everything else."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif failure := self._failure(scope):
            await _fail(send, failure)
        elif refusal := self._refusal(scope):
            failure = Failure(message=str(refusal), status=429)
            await _fail(send, failure, retry_seconds=refusal.retry_seconds)
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD" and not scope["path"].startswith(TOLD):
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        body = _Body(self, receive)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._held_bytes -= body.size

    def hold(self, size: int) -> None:
        """Count bytes of a body; a 429 where all bodies together have too many."""
        if self._held_bytes + size > MOST_HELD_BYTES:
            raise too_many_bodies()
        self._held_bytes += size

    def _failure(self, scope: Any) -> Failure | None:
        if not _is_utf8(scope["query_string"]):
            return Failure(field="query", message=NOT_UTF8, status=400)
        if self._checks_host and _is_local(scope) and scope["path"] not in OPEN_TO_ALL:
            return self._host_failure(scope)
        return None

    def _refusal(self, scope: Any) -> Overloaded | None:
        """Return why a query cannot be answered in time; routing it would cost more."""
        kind = self._queries.get(scope["path"])
        if kind is None or scope["method"] != "POST":
            return None
        given = (value for name, value in scope["headers"] if name == DEADLINE_NAME)
        deadline = next(given, b"")
        known = int(deadline) if deadline.isdigit() and len(deadline) < 6 else None
        return self._admission.refusal(Arrival(kind, known))

    def _host_failure(self, scope: Any) -> Failure | None:
        """Refuse names that are not ours: a web page can point its own name at this machine."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""
        name = _host_name(host)
        if name in self._hosts or _is_address(name):
            return None
        message = (
            f"is {host[:80]!r}, no name of this server; call it localhost, or start it with "
            f"serve.hosts=[{name[:80]}]"
        )
        return Failure(field="host", message=message, status=403)


class _Body:
    """The body of one request as it arrives: within its time, and counted."""

    def __init__(self, guard: RequestGuard, receive: Receive) -> None:
        self._guard, self._receive = guard, receive
        self._end: float | None = None
        self._whole = False
        self.size = 0

    async def receive(self) -> Any:
        """Return the next part of the body; once it is whole, what comes after it."""
        if self._whole:
            return await self._receive()
        message: Any = await self._in_time(self._receive())
        part = message.get("body", b"")
        self._guard.hold(len(part))
        self.size += len(part)
        self._whole = not message.get("more_body", False)
        return message

    async def _in_time(self, message: Awaitable[T]) -> T:
        now = asyncio.get_running_loop().time()
        if self._end is None:
            self._end = now + BODY_SECONDS
        try:
            async with asyncio.timeout_at(min(now + PAUSE_SECONDS, self._end)):
                return await message
        except TimeoutError:
            raise body_too_slow() from None


def _without_body(send: Send) -> Send:
    """Return what sends only the head of an answer, as HEAD wants it."""

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


async def _fail(send: Send, failure: Failure, retry_seconds: int = 0) -> None:
    body = msgspec.json.encode(FailureBody(error=failure))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if retry_seconds:
        headers.append((b"retry-after", str(retry_seconds).encode()))
    await send({"type": "http.response.start", "status": failure.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _is_utf8(escaped: bytes) -> bool:
    try:
        unquote_to_bytes(escaped).decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_local(scope: Any) -> bool:
    """Return whether the connection came to an address of this machine alone."""
    address = (scope.get("server") or ("",))[0]
    return _is_address(address) and ip_address(address).is_loopback


def _host_name(host: str) -> str:
    """Return the name or address of a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
