"""Admission as clients see it: over a real server, with an engine that does what a test says."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from math import inf
from typing import Any

import msgspec
import pytest
from litestar import Litestar

from pipelines.config.sections import Config, ServeConfig
from pipelines.engine.deadline import Deadline
from pipelines.serving.admission import control
from pipelines.serving.app import create_app
from retrieval import Query, Slate, Stage
from tests.assertions import every

Serve = Callable[[Litestar], AbstractContextManager[str]]
JSON = {"content-type": "application/json"}
Answer = tuple[int, dict[str, str], dict[str, Any]]


class HeldEngine:
    """Stays in the stage `encode` until it is let go; a user named `quick` is answered at once."""

    release = "r1"
    newest_change = 3

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.users: list[str | None] = []

    def answer(self, query: Query, stage: Stage = Stage.RANKING, spare_ms: float = inf) -> Slate:
        self.users.append(query.user)
        deadline = Deadline(query.deadline_ms)
        with deadline.timer("encode"):
            self.begun.release()
            if query.user != "quick":
                self.go.wait(20)
        return Slate(products=(), stage=stage, release="r1", timings_ms=deadline.timings_ms)

    def complete(self, text: str, k: int) -> list[str]:
        return [text]

    def change(self, changes: Any) -> "Future[list[int]]":
        return Future()  # never done


@pytest.fixture
def held() -> Iterator[HeldEngine]:
    engine = HeldEngine()
    yield engine
    engine.go.set()


@contextmanager
def server(serve: Serve, engine: HeldEngine, **asked: Any) -> Iterator[tuple[str, int]]:
    config = msgspec.structs.replace(
        Config(), serve=ServeConfig(**({"threads": 1, "cache_mb": 0} | asked))
    )
    with serve(create_app(engine, config)) as address:  # type: ignore[arg-type]
        host, _, port = address.removeprefix("http://").rpartition(":")
        yield host, int(port)


def ask(
    place: tuple[str, int],
    body: dict[str, Any] | None = None,
    path: str = "/v1/recommend",
    method: str = "POST",
    **headers: str,
) -> Answer:
    client = HTTPConnection(*place, timeout=20)
    client.request(method, path, json.dumps(body or {}), JSON | headers)
    answer = client.getresponse()
    content = json.loads(answer.read())
    client.close()
    return answer.status, dict(answer.getheaders()), content


def test_too_many_are_refused_with_429_and_when_to_come_again(
    serve: Serve, held: HeldEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(serve, held) as place, ThreadPoolExecutor(40) as pool:
        first = pool.submit(ask, place)
        held.begun.acquire()
        others = [pool.submit(ask, place) for _ in range(36)]
        while sum(one.done() for one in others) < 4:
            pass
        held.go.set()
        answers = [one.result() for one in others]

    assert first.result()[0] == 200
    refused = [one for one in answers if one[0] != 200]
    assert len(refused) == 4
    assert {status for status, _, _ in refused} == {429}
    assert every(int(headers["retry-after"]) >= 1 for _, headers, _ in refused)


def test_a_deadline_in_the_head_is_one_as_in_the_body(serve: Serve, held: HeldEngine) -> None:
    with server(serve, held) as place, ThreadPoolExecutor(1) as pool:
        pool.submit(ask, place)
        held.begun.acquire()
        late = ask(place, **{"x-deadline-ms": "60"})
        held.go.set()

    assert late[0] == 429
    assert "deadline of 60 ms" in late[2]["error"]["message"]


@pytest.mark.parametrize("value", ["0", "-5", "soon", "1.5", "60001", "9" * 5_000])
def test_a_deadline_in_the_head_that_is_none_is_refused_by_name(
    serve: Serve, held: HeldEngine, value: str
) -> None:
    with server(serve, held) as place:
        status, _, body = ask(place, {"user": "quick"}, **{"x-deadline-ms": value})

    assert (status, body["error"]["field"]) == (400, "x-deadline-ms")


def test_who_cannot_be_answered_in_time_is_refused_before_the_body_has_come(
    serve: Serve, held: HeldEngine
) -> None:
    with server(serve, held) as place, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, place, {"deadline_ms": 2_000})  # so that an answer takes 300 ms
        held.begun.acquire()
        threading.Event().wait(0.3)
        held.go.set()
        slow.result()
        held.go.clear()
        pool.submit(ask, place)
        held.begun.acquire()
        client = socket.create_connection(place, timeout=20)
        client.sendall(
            b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"x-deadline-ms: 20\r\ncontent-length: 1500\r\n\r\n"
        )
        answer = client.recv(65_536)
        client.close()
        held.go.set()

    assert answer.startswith(b"HTTP/1.1 429")


def test_nothing_is_worked_on_for_a_client_that_has_left(serve: Serve, held: HeldEngine) -> None:
    with server(serve, held) as place, ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, place, {"user": "first"})
        held.begun.acquire()
        gone = HTTPConnection(*place, timeout=20)
        gone.request("POST", "/v1/recommend", json.dumps({"user": "gone"}), JSON)
        threading.Event().wait(0.2)
        gone.close()
        threading.Event().wait(0.2)
        held.go.set()
        first.result()
        last = ask(place, {"user": "quick"})

    assert last[0] == 200
    assert held.users == ["first", "quick"]


def test_a_stage_that_does_not_end_is_a_504_with_its_name_and_others_are_answered(
    serve: Serve, held: HeldEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "GRACE_SECONDS", 0.1)
    with server(serve, held) as place:
        status, _, body = ask(place, {"deadline_ms": 1_500})
        other = ask(place, {"user": "quick"})

    assert status == 504
    assert "`encode`" in body["error"]["message"]
    assert other[0] == 200


def test_a_change_that_is_never_written_is_a_504(
    serve: Serve, held: HeldEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CHANGE_SECONDS", 0.1)
    with server(serve, held, live="live") as place:
        status, _, body = ask(place, path="/v1/products/p1", method="DELETE")

    assert status == 504
    assert "`changes`" in body["error"]["message"]


def test_completions_wait_in_the_same_queue_as_answers(serve: Serve, held: HeldEngine) -> None:
    with server(serve, held, deadline_ms=1_500) as place, ThreadPoolExecutor(1) as pool:
        pool.submit(ask, place)
        held.begun.acquire()
        busy, _, _ = ask(place, path="/v1/complete?q=milk", method="GET")
        held.go.set()

    assert busy == 429


def test_an_answer_waits_for_the_change_that_it_must_show(serve: Serve, held: HeldEngine) -> None:
    with server(serve, held, live="live") as place, ThreadPoolExecutor(1) as pool:
        shown = ask(place, {"user": "quick"}, "/v1/recommend?after=3")
        waiting = pool.submit(ask, place, {"user": "quick"}, "/v1/recommend?after=4")
        threading.Event().wait(0.1)
        early = waiting.done()
        held.newest_change = 4
        late = waiting.result()
        never = ask(place, {"user": "quick", "deadline_ms": 50}, "/v1/recommend?after=9")

    assert (shown[0], early, late[0], never[0]) == (200, False, 200, 504)
    assert "`after`" in never[2]["error"]["message"]
    assert "5.0 s" not in never[2]["error"]["message"]  # the deadline was 50 ms


def test_a_server_without_changes_says_that_it_cannot_wait_for_one(
    serve: Serve, held: HeldEngine
) -> None:
    with server(serve, held) as place:
        status, _, body = ask(place, {"user": "quick"}, "/v1/recommend?after=1")

    assert (status, body["error"]["field"]) == (400, "after")
