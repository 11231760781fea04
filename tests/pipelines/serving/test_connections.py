import asyncio
import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from time import sleep
from typing import Any

import pytest
from litestar import Litestar

from pipelines.config.loading import with_live
from pipelines.config.sections import Config
from pipelines.serving.app import create_app
from pipelines.serving.connections import http_server, request_guard
from pipelines.serving.connections.http_server import HttpServer
from pipelines.serving.connections.listening import bound_socket, refuse_connections
from tests.assertions import every
from tests.pipelines.conftest import FakeEngine

Serve = Callable[[Litestar], AbstractContextManager[str]]
HEAD = (
    b"POST /v1/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: "
)


@pytest.fixture
def client(address: str) -> Iterator[socket.socket]:
    with socket.create_connection(place_of(address), timeout=20) as client:
        yield client


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (http_server, "HEAD_SECONDS"),
        (http_server, "REST_SECONDS"),
        (request_guard, "PAUSE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.3)


def test_a_request_that_is_on_its_way_when_the_port_is_closed_is_answered(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LAST_SECONDS", "END_SECONDS"):
        monkeypatch.setattr(http_server, name, 60)

    answer = asyncio.run(asked_after_the_end(create_app(engine, Config())))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer


async def asked_after_the_end(app: Litestar) -> bytes:
    listener = bound_socket(("127.0.0.1", 0))
    server = HttpServer(app)
    serving = asyncio.create_task(server.serve(listener))
    await server.listening()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    server.stop()
    while listener.fileno() >= 0:
        await asyncio.sleep(0.01)
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await serving
    return answer


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no filter of packets")
def test_connections_that_were_made_can_be_accepted_when_no_more_are_made() -> None:
    with bound_socket(("127.0.0.1", 0)) as listener:
        listener.listen()
        before = socket.create_connection(listener.getsockname())
        before.sendall(b"hello")

        refuse_connections(listener)

        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.2)
        accepted, _ = listener.accept()
        with before, accepted:
            accepted.settimeout(20)
            assert accepted.recv(5) == b"hello"
            accepted.sendall(b"hello yourself")
            assert before.recv(14) == b"hello yourself"


def place_of(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("http://").rpartition(":")
    return host, int(port)


def everything(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def failure(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert int(head.split()[1]) == error["status"]
    return error["status"], error["field"]


@pytest.mark.usefixtures("hurried")
def test_a_client_that_sends_nothing_is_let_go(client: socket.socket) -> None:
    assert everything(client) == b""


@pytest.mark.usefixtures("hurried")
def test_half_a_head_is_refused_in_the_end(client: socket.socket) -> None:
    client.sendall(b"GET /healthz HTTP/1.1\r\nx-half")

    assert failure(everything(client))[0] == 408


@pytest.mark.usefixtures("hurried")
def test_half_a_second_head_on_the_same_connection_is_refused_in_the_end(
    client: socket.socket,
) -> None:
    client.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nx")

    assert b"HTTP/1.1 408" in everything(client)


@pytest.mark.usefixtures("hurried")
def test_half_a_body_is_refused_in_the_end_and_the_connection_ends(client: socket.socket) -> None:
    client.sendall(HEAD + b"1500\r\n\r\n{")

    answer = everything(client)

    assert failure(answer) == (408, "body")
    assert b"connection: close" in answer


def test_a_head_that_does_not_end_is_refused_before_it_fills_the_memory(
    client: socket.socket,
) -> None:
    client.sendall(b"GET /healthz HTTP/1.1\r\nx: " + b"a" * (http_server.HEAD_BYTES + 1))

    assert failure(everything(client))[0] == 431


def test_what_is_not_http_is_refused_in_json(client: socket.socket) -> None:
    client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")

    assert failure(everything(client))[0] == 400


@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
def test_who_sends_too_large_a_body_whole_reads_that_it_is_too_large(
    client: socket.socket, connection: bytes
) -> None:
    size = 16_000_001
    client.sendall(HEAD + str(size).encode() + b"\r\nconnection: " + connection + b"\r\n\r\n")
    client.sendall(b" " * size)
    client.sendall(b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n" * (connection != b"close"))

    answer = everything(client)

    assert answer.startswith(b"HTTP/1.1 413")
    assert (b"HTTP/1.1 200" in answer) == (connection != b"close")


@pytest.mark.usefixtures("hurried")
def test_a_body_that_never_ends_is_not_read_for_ever_after_its_answer(
    client: socket.socket,
) -> None:
    client.sendall(HEAD + b"99000000000\r\n\r\n{")

    assert everything(client).startswith(b"HTTP/1.1 413")


def test_one_connection_more_than_the_most_closes_the_one_that_was_idle_longest(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "MOST_CONNECTIONS", 3)
    clients = [HTTPConnection(*place_of(address), timeout=20) for _ in range(6)]

    for client in clients:
        client.request("GET", "/healthz")
        assert client.getresponse().read()

    assert clients[0].sock is not None
    assert clients[0].sock.recv(1) == b""
    clients[-2].request("GET", "/healthz")
    assert clients[-2].getresponse().status == 200
    for client in clients:
        client.close()


def test_head_is_answered_as_get_without_a_body(address: str) -> None:
    client = HTTPConnection(*place_of(address), timeout=20)
    lengths = []
    for method in ("GET", "HEAD"):
        for path in ("/", "/v1/about", "/v1/complete?q=m"):
            client.request(method, path)
            answer = client.getresponse()
            body = answer.read()
            assert answer.status == 200
            assert bool(body) == (method == "GET")
            lengths.append(answer.getheader("content-length"))
    client.close()

    assert lengths[:3] == lengths[3:]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 404),
        ("localhost:8000", 404),
        ("127.0.0.1:8000", 404),
        ("[::1]:8000", 404),
        ("LOCALHOST", 404),
        ("shop.example", 404),
        ("rebound.example", 403),
        ("rebound.example:8000", 403),
        ("localhost.rebound.example", 403),
        ("", 403),
    ],
)
def test_a_local_server_with_changes_takes_requests_by_its_own_names_alone(
    serve: Serve, engine: object, host: str, status: int
) -> None:
    config = with_live(Config(), "live")
    named = type(config.serve)(live="live", hosts=("shop.example",))
    app = create_app(engine, type(config)(serve=named))  # type: ignore[arg-type]
    with serve(app) as address:
        client = HTTPConnection(*place_of(address), timeout=20)
        client.putrequest("DELETE", "/v1/products/nothing", skip_host=True)
        client.putheader("Host", host)
        client.endheaders()
        answer = client.getresponse()
        code = answer.status
        answer.read()
        client.close()

    assert code == status


def test_many_bodies_at_once_have_a_bound_in_memory(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_guard, "MOST_HELD_BYTES", 100_000)
    first, second = (socket.create_connection(place_of(address), timeout=20) for _ in range(2))
    body = b'{"text": "' + b"a" * 90_000

    def send(client: socket.socket) -> None:
        client.sendall(HEAD + b"91000\r\n\r\n" + body)

    send(first)
    threading.Event().wait(0.3)
    send(second)
    answer = second.recv(65_536)
    first.close()
    second.close()

    assert answer.startswith(b"HTTP/1.1 429")


@pytest.mark.usefixtures("hurried")
def test_a_connection_between_two_requests_may_be_idle_for_longer_than_a_head(
    address: str,
) -> None:
    client = HTTPConnection(*place_of(address), timeout=20)
    for _ in range(2):
        client.request("GET", "/healthz")
        client.getresponse().read()
        first = client.sock
        threading.Event().wait(0.5)
    client.request("GET", "/healthz")

    assert client.getresponse().status == 200
    assert client.sock is first
    client.close()


@pytest.mark.parametrize("name", ["Upgrade", "upgrade", "UPGRADE"])
def test_the_wish_for_http2_is_ignored_and_the_body_is_read(address: str, name: str) -> None:
    client = HTTPConnection(*place_of(address), timeout=20)
    headers = {"content-type": "application/json", "connection": "Upgrade, HTTP2-Settings"}
    statuses = []
    for _ in range(2):
        client.request("POST", "/v1/search", b'{"text": "milk"}', headers | {name: "h2c"})
        answer = client.getresponse()
        statuses.append((answer.status, len(json.loads(answer.read())["products"]) > 0))
    client.close()

    assert statuses == [(200, True)] * 2


def sent_in_parts(address: str, *parts: bytes) -> list[int]:
    """Send parts that arrive one by one; return the statuses of all answers."""
    with socket.create_connection(place_of(address), timeout=20) as client:
        for part in parts:
            client.sendall(part)
            sleep(0.05)
        answers = everything(client)
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", answers)]


LAST = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "wish",
    [
        (b"connection: Upgrade\r\nupgr", b"ade: h2c\r\n\r\n"),
        (b"connection: Upgrade\r\n", b"Upgrade: h2c\r", b"\n\r", b"\n"),
        (b"connection: Upgrade\r\nupgrade: h2c\r\n\r\n",),
    ],
)
def test_the_wish_for_http2_is_ignored_wherever_its_packets_end(
    address: str, wish: tuple[bytes, ...]
) -> None:
    assert sent_in_parts(address, HEAD + b"16\r\n", *wish, b'{"text": "milk"}', LAST) == [200, 200]


@pytest.mark.parametrize("parts", [(b"\r", b"\n"), (b"", b"\r\n"), (b"\r\n", b"")])
def test_what_looks_like_a_head_within_a_body_is_left_alone(
    address: str, parts: tuple[bytes, bytes]
) -> None:
    body = b"\r\nupgrade: h2c" * 9 + b"\r\n\r\n"
    head = HEAD + str(len(body)).encode() + b"\r\n"

    statuses = sent_in_parts(address, head + parts[0], parts[1] + body, LAST)

    assert statuses == [400, 200]  # the body is no JSON, and ends where it said


def test_answers_are_not_held_back_until_the_client_has_confirmed_their_first_part(
    serve: Serve, engine: object
) -> None:
    delays: list[int] = []
    plain = http_server.LimitedProtocol.connection_made

    def look(protocol: http_server.LimitedProtocol, transport: Any) -> None:
        sock = transport.get_extra_info("socket")
        delays.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        plain(protocol, transport)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_server.LimitedProtocol, "connection_made", look)
        with serve(create_app(engine, Config())):  # type: ignore[arg-type]
            pass

    assert every(delays)


def test_two_hosts_are_none(serve: Serve, engine: object) -> None:
    app = create_app(engine, with_live(Config(), "live"))  # type: ignore[arg-type]
    with serve(app) as address, socket.create_connection(place_of(address), timeout=20) as client:
        client.sendall(
            b"DELETE /v1/products/p1 HTTP/1.1\r\nhost: rebound.example\r\nhost: localhost\r\n"
            b"connection: close\r\n\r\n"
        )

        assert failure(everything(client)) == (403, "host")
