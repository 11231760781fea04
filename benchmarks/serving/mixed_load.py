"""Mixed load on a server of several processes whose release is switched all the time.

    python -m benchmarks mixed_load --releases releases --shop shop --minutes 60

Searches, recommendations, rankings, candidates, changes of products and events are sent at one
rate, by an open loop, while CURRENT points at one of two copies of a release and then at the other.
Milliseconds count from when a request was due. "Around a switch" is from when CURRENT is pointed
at the other release until a second after the last answer of the one before; private memory is the
median of what was read in a quarter.
"""

import argparse
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Event, Lock, Thread
from time import perf_counter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import run_benchmark
from benchmarks.serving.load import OK, Connection, Load, encoded, quantile, schedule
from benchmarks.serving.serving import (
    DEMO,
    children,
    distinct_words,
    listed_searches,
    private_mb,
    server,
)
from pipelines.release.manifest import put_manifest, read_manifest
from pipelines.release.store import current, point_current

PORT, CONNECTIONS = 24_371, 16
SHARES = {"search": 45, "recommend": 20, "rank": 10, "candidates": 5, "change": 10, "event": 10}
CHANGED = 500  # products that change, again and again
ADDED = 200  # products that come and go
LIFE = 25  # changes between the coming and the going of one
RANKED = 50  # candidates of a ranking
QUARTERS = 4
READ_SECONDS = 5.0  # between two looks at the memory
REQUESTS = 20_000  # that are drawn, and sent again and again
RELEASE = re.compile(rb'"release":"([^"]+)"')


class Asked(NamedTuple):
    """A request as it is sent, and of which kind it is."""

    kind: str
    request: bytes


class Answered(NamedTuple):
    """What came of a request; `due` in seconds since the load began, milliseconds since then."""

    kind: str
    status: int  # 0: the connection ended
    due: float
    ms: float
    release: str  # "" where an answer names none


class Switch(NamedTuple):
    """When CURRENT was pointed at a release, in seconds since the load began."""

    at: float
    release: str


class Read(NamedTuple):
    """The private memory of each process at a moment, in MB, by its name."""

    at: float
    mb: dict[str, float]


class Course(NamedTuple):
    """Everything that was noted while a server was under load."""

    seconds: float
    answered: list[Answered]
    switches: list[Switch]
    memory: list[Read]


def main() -> None:
    """Load a server, and print what came of it."""
    asked = _arguments()
    with TemporaryDirectory(dir=asked.folder) as folder:
        releases, live = Path(folder) / "releases", Path(folder) / "live"
        names = copy_twice(asked.releases, releases)
        requests = draw(asked.shop, np.random.default_rng(asked.seed))
        command = [sys.executable, "-m", "pipelines.cli.main", "serve", "--port", str(PORT)]
        command += ["--releases", str(releases), "--live", str(live)]
        command += [f"--set={one}" for one in (f"serve.workers={asked.workers}", *asked.set)]
        load = Load(PORT, "", CONNECTIONS, 60 * asked.minutes, asked.rate, "")
        with server(command, PORT) as process:
            under_load = Run(load, requests, process)
            course = under_load.course(switching(releases, names), asked.switch_seconds)
    for line in report(course):
        print(line, flush=True)


def copy_twice(releases: Path, folder: Path) -> list[str]:
    """Copy the current release under two names, the first of them current; return both."""
    name = current(releases)
    manifest = read_manifest(releases / name)
    names = [f"{name}-{place}" for place in range(2)]
    for one in names:
        shutil.copytree(releases / name, folder / one)
        put_manifest(folder / one, msgspec.structs.replace(manifest, name=one))
    point_current(folder, names[0])
    return names


def switching(releases: Path, names: Sequence[str]) -> Iterator[str]:
    """Point CURRENT at the other of two releases, again and again; yield its name each time."""
    while True:
        for name in reversed(names):
            point_current(releases, name)
            yield name


def draw(shop: Path, random: np.random.Generator) -> list[Asked]:
    """Return requests of all kinds in a random order."""
    products = pq.read_table(shop / "products.parquet", columns=["id", "title"]).to_pydict()
    users = pq.read_table(shop / "users.parquet", columns=["id"])["id"].to_pylist()
    texts = listed_searches(random)
    texts[::4] = distinct_words(products["title"], random)[: len(texts[::4])]
    changes = _changes(products["id"], products["title"], random)

    def post(kind: str, path: str, body: dict[str, Any]) -> Asked:
        return Asked(kind, encoded("POST", path, json.dumps(body).encode()))

    def user() -> str:
        return str(random.choice(users))

    def some(count: int) -> list[str]:
        return [products["id"][row] for row in random.integers(0, len(products["id"]), count)]

    def event() -> dict[str, Any]:
        lines = [{"product": one, "quantity": 1} for one in some(2)]
        kind = str(random.choice(["view", "click", "add_to_cart", "purchase"]))
        return {"type": kind, "user": user(), "lines": lines}

    make: dict[str, Callable[[], Asked]] = {
        "search": lambda: post("search", "/v1/search", {"text": texts.pop(), "k": 20}),
        "recommend": lambda: post("recommend", "/v1/recommend", {"user": user(), "k": 20}),
        "rank": lambda: post("rank", "/v1/rank", {"user": user(), "candidates": some(RANKED)}),
        "candidates": lambda: post("candidates", "/v1/candidates", {"text": texts.pop(), "k": 200}),
        "change": lambda: next(changes),
        "event": lambda: post("event", "/v1/events", event()),
    }
    weights = np.array(list(SHARES.values())) / sum(SHARES.values())
    kinds = random.choice(list(SHARES), REQUESTS, p=weights)
    return [make[kind]() for kind in kinds]


def _changes(
    names: Sequence[str], titles: Sequence[str], random: np.random.Generator
) -> Iterator[Asked]:
    """Yield new prices, and products that come and go; so much changes that memory stays equal."""
    rows = random.choice(len(names), CHANGED, replace=False)
    number = 0
    while True:
        turn, added = number % 4, number // 4
        if turn == 0:
            name = f"added-{added % ADDED}"
            title = f"{titles[random.integers(len(titles))]} {added}"
            yield _change("PUT", name, {"id": name, "title": title, "price": 2.5})
        elif turn == 1 and added >= LIFE:
            yield _change("DELETE", f"added-{(added - LIFE) % ADDED}", None)
        else:
            price = float(random.integers(1, 50))
            yield _change("PATCH", names[random.choice(rows)], {"price": price})
        number += 1


def _change(method: str, name: str, values: dict[str, Any] | None) -> Asked:
    body = b"" if values is None else json.dumps(values).encode()
    return Asked("change", encoded(method, f"/v1/products/{name}", body))


class Run:
    """One load on a server, and what is done to the server and noted of it meanwhile."""

    def __init__(self, load: Load, requests: Sequence[Asked], process: int) -> None:
        self._load = load
        self._requests = requests
        self._processes = {_name(one): one for one in (process, *children(process))}
        self._due: SimpleQueue[float | None] = SimpleQueue()
        self._places, self._lock, self._ended = iter(range(sys.maxsize)), Lock(), Event()
        self._course = Course(load.seconds, [], [], [])

    def course(self, switch: Iterator[str], switch_seconds: float) -> Course:
        """Send requests, switch releases and read memory, until the load ends."""
        self._began = perf_counter()
        threads = [Thread(target=self._send) for _ in range(self._load.connections)]
        threads += [Thread(target=self._switch, args=[switch, switch_seconds])]
        threads += [Thread(target=self._read)]
        for thread in threads:
            thread.start()
        schedule(self._due, self._began, self._load)
        self._ended.set()
        for thread in threads:
            thread.join()
        self._course.answered.sort(key=lambda one: one.due)
        return self._course

    def _send(self) -> None:
        connection = Connection(self._load.port)
        while (start := self._due.get()) is not None:
            with self._lock:
                asked = self._requests[next(self._places) % len(self._requests)]
            try:
                status, body = connection.ask(asked.request)
            except OSError:
                status, body = 0, b""
            took = 1e3 * (perf_counter() - start)
            found = RELEASE.search(body)
            release = found[1].decode() if found else ""
            self._course.answered.append(
                Answered(asked.kind, status, start - self._began, took, release)
            )
            if not status:
                connection = Connection(self._load.port)

    def _switch(self, switch: Iterator[str], seconds: float) -> None:
        while not self._ended.wait(seconds):
            self._course.switches.append(Switch(perf_counter() - self._began, next(switch)))

    def _read(self) -> None:
        while not self._ended.wait(READ_SECONDS):
            mb = {name: private_mb(one) for name, one in self._processes.items()}
            self._course.memory.append(Read(perf_counter() - self._began, mb))


def _name(process: int) -> str:
    """Return what the last word of the command line calls a process of a server."""
    words = Path(f"/proc/{process}/cmdline").read_text().rstrip("\0").split("\0")
    return words[-1] if words[-1].startswith("w") else "supervisor"


def report(course: Course) -> Iterator[str]:
    """Yield the lines that say what came of it."""
    counted = Counter((one.kind, one.status) for one in course.answered)
    for kind in SHARES:
        statuses = (f"{n:,} of status {s}" for (k, s), n in sorted(counted.items()) if k == kind)
        yield f"{kind:12} {', '.join(statuses)}"
    failed = sum(one.status != OK for one in course.answered)
    yield f"failed: {failed} of {len(course.answered):,}"
    for number in range(QUARTERS):
        times = [one.ms for one in course.answered if _quarter(one.due, course) == number]
        yield f"quarter {number + 1}: {_told(times)}"
    yield from _switches(course)
    yield from _memory(course)


def _quarter(second: float, course: Course) -> int:
    return min(int(QUARTERS * second / course.seconds), QUARTERS - 1)


def _told(times: Sequence[float]) -> str:
    return f"p50 {quantile(times, 0.5):.1f} ms, p99 {quantile(times, 0.99):.1f} ms"


def _switches(course: Course) -> Iterator[str]:
    """Yield how many switches were seen, how long they took, and what answers took meanwhile."""
    seconds, around, rest = list[float](), list[float](), list[float]()
    ends = [*(one.at for one in course.switches[1:]), course.seconds]
    for switch, end in zip(course.switches, ends, strict=True):
        after = [one for one in course.answered if switch.at <= one.due < end]
        named = [one for one in after if one.release]
        before = [one.due for one in named if one.release != switch.release]
        last = max(before, default=switch.at)
        if any(one.release == switch.release for one in named):
            seconds.append(last - switch.at)
        for one in after:
            (around if one.due <= last + 1 else rest).append(one.ms)
    yield (
        f"switches: {len(course.switches)}, in answers {len(seconds)}; until the last answer of "
        f"the release before {quantile(seconds, 0.5):.1f} s, at most {max(seconds, default=0):.1f}"
    )
    ratio = quantile(around, 0.99) / (quantile(rest, 0.99) or 1)
    yield f"around switches: {_told(around)}; else {_told(rest)}; p99 {ratio:.2f} times"


def _memory(course: Course) -> Iterator[str]:
    """Yield the private memory of each process by quarter."""
    for name in course.memory[0].mb if course.memory else ():
        read: list[list[float]] = [[] for _ in range(QUARTERS)]
        for one in course.memory:
            read[_quarter(one.at, course)].append(one.mb[name])
        medians = [quantile(one, 0.5) for one in read]
        grown = medians[-1] / medians[1] - 1 if medians[1] else 0.0
        told = ", ".join(f"{one:.0f}" for one in medians)
        yield f"{name:12} private memory {told} MB; the last quarter {grown:+.1%} on the second"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--releases", type=Path, default=DEMO / "releases", help="of `make demo`")
    parser.add_argument("--shop", type=Path, default=DEMO / "shop")
    parser.add_argument("--folder", type=Path, help="where the copies go; by default a temporary")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--switch-seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="a setting of our server")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    run_benchmark(main)
