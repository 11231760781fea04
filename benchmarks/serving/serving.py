"""How many requests a server carries, and how fast, beside the usual libraries put together.

Both sides answer from the products and vectors of one release, over HTTP, in turn on the same
cores, to the same load: searches whose words never come twice (`cold`), a query log with Zipf's
distribution (`log`), and recommendations to shoppers with a past. First the most that each carries
is found by a closed loop, then both get half of our most by an open loop. `plain_assembly.py` is
the other side; `--python` names a Python with its packages.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import run_benchmark
from benchmarks.serving.load import Load, Outcome
from pipelines.release.store import current

OUR_PORT, PLAIN_PORT = 8_471, 8_472
QUERIES, CONNECTIONS, MANY_CONNECTIONS = 20_000, 8, 64
OVERLOADS, DEADLINE_MS = (2, 10), 150  # times the most that a server carries
DEMO = Path("artifacts/demo")  # what `make demo` leaves
LISTS = Path(__file__).parents[1] / "searches"
FEWEST_WORDS, MOST_WORDS = 2, 4


def main() -> None:
    """Print a row a side and kind of request."""
    asked = _arguments()
    release = asked.releases / current(asked.releases)
    with TemporaryDirectory() as folder:
        kinds = write_bodies(asked.shop, Path(folder))
        ours = [sys.executable, "-m", "pipelines.cli.main", "serve", "--port", str(OUR_PORT)]
        ours += ["--releases", str(asked.releases), *(f"--set={one}" for one in asked.set)]
        most = {}
        with server(ours, OUR_PORT) as process:
            for kind, (path, bodies) in kinds.items():
                most[kind] = measured(OUR_PORT, path, bodies, asked.seconds)
                _print("vetrina", f"{kind}, most", most[kind])
                rate = most[kind].per_second / 2
                _print(
                    "vetrina",
                    f"{kind}, {rate:.0f}/s",
                    measured(OUR_PORT, path, bodies, asked.seconds, rate),
                )
            _print_memory("vetrina", process)
            for kind, (path, bodies) in kinds.items():
                _overload(kind, path, bodies, most[kind].per_second, asked.seconds)
        if not asked.python:
            return
        script = str(Path(__file__).with_name("plain_assembly.py"))
        plain = [asked.python, script, str(asked.shop), str(release), str(PLAIN_PORT), asked.model]
        with server(plain, PLAIN_PORT) as process:
            for kind, (path, bodies) in kinds.items():
                found = measured(PLAIN_PORT, path, bodies, asked.seconds)
                ratio = most[kind].per_second / found.per_second
                _print("plain", f"{kind}, most", found, f"vetrina {ratio:.1f} x")
                rate = min(most[kind].per_second, found.per_second) / 2
                _print(
                    "plain",
                    f"{kind}, {rate:.0f}/s",
                    measured(PLAIN_PORT, path, bodies, asked.seconds, rate),
                )
            _print_memory("plain", process)


def write_bodies(shop: Path, folder: Path) -> dict[str, tuple[str, Path]]:
    """Write the requests of each kind; return the route and the file of each."""
    random = np.random.default_rng(0)
    titles = pq.read_table(shop / "products.parquet", columns=["title"])["title"].to_pylist()
    users = pq.read_table(shop / "users.parquet", columns=["id"])["id"].to_pylist()
    kinds = {
        "search cold": ("/v1/search", [{"text": one} for one in distinct_words(titles, random)]),
        "search log": ("/v1/search", [{"text": one} for one in listed_searches(random)]),
        "recommend": ("/v1/recommend", [{"user": one} for one in random.permutation(users)]),
    }
    written = {}
    for kind, (path, bodies) in kinds.items():
        file = folder / f"{kind.replace(' ', '-')}.jsonl"
        file.write_text("\n".join(json.dumps({"k": 20, **body}) for body in bodies))
        written[kind] = (path, file)
    return written


def distinct_words(titles: Sequence[str], random: np.random.Generator) -> list[str]:
    """Return two to four words of two titles each time, none of them twice."""
    found: dict[str, None] = {}
    while len(found) < QUERIES:
        words = " ".join(titles[place] for place in random.integers(0, len(titles), 2)).split()
        count = int(random.integers(FEWEST_WORDS, MOST_WORDS + 1))
        found[" ".join(random.permutation(words)[:count]).lower()] = None
    return list(found)


def listed_searches(random: np.random.Generator) -> list[str]:
    """Return the searches of a query log, drawn with Zipf's distribution."""
    listed = [line for name in sorted(LISTS.glob("supermarket*.tsv")) for line in _queries(name)]
    weights = 1 / np.arange(1, len(listed) + 1)
    drawn = random.choice(len(listed), QUERIES, p=weights / weights.sum())
    return [listed[place] for place in drawn]


def _queries(path: Path) -> list[str]:
    lines = path.read_text("utf-8").splitlines()
    return [line.split("\t")[0] for line in lines if line.strip() and line[0] != "#"][1:]


@contextmanager
def server(command: Sequence[str], port: int) -> Iterator[int]:
    """Run a server until the end; yield its process when it answers a search."""
    running = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        for _ in range(1_200):
            if running.poll() is not None:
                raise SystemExit(f"{command[0]} ended with {running.returncode}")
            try:
                body = json.dumps({"text": "tea", "k": 3}).encode()
                head = {"content-type": "application/json"}
                with urlopen(Request(f"http://127.0.0.1:{port}/v1/search", body, head)) as answer:
                    if answer.status == 200:
                        break
            except (URLError, OSError):
                sleep(0.25)
        yield running.pid
    finally:
        running.terminate()
        running.wait(30)


def _overload(kind: str, path: str, bodies: Path, most: float, seconds: float) -> None:
    """Print how many answers come in time when more is asked than we carry, under a deadline."""
    for times in OVERLOADS:
        found = measured(OUR_PORT, path, bodies, seconds, times * most, DEADLINE_MS)
        print(
            f"vetrina  {kind}, {times} x the most: {found.in_time_per_second / most:.0%} of it "
            f"in time, {found.late} late, refusals p99 {found.refusal_p99:.1f} ms, sending took "
            f"{found.own_cpu:.0%} of a core",
            flush=True,
        )


def measured(
    port: int, path: str, bodies: Path, seconds: float, rate: float = 0.0, deadline_ms: int = 0
) -> Outcome:
    """Load a server from a process of its own, after a second to warm up."""
    for length in (1.0, seconds):
        connections = CONNECTIONS if not rate else MANY_CONNECTIONS
        load = Load(port, path, connections, length, rate, str(bodies), deadline_ms)
        command = [sys.executable, "-m", "benchmarks.serving.load", json.dumps(load._asdict())]
        printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return Outcome(**json.loads(printed))


def _print(side: str, what: str, found: Outcome, note: str = "") -> None:
    print(
        f"{side:8} {what:22} {found.per_second:7.0f}/s  p50 {found.p50:7.1f} ms  "
        f"p99 {found.p99:7.1f} ms  refused {found.refused}  "
        f"sending took {found.own_cpu:.0%} of a core  {note}",
        flush=True,
    )


def _print_memory(side: str, process: int) -> None:
    """Print the memory that each process of a server shares with nobody, where /proc tells."""
    if not Path("/proc/self/smaps_rollup").exists():
        return
    found = ", ".join(f"{private_mb(one):.0f} MB" for one in (process, *children(process)))
    print(f"{side:8} private memory of its processes: {found}", flush=True)


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    return [
        int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def private_mb(process: int) -> float:
    """Return the memory that a process wrote itself, and so shares with nobody.

    `Private_Clean` is no part of it: files of a release that one process alone has read yet.
    """
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--releases", type=Path, default=Path("artifacts/demo/releases"), help="of `make demo`"
    )
    parser.add_argument("--shop", type=Path, default=Path("artifacts/demo/shop"))
    parser.add_argument("--python", default="", help="a Python with the packages of the other side")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the model of the other side")
    parser.add_argument("--set", action="append", default=[], help="a setting of our server")
    parser.add_argument("--seconds", type=float, default=10.0)
    return parser.parse_args()


if __name__ == "__main__":
    run_benchmark(main)
