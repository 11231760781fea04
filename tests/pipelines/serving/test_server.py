import json
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from pipelines.errors import UserError
from pipelines.serving.connections.listening import free_address

OPEN_AT_ONCE = "lambda: SimpleNamespace(release='r1')"
NEVER_OPEN = "lambda: threading.Event().wait(3)"
DAMAGED = "lambda: (_ for _ in ()).throw(ReleaseError('release r1 is damaged'))"


@contextmanager
def server(
    open_engine: str, port: int = 0, successors: str = "None"
) -> Iterator[subprocess.Popen[str]]:
    script = f"""
        import sys, threading, time
        import msgspec
        from types import SimpleNamespace
        from pipelines.config.sections import Config
        from pipelines.errors import ReleaseError, UserError
        from pipelines.serving.one_process import serve_engine
        from retrieval import Slate
        class SlowEngine:
            release, newest_change = "r1", 0
            def answer(self, query, stage, spare_ms):
                print("working", flush=True)
                time.sleep(0.7)
                return Slate(products=(), stage=stage, release="r1")
        class Successors:
            coming = [lambda: None, lambda: damaged(), lambda: None, lambda: next_engine("r2")]
            def open_next(self):
                return self.coming.pop(0)() if self.coming else None
            def promote(self, engine):
                print(engine.release, "settled", flush=True)
            def next_look(self, regular):
                return regular
        def damaged():
            raise ReleaseError("release r3 is damaged")
        def next_engine(name):
            return SimpleNamespace(release=name, newest_change=0)
        quick = msgspec.structs.replace(Config().serve, follow_seconds=0.05)
        config = msgspec.structs.replace(Config(), serve=quick)
        try:
            serve_engine({open_engine}, config, port={port}, successors={successors})
        except UserError as e:
            sys.exit(f"vetrina: {{e}}")
        print("stopped well")
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address_in(line: str) -> str:
    return next(word for word in line.split() if word.startswith("http://"))


def status(url: str | urllib.request.Request) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        with e:
            return e.code, json.load(e)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_its_address_and_stops_cleanly_when_told_to(number: signal.Signals) -> None:
    with server(OPEN_AT_ONCE) as process:
        assert process.stdout is not None
        opened, ready = process.stdout.readline(), process.stdout.readline()
        answer = status(f"{address_in(ready)}/readyz")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert "is open; reading the release" in opened
    assert "answers from release r1" in ready
    assert answer == (200, {"status": "ready", "release": "r1"})
    assert (process.returncode, out, err) == (0, "stopped well\n", "")


def test_it_answers_that_it_is_not_ready_while_the_release_is_being_read() -> None:
    with server(NEVER_OPEN) as process:
        assert process.stdout is not None
        address = address_in(process.stdout.readline())
        ready, _ = status(f"{address}/readyz")
        healthy, _ = status(f"{address}/healthz")

    assert (healthy, ready) == (200, 503)


def test_a_release_that_cannot_be_opened_ends_the_server_with_one_line() -> None:
    with server(DAMAGED) as process:
        _, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert err == "vetrina: release r1 is damaged\n"


def test_a_port_that_is_taken_is_refused_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(UserError, match=f"127.0.0.1:{port}: Address already in use.*--port"):
            free_address("127.0.0.1", port)


def test_a_port_on_which_another_server_of_ours_listens_is_taken_too() -> None:
    with server(OPEN_AT_ONCE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        port = int(address_in(process.stdout.readline()).rpartition(":")[2])

        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}"):
            free_address("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_refused_with_what_to_do() -> None:
    with pytest.raises(UserError, match=r"cannot listen on 192\.0\.2\.1:8000"):
        free_address("192.0.2.1", 8000)


def test_a_host_may_be_a_name() -> None:
    address, port = free_address("localhost", 0)

    assert address in ("127.0.0.1", "::1")
    assert port > 0


def test_requests_in_progress_are_answered_before_it_stops() -> None:
    with server("SlowEngine") as process, ThreadPoolExecutor(1) as pool:
        assert process.stdout is not None
        process.stdout.readline()
        url = f"{address_in(process.stdout.readline())}/v1/recommend"
        request = urllib.request.Request(url, b"{}", {"content-type": "application/json"})
        answer = pool.submit(status, request)
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        code, slate = answer.result()

    assert (code, slate["release"]) == (200, "r1")


def test_another_release_that_becomes_current_answers_without_a_restart() -> None:
    with server(OPEN_AT_ONCE, successors="Successors()") as process:
        assert process.stdout is not None
        address = address_in(process.stdout.readline())
        told = [process.stdout.readline() for _ in range(4)]
        answer = status(f"{address}/readyz")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)

    assert told[1:] == [
        "release r3 is damaged; release r1 answers on\n",
        "release r2 answers now, after r1\n",
        "r2 settled\n",
    ]
    assert answer == (200, {"status": "ready", "release": "r2"})
    assert (process.returncode, out, err) == (0, "stopped well\n", "")


def opened(process: subprocess.Popen[str]) -> tuple[str, int]:
    assert process.stdout is not None
    process.stdout.readline()
    host, _, port = address_in(process.stdout.readline()).removeprefix("http://").rpartition(":")
    return host, int(port)


def connections(place: tuple[str, int], count: int, sent: bytes) -> list[socket.socket]:
    clients = [socket.create_connection(place, timeout=10) for _ in range(count)]
    for client in clients:
        client.sendall(sent)
    return clients


def keep_alive(place: tuple[str, int]) -> HTTPConnection:
    client = HTTPConnection(*place, timeout=10)
    client.connect()
    client.auto_open = 0  # one that was closed is not opened again
    assert health(client) == 200
    return client


def health(client: HTTPConnection) -> int:
    client.request("GET", "/healthz")
    answer = client.getresponse()
    answer.read()
    return answer.status


HALF_A_HEAD = b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\nx-half: "
HALF_A_BODY = (
    b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: 1500\r\n\r\n{"
)


def test_idle_clients_and_slow_bodies_keep_nobody_out_and_do_not_hold_the_server() -> None:
    with server("SlowEngine") as process:
        place = opened(process)
        idle = connections(place, 300, b"")
        slow = connections(place, 50, HALF_A_BODY) + connections(place, 50, HALF_A_HEAD)
        kept = [keep_alive(place) for _ in range(150)]
        base = f"http://{place[0]}:{place[1]}"
        healthy, _ = status(f"{base}/healthz")
        request = urllib.request.Request(
            f"{base}/v1/recommend", b"{}", {"content-type": "application/json"}
        )
        found, _ = status(request)
        again = {health(client) for client in kept}
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
        for client in idle + slow + kept:
            client.close()

    assert (healthy, found, again) == (200, 200, {200})
    assert (process.returncode, out, err) == (0, "working\nstopped well\n", "")


def test_a_second_signal_ends_the_process_at_once() -> None:
    with server("lambda: SlowEngine()") as process:
        place = opened(process)
        slow = connections(place, 1, HALF_A_BODY)
        process.send_signal(signal.SIGTERM)
        wait_until_not_ready(place)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        slow[0].close()

    assert process.returncode == 128 + signal.SIGTERM


def test_a_release_that_is_still_being_opened_does_not_hold_a_server_that_is_told_to_stop() -> None:
    with server("lambda: threading.Event().wait(60)") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)

    assert process.returncode == 0


def test_a_server_that_ends_says_first_that_it_is_not_ready_and_closes_each_connection() -> None:
    with server("SlowEngine") as process:
        host, port = opened(process)
        client = HTTPConnection(host, port, timeout=10)
        client.request("GET", "/healthz")
        client.getresponse().read()
        process.send_signal(signal.SIGTERM)
        wait_until_not_ready((host, port))
        client.request("GET", "/healthz")
        answer = client.getresponse()
        body = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://{host}:{port}/v1/recommend", b"{}", body)
        found, _ = status(request)

    assert answer.status == 200
    assert answer.getheader("connection") == "close"
    assert found == 200  # who came in spite of it is answered


def wait_until_not_ready(place: tuple[str, int]) -> None:
    while status(f"http://{place[0]}:{place[1]}/readyz")[0] != 503:
        pass
