"""Kills the writer of a change log at random moments; compares the log with what it acknowledged.

    python -m benchmarks live_kills --kills 300

A kill ends the process and not the machine: what a power cut takes is up to the disk, and to
`synchronous=FULL`, with which every commit waits for it.
"""

import argparse
import os
import random
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from benchmarks.machine import run_benchmark
from pipelines.live.change_log import ChangeLog, open_change_log, replay
from pipelines.live.changes import Change, Delete, Edit, Upsert
from retrieval import Product

WRITERS = 4
MOST_LINES = 5  # of one bulk
WORDS = 40  # of a description, so that changes fill pages


def change(writer: int, number: int) -> Change:
    """Return the change that a writer makes as its `number`th: anybody can tell if it is whole."""
    name = f"w{writer}-{number}"
    if number % 5 == 3:
        return Edit(id=name, price=float(number))
    if number % 5 == 4:
        return Delete(id=name)
    return Upsert(product=Product(id=name, title=name, description=f"{name} " * WORDS))


def write_on(folder: Path, begins: list[int], pipe: int) -> None:
    """Write from several threads until killed; say what was acknowledged through the pipe."""
    log = open_change_log(folder)
    threads = [
        Thread(target=_write, args=[log, pipe, w, begins[w]], daemon=True) for w in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _write(log: ChangeLog, pipe: int, writer: int, number: int) -> None:
    random_ = random.Random(f"{writer} {number}")
    while True:
        count = random_.randint(1, MOST_LINES)
        numbers = log.append([change(writer, number + i) for i in range(count)])
        lines = [f"{n} {writer} {number + i}\n" for i, n in enumerate(numbers)]
        os.write(pipe, "".join(lines).encode())  # at once, being short
        number += count


def forked(work: Callable[[], int | None]) -> int:
    """Let a child of this process work; return its number. What it returns is its exit code."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = work() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def kill_after(seconds: float, work: Callable[[int], None]) -> list[tuple[int, int, int]]:
    """Let a child work for so long, kill it, and return what it said was acknowledged."""
    reading, writing = os.pipe()
    child = forked(lambda: work(writing))
    os.close(writing)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode().splitlines()
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit("the writer ended by itself; its message is above")
    found = [line.split() for line in said]
    return [(int(a), int(b), int(c)) for a, b, c in found]


def recover(folder: Path) -> None:
    """Open what a kill left, as a server that starts again does, and read all of it."""
    while True:
        log = open_change_log(folder)
        for _ in log.replay():
            pass
        log.close()


def compare(folder: Path, acknowledged: dict[int, tuple[int, int]]) -> list[int]:
    """Return how far each writer got; AssertionError where the log is not what it should be."""
    written: dict[int, list[int]] = defaultdict(list)
    kept: dict[int, tuple[int, int]] = {}
    for place, logged in enumerate(replay(folder), start=1):
        writer, number = (int(part) for part in logged.change.id[1:].split("-"))
        _sure(logged.sequence == place, f"change {place} is missing")
        _sure(logged.change == change(writer, number), f"{logged.change.id} is not whole")
        _sure(number == len(written[writer]), f"{logged.change.id} is out of order")
        written[writer].append(number)
        kept[place] = (writer, number)
    lost = {n: what for n, what in acknowledged.items() if kept.get(n) != what}
    _sure(not lost, f"acknowledged and lost: {list(lost.items())[:3]}")
    return [len(written[w]) for w in range(WRITERS)]


def _sure(fact: bool, message: str) -> None:  # noqa: FBT001
    if not fact:
        raise AssertionError(message)


def kill_often(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """Return how many changes were acknowledged and how many are there, none of the former lost.

    Every third kill comes while the one before is recovered from.
    """
    random_ = random.Random(seed)
    open_change_log(folder).close()
    acknowledged: dict[int, tuple[int, int]] = {}
    begins = [0] * WRITERS
    for kill in range(kills):
        if kill % 3 == 2:
            kill_after(random_.uniform(0, 0.02), lambda _: recover(folder))
            begins = compare(folder, acknowledged)
            continue
        writing = partial(write_on, folder, begins)
        said = kill_after(random_.uniform(0, 0.2), writing)
        acknowledged |= {number: (writer, place) for number, writer, place in said}
        if kill % 3 == 0:
            begins = compare(folder, acknowledged)
    return len(acknowledged), sum(compare(folder, acknowledged))


def main() -> None:
    """Kill, compare, and say how many changes survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        acknowledged, kept = kill_often(Path(folder), options.kills, options.seed)
    sys.stdout.write(
        f"{options.kills} kills: {acknowledged:,} changes acknowledged, none lost; {kept:,} kept, "
        "none half-applied\n"
    )


if __name__ == "__main__":
    run_benchmark(main)
