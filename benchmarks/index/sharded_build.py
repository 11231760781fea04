"""Builds an index in shards from vectors on disk, searches it memory-mapped, and prints the cost.

    python -m benchmarks sharded_build --vectors 5000000 --dim 384 --memory 12

The vectors are synthetic: overlapping clusters in LATENT dimensions, turned into --dim, with some
noise, of unit length. They are drawn from a seed and written to --folder piece by piece, 7.7 GB for
5 M of 384; the index takes another 2 GB, and its shards 2 GB while it is built. All is removed at
the end unless --keep is given.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.machine import run_benchmark
from index import use_threads
from index.vectors.libraries.shards import (
    CHUNK,
    GIB,
    build_shards,
    exact_stream,
    open_sharded,
    plan_shards,
    tune,
)

LATENT = 32  # dimensions in which neighbours differ, as they do in embeddings of texts
CLUSTERS_EACH = 250  # vectors
SPREAD = 0.7  # of a cluster, against the distance of its centre from the middle
NOISE = 0.1  # in all dimensions, against the whole


class Drawer(NamedTuple):
    """What vectors and queries are drawn around."""

    centres: np.ndarray  # [c, LATENT]
    turn: np.ndarray  # [LATENT, d]

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        dim = self.turn.shape[1]
        latent = self.centres[random.integers(len(self.centres), size=count)]
        latent = latent + SPREAD * random.standard_normal((count, LATENT), np.float32)
        drawn = latent @ self.turn
        drawn += NOISE * np.sqrt(LATENT / dim) * random.standard_normal((count, dim), np.float32)
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        return np.asarray(drawn, np.float32)


class Memory:
    """The most memory that this process and all below it held together, looked at often.

    `resident` counts a page for every process that has it, and pages of mapped files; `own` counts
    neither shared pages twice nor files, which the system takes back when it needs the room.
    """

    def __init__(self, seconds: float = 0.2) -> None:
        self.resident = self.own = 0
        self._end, self._seconds = threading.Event(), seconds
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(self._seconds):
            found = [_status(pid) for pid in tree(os.getpid())]
            self.resident = max(self.resident, sum(one["VmRSS"] for one in found))
            self.own = max(self.own, sum(one["RssAnon"] for one in found))


def tree(root: int) -> list[int]:
    """Return this process and all that it has started, and so on."""
    children = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children[parent].append(int(path.parent.name))
    found, ahead = [], [root]
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        ahead += children[pid]
    return found


def _status(pid: int) -> dict[str, int]:
    """Return the memory of a process in bytes; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        lines = []
    found = {"VmRSS": 0, "RssAnon": 0}
    for name, _, value in (line.partition(":") for line in lines):
        if name in found:
            found[name] = int(value.split()[0]) * 1024
    return found


def write_vectors(path: Path, count: int, dim: int, seed: int) -> Drawer:
    """Write synthetic vectors chunk by chunk; return what draws more of them."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((max(1, count // CLUSTERS_EACH), LATENT), np.float32)
    turn = random.standard_normal((LATENT, dim), np.float32) / np.float32(np.sqrt(dim))
    drawer = Drawer(centres, turn)
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, dim)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, count, CHUNK):
            drawer.draw(random, min(CHUNK, count - start)).tofile(file)
    return drawer


def search_mapped(folder: Path, queries: np.ndarray, k: int) -> str:
    """Search in a fresh process, one query after the other; return what it printed."""
    np.save(folder / "queries.npy", queries)
    code = "import sys; from benchmarks.index.sharded_build import ask; ask(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(folder), str(k)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ask(folder: str, k: str) -> None:
    use_threads(1)
    queries = np.load(Path(folder) / "queries.npy")
    vectors = np.load(Path(folder) / "vectors.npy", mmap_mode="r")
    index = open_sharded(Path(folder) / "built/index.faiss", vectors)
    half = len(queries) // 2
    for name, some in (("first", queries[:half]), ("later", queries[half:])):
        took = []
        for query in some:
            begun = time.perf_counter()
            index.search(query[None], int(k))
            took.append(1e3 * (time.perf_counter() - begun))
        p50, p99 = np.percentile(took, [50, 99])
        print(f"search, {name} {len(some)} queries   p50 {p50:.2f} ms, p99 {p99:.2f} ms, 1 thread")
    found = _status(os.getpid())
    print(
        f"search, memory             {found['VmRSS'] / GIB:.2f} GiB resident, "
        f"{found['RssAnon'] / GIB:.2f} GiB its own"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=5_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--memory", type=float, default=12.0, help="GiB of all processes together")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--folder", type=Path, help="where there is room; by default /tmp")
    parser.add_argument("--keep", action="store_true", help="leave vectors and index there")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sharded-", dir=given.folder))
    try:
        run(folder, given)
    finally:
        if not given.keep:
            shutil.rmtree(folder)


def run(folder: Path, given: argparse.Namespace) -> None:
    source, out = folder / "vectors.npy", folder / "built/index.faiss"
    needed = given.vectors * (given.dim * 4 + 2 * (given.dim + 8) + 8)
    free = shutil.disk_usage(folder).free
    if needed > free:
        sys.exit(f"{folder} has {free / GIB:.1f} GiB free, and {needed / GIB:.1f} GiB are needed")
    memory = int(given.memory * GIB)
    plan = plan_shards(given.vectors, given.dim, memory, given.processes)
    print(
        f"{given.vectors:,} synthetic vectors of {given.dim}, within {given.memory:g} GiB: {plan}"
    )
    drawer = write_vectors(source, given.vectors, given.dim, seed=0)
    print(f"vectors on disk            {source.stat().st_size / GIB:.2f} GiB")
    begun = time.perf_counter()
    with Memory() as peak:
        build_shards(source, out, memory=memory, processes=given.processes, threads=given.threads)
    took = time.perf_counter() - begun
    print(f"build                      {took:.1f} s, {given.processes} processes")
    print(f"build, peak memory         {peak.resident / GIB:.2f} GiB resident with mapped files, "
          f"{peak.own / GIB:.2f} GiB their own")  # fmt: skip
    bytes_each = sum(path.stat().st_size for path in out.parent.iterdir()) / given.vectors
    print(f"index on disk              {bytes_each:.0f} bytes a vector")
    measure(source, out, drawer, given)


def measure(source: Path, out: Path, drawer: Drawer, given: argparse.Namespace) -> None:
    use_threads(given.threads)
    random = np.random.default_rng(1)
    tuning, held_out = (drawer.draw(random, given.queries) for _ in range(2))
    vectors = np.load(source, mmap_mode="r")
    index = open_sharded(out, vectors)
    tuned = tune(index, source, tuning, given.k, given.target)
    index.save_effort(out)
    truth = exact_stream(source, held_out, given.k)
    found = index.search(held_out, given.k)
    pairs = zip(found, truth, strict=True)
    shares = [len(np.intersect1d(f.rows, t.rows)) / given.k for f, t in pairs]
    print(f"effort                     {tuned.effort} of {index.most_effort} cells")
    print(f"recall@{given.k} of held-out queries   {np.mean(shares):.4f} (least {min(shares):.2f})")
    print(search_mapped(source.parent, held_out, given.k), end="")


if __name__ == "__main__":
    run_benchmark(main)
