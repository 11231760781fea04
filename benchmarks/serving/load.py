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


class Connection:
    """One connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), LONGEST)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=1 << 16)

    def ask(self, request: bytes) -> bool:
        """Send a request and read the answer; tell whether its status is 200."""
        self._socket.sendall(request)
        fine, length = b" 200 " in self._file.readline(), 0
        while (line := self._file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        self._file.read(length)
        return fine


def run(load: Load) -> Outcome:
    """Load a server, and return what came of it."""
    requests = [_request(load, line) for line in Path(load.bodies).read_bytes().splitlines()]
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
                fine = connection.ask(requests[place % len(requests)])
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
        _schedule(load, due, began)
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
        p50=_quantile(since_due, 0.5),
        p99=_quantile(since_due, 0.99),
        refused=len(refused),
        own_cpu=own_cpu,
        in_time_per_second=(len(fine) - late) / seconds,
        late=late,
        refusal_p99=_quantile(refused, 0.99),
    )


def _quantile(numbers: Sequence[float], share: float) -> float:
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


def _schedule(load: Load, due: "SimpleQueue[float | None]", began: float) -> None:
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


def _request(load: Load, body: bytes) -> bytes:
    head = (
        f"POST {load.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    if load.deadline_ms:
        head += f"X-Deadline-Ms: {load.deadline_ms}\r\n"
    return f"{head}\r\n".encode() + body


if __name__ == "__main__":
    asked = Load(**json.loads(sys.argv[1]))
    print(json.dumps(run(asked)._asdict()))
