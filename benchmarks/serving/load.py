"""Sends requests over HTTP and times the answers; a process of its own, so that it costs little.

A closed loop keeps `connections` requests under way, and finds the most that a server carries. An
open loop sends at a given rate, whether answers come or not, and counts from the moment at which a
request was due: a server that stops for a second is late for all that were due meanwhile.
"""

import json
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import perf_counter, process_time, sleep
from typing import NamedTuple

OK = 200
LONGEST = 30.0  # seconds that an answer is waited for
SLACK_MS = 10  # of a deadline, for the way of an answer


class Load(NamedTuple):
    """What a server is asked: bodies in turn, at `rate` a second; 0: as fast as it answers."""

    port: int
    path: str
    connections: int
    seconds: float
    rate: float
    bodies: str  # a file of JSON lines
    deadline_ms: int = 0  # in the head of each request; 0: none


class Outcome(NamedTuple):
    """What came of it; milliseconds from when a request was due."""

    per_second: float
    p50: float
    p99: float
    refused: int  # answers other than 200
    own_cpu: float  # share of a core that sending took
    in_time_per_second: float  # answers 200, at most SLACK_MS after their deadline
    late: int  # answers 200 after that, from when they were sent
    refusal_p99: float  # milliseconds from when it was sent


class Answer(NamedTuple):
    """One answer: whether its status is 200, and milliseconds since it was due and was sent."""

    fine: bool
    due_ms: float
    sent_ms: float


class Reply(NamedTuple):
    """What a server sent back; status 0: it closed the connection instead."""

    status: int
    body: bytes


class Connection:
    """One connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), LONGEST)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=1 << 16)

    def ask(self, request: bytes) -> Reply:
        """Send a request and read the answer."""
        self._socket.sendall(request)
        words, length = self._file.readline().split(), 0
        while (line := self._file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return Reply(int(words[1]) if words else 0, self._file.read(length))


def run(load: Load) -> Outcome:
    """Load a server, and return what came of it."""
    head = f"X-Deadline-Ms: {load.deadline_ms}\r\n" if load.deadline_ms else ""
    bodies = Path(load.bodies).read_bytes().splitlines()
    requests = [encoded("POST", load.path, body, head) for body in bodies]
    due: SimpleQueue[float | None] = SimpleQueue()
    answers: list[Answer] = []
    lock = Lock()
    began, cpu = perf_counter(), process_time()

    def work(number: int) -> None:
        connection, mine = Connection(load.port), list[Answer]()
        place = number * 7_919
        for start in _starts(load, due, began):
            sent = perf_counter()
            try:
                fine = connection.ask(requests[place % len(requests)]).status == OK
            except OSError:  # a server that fails may close
                fine, connection = False, Connection(load.port)
            place += load.connections
            now = perf_counter()
            mine.append(Answer(fine, 1e3 * (now - start), 1e3 * (now - sent)))
        with lock:
            answers.extend(mine)

    threads = [Thread(target=work, args=(number,)) for number in range(load.connections)]
    for thread in threads:
        thread.start()
    if load.rate:
        schedule(due, began, load)
    for thread in threads:
        thread.join()
    took = perf_counter() - began
    return _outcome(answers, load.deadline_ms, took, (process_time() - cpu) / took)


def _outcome(
    answers: Sequence[Answer], deadline_ms: int, seconds: float, own_cpu: float
) -> Outcome:
    fine = [one.sent_ms for one in answers if one.fine]
    refused = [one.sent_ms for one in answers if not one.fine]
    late = sum(took > deadline_ms + SLACK_MS for took in fine) if deadline_ms else 0
    since_due = [one.due_ms for one in answers]
    return Outcome(
        per_second=len(answers) / seconds,
        p50=quantile(since_due, 0.5),
        p99=quantile(since_due, 0.99),
        refused=len(refused),
        own_cpu=own_cpu,
        in_time_per_second=(len(fine) - late) / seconds,
        late=late,
        refusal_p99=quantile(refused, 0.99),
    )


def quantile(numbers: Sequence[float], share: float) -> float:
    """Return a quantile of some numbers; 0 of none."""
    return sorted(numbers)[int(share * (len(numbers) - 1))] if numbers else 0.0


def _starts(load: Load, due: "SimpleQueue[float | None]", began: float) -> Iterator[float]:
    """Yield when each request is, or was, due."""
    if load.rate:
        while (start := due.get()) is not None:
            yield start
        return
    while (now := perf_counter()) < began + load.seconds:
        yield now


def schedule(due: "SimpleQueue[float | None]", began: float, load: Load) -> None:
    """Put the moments at which requests are due into a queue, each when it has come.

    At the end None for each connection, without what none of them came to.
    """
    for number in range(int(load.rate * load.seconds)):
        start = began + number / load.rate
        if (wait := start - perf_counter()) > 0:
            sleep(wait)
        due.put(start)
    deadline = perf_counter() + LONGEST
    while not due.empty() and perf_counter() < deadline:
        sleep(0.05)
    while True:  # what nobody came to
        try:
            due.get_nowait()
        except Empty:
            break
    for _ in range(load.connections):
        due.put(None)


def encoded(method: str, path: str, body: bytes, head: str = "") -> bytes:
    """Return a request with a body of JSON and further lines of its head."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{head}\r\n"
    ).encode() + body


if __name__ == "__main__":
    asked = Load(**json.loads(sys.argv[1]))
    print(json.dumps(run(asked)._asdict()))
