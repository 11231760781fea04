"""The one module that knows uvicorn: an HTTP server whose connections cannot wait for ever."""

import asyncio
import contextlib
import socket
from asyncio import TimerHandle
from collections.abc import Iterator
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from pipelines.serving.bodies.bodies import Failure, FailureBody
from pipelines.serving.connections.head_lines import HeadLines
from pipelines.serving.connections.listening import refuse_connections
from pipelines.serving.connections.open_files import most_connections, raise_file_limit

HEAD_SECONDS = 10.0  # for the head of a request, from its first byte or the connection's opening
HEAD_BYTES = 65_536
IDLE_SECONDS = 75.0  # of a connection between requests; proxies keep theirs for 60
REST_SECONDS = 5.0  # for the rest of a body that was answered before its end
UNREAD_SECONDS = 30.0  # that a client may read nothing of an answer
MOST_CONNECTIONS = 4_096  # of one process
BACKLOG = 4_096  # connections that wait to be accepted
LAST_SECONDS = 0.5  # that an idle connection is open when the port is closed: a request may come
END_SECONDS = 2  # for the connections that are open when the port is closed


class HttpServer:
    """One HTTP server on a socket that is bound already, in the running event loop."""

    def __init__(self, app: Any) -> None:
        config = uvicorn.Config(
            app,
            http=LimitedProtocol,
            ws="none",
            lifespan="on",
            loop="none",
            backlog=1,  # so that one process does not accept all that wait at once
            timeout_keep_alive=int(IDLE_SECONDS),
            timeout_graceful_shutdown=END_SECONDS,
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
        )
        self._server = _Server(config)
        self._listener: socket.socket | None = None

    async def serve(self, listener: socket.socket) -> None:
        """Answer on a socket until `stop`, then end its connections within END_SECONDS."""
        raise_file_limit(MOST_CONNECTIONS)
        self._listener = listener
        await self._server.serve(sockets=[listener])

    async def listening(self) -> None:
        """Wait until connections are accepted."""
        while not self._server.started:
            await asyncio.sleep(0.01)

    def refuse_connections(self) -> None:
        """Let no new connection be made, in any process that listens on the socket."""
        if self._listener is not None:
            refuse_connections(self._listener)

    def stop(self) -> None:
        """Accept no more connections, let the answers in progress end, and return from `serve`."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us, and lets many connections wait."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals as they are."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with room for BACKLOG connections that wait."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)


class LimitedProtocol(HttpToolsProtocol):
    """One connection, with a time limit on all that its client may keep waiting for.

    The body of a request is limited by `RequestGuard`, because an answer to it is ours.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; beyond the most, the one that has been idle longest is closed."""
        super().connection_made(transport)
        self._in_head = True  # the head of the next request is not whole yet
        self._head_bytes = 0
        self._lines = HeadLines()
        self._head_begun = False
        self._heads = 0  # that were whole
        self._ending = False  # answered, and the rest of the body is thrown away
        self._last = False  # the port is closed: the next answer is the last one
        self._timer: TimerHandle | None = None
        self._unread: TimerHandle | None = None
        self.idle_since = self.loop.time()
        self._limit(HEAD_SECONDS)
        if len(self.connections) > most_connections(MOST_CONNECTIONS):
            make_room([one for one in self.connections if isinstance(one, LimitedProtocol)])

    def connection_lost(self, exc: Exception | None) -> None:
        """End what waits for this connection."""
        self._limit(None)
        self.resume_writing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, whose head may have HEAD_BYTES."""
        if self._ending:
            return
        before = self._in_head, self._heads
        self._feed(data)
        if not self._in_head or self.transport.is_closing():
            return
        if before == (True, self._heads):  # all of it is of this head
            self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(431, f"the head of a request may have {HEAD_BYTES:,} bytes")
        elif self._timer is None and self._head_begun:
            self._limit(HEAD_SECONDS)

    def _feed(self, data: bytes) -> None:
        """Let the parser read, a line at a time where a head wishes for another protocol."""
        while data and self._in_head and not self.transport.is_closing():
            part, data = self._lines.take(data)
            if part:
                super().data_received(part)
        if data and not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = self._head_begun = True

    def on_headers_complete(self) -> None:
        """Begin to answer, on a connection that ends only when its client could read the answer."""
        self._in_head, self._head_begun, self._head_bytes = False, False, 0
        self._lines = HeadLines()
        self._heads += 1
        self._limit(None)
        super().on_headers_complete()
        self.cycle.transport = _AnsweringTransport(self)  # type: ignore[assignment]
        if self._last:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Note that the body is whole."""
        super().on_message_complete()
        self._in_head = True
        if self._timer is not None:  # for the rest of a body
            self._limit(None)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one's body."""
        super().on_response_complete()
        self.idle_since = self.loop.time()
        if not self._in_head and not self.transport.is_closing():
            self._limit(REST_SECONDS)

    def close_after_answer(self) -> None:
        """Close; where the client is still sending, only after it had time to read the answer."""
        if self._in_head or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._ending = True
        self.transport.write_eof()
        self._limit(REST_SECONDS)

    def pause_writing(self) -> None:
        """Give a client that reads nothing UNREAD_SECONDS."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client reads."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even where its last answer was never read."""
        self.close_now()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(400, "this is not a request in HTTP/1.1")

    def shutdown(self) -> None:
        """End a connection after its next answer, and an idle one within LAST_SECONDS."""
        if self._ending:
            self.close_now()
        elif self.is_idle():
            self._last = True
            self._limit(LAST_SECONDS)
        else:
            super().shutdown()

    def is_idle(self) -> bool:
        """Return whether no request of this connection is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def close_now(self) -> None:
        """Close, and wait for nobody to read what was written."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _limit(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        """Close a connection whose time is over; a request in work before it is answered first."""
        self._timer = None
        if not self.is_idle():
            self._limit(HEAD_SECONDS)
        elif self._head_begun:
            self._refuse(408, f"the head of a request must arrive within {HEAD_SECONDS:.0f} s")
        else:
            self.close_now()

    def _refuse(self, status: int, message: str) -> None:
        body = msgspec.json.encode(FailureBody(error=Failure(message=message, status=status)))
        head = (
            b"content-type: application/json\r\nconnection: close\r\n"
            b"content-length: " + str(len(body)).encode() + b"\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


class _AnsweringTransport:
    """The transport of an answer: closing it leaves the client time to read."""

    def __init__(self, protocol: LimitedProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.close_after_answer()


def make_room(connections: list[LimitedProtocol]) -> None:
    """Close the connection that has been idle longest; the newest of all is idle, too."""
    idle = [one for one in connections if one.is_idle()]
    min(idle, key=lambda one: one.idle_since).close_now()
