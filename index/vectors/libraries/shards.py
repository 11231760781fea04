"""Builds one index in several processes from vectors that memory does not hold.

The cells are trained on a sample, each process files its share of the vectors as a shard, and the
shards are merged on disk into an inverted file of one byte a number, which is mapped when it is
searched. What is near is scored again from the vectors themselves.
"""

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Int64

from index.arrays import map_array, save_array
from index.errors import DamagedIndex, IndexFault
from index.top_k import best
from index.types import Hits
from index.vectors.libraries.faiss_index import FaissIndex
from index.vectors.validation import fit_vectors

GIB = 2**30
A_PROCESS = GIB // 2  # what Python and the libraries take before any vector
OF_A_CELL = 50  # vectors that are sampled to train it; FAISS wants 39
CHUNK = 50_000  # vectors that are read at once
SPARE = 32  # more are taken than asked for, and a quarter of what was asked
SAME_SCORE = 1e-5  # two scores this near are the same answer


class ShardPlan(NamedTuple):
    """How a build is parted."""

    cells: int
    sample: int  # vectors that the cells are trained on
    shard: int  # vectors of one shard
    processes: int


class BuiltShards(NamedTuple):
    """What was measured of an index that was built."""

    effort: int
    recall: float


def plan_shards(num_vectors: int, dim: int, memory: int, processes: int = 2) -> ShardPlan:
    """Return how to build within `memory` bytes of all processes together, or IndexFault.

    Training holds the sample twice; a process holds a chunk twice and its shard, a byte a number
    and 8 for the row, twice while it grows.
    """
    cells = max(1, min(2 ** int(np.log2(2 * np.sqrt(max(num_vectors, 1)))), num_vectors // 39))
    sample = min(num_vectors, OF_A_CELL * cells)
    fixed = A_PROCESS + 2 * CHUNK * dim * 4 + cells * dim * 4
    training = A_PROCESS + 2 * sample * dim * 4 + cells * dim * 4
    for used in range(processes, 0, -1):
        left = (memory - A_PROCESS) // used - fixed
        shard = min(left // (2 * (dim + 8)), -(-num_vectors // used))
        if shard >= min(CHUNK, num_vectors) and training <= memory:
            return ShardPlan(cells, sample, int(shard), used)
    least = max(training, A_PROCESS + fixed) / GIB
    raise IndexFault(
        f"{num_vectors:,} vectors of {dim} dimensions need {least:.1f} GiB to be built, and "
        f"{memory / GIB:.1f} are allowed; allow more"
    )


def build_shards(
    source: Path,
    out: Path,
    rows: Int64[np.ndarray, "m"] | None = None,
    *,
    memory: int,
    processes: int = 2,
    threads: int = 2,
) -> None:
    """Build the index of an `.npy` file of vectors, in processes; `open_sharded` opens it.

    `rows` are those that have a vector, ascending; by default all. What a failed build has written
    is removed.
    """
    count, dim, _ = _head(source)
    rows = np.arange(count) if rows is None else rows
    plan = plan_shards(len(rows), dim, memory, processes)
    out.parent.mkdir(parents=True, exist_ok=True)
    trained, shards = out.with_suffix(".trained"), []
    try:
        _train(source, rows, plan, trained, threads)
        shards = _file_all(source, rows, plan, trained, threads)
        _merge(trained, shards, out)
        save_array(out.with_suffix(".rows.npy"), rows)
    except (RuntimeError, OSError) as e:
        for written in (out, _lists(out), out.with_suffix(".rows.npy")):
            written.unlink(missing_ok=True)
        raise IndexFault(f"{out.name} cannot be built: {str(e)[-200:]}") from None
    finally:
        for scratch in (trained, *out.parent.glob(f"{out.stem}.shard-*")):
            scratch.unlink(missing_ok=True)


class ShardedIndex:
    """An inverted file that is mapped, with scores from the vectors themselves."""

    def __init__(self, index: FaissIndex, vectors: Float32[np.ndarray, "n d"]) -> None:
        self._index = index
        self._vectors = vectors

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return self._index.dim

    @property
    def size(self) -> int:
        """How many rows the catalogue has, with a vector or without."""
        return self._index.size

    @property
    def effort(self) -> int:
        """How many cells a search visits."""
        return self._index.effort

    @effort.setter
    def effort(self, value: int) -> None:
        self._index.effort = value

    @property
    def most_effort(self) -> int:
        """Where more effort finds nothing more."""
        return self._index.most_effort

    def search(
        self,
        queries: Float32[np.ndarray, "q d"],
        k: int,
        allowed: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Hits]:
        """Return at most `k` hits a query; scores are inner products, ties go to the lower row."""
        near = k + k // 4 + SPARE if k else 0
        found = self._index.search(queries, near, allowed)
        return [self._again(q, hits, k) for q, hits in zip(queries, found, strict=True)]

    def save_effort(self, path: Path) -> None:
        """Write the effort into the file that this was opened from."""
        index = _read(path)
        faiss.extract_index_ivf(index).nprobe = self.effort
        faiss.write_index(index, str(path))

    def _again(self, query: Float32[np.ndarray, "d"], hits: Hits, k: int) -> Hits:
        scores = np.asarray(self._vectors[hits.rows] @ np.asarray(query, np.float32), np.float32)
        nearest = best(hits.rows, scores, k)
        return Hits(nearest.rows, nearest.scores, hits.plan)


def is_sharded(path: Path) -> bool:
    """Tell whether `build_shards` wrote this file."""
    return _lists(path).exists()


def open_sharded(path: Path, vectors: Float32[np.ndarray, "n d"]) -> ShardedIndex:
    """Map an index of `build_shards` into memory; the caller has checked its checksums."""
    rows = map_array(path.with_suffix(".rows.npy"))
    index = _read(path)
    if index.ntotal != len(rows) or index.d != vectors.shape[1]:
        raise DamagedIndex(
            f"{path.name} holds {index.ntotal} vectors of {index.d} dimensions, but "
            f"{len(rows)} of {vectors.shape[1]} belong to it"
        )
    return ShardedIndex(FaissIndex(index, vectors, rows), vectors)


def tune(
    index: ShardedIndex,
    source: Path,
    queries: Float32[np.ndarray, "q d"],
    k: int = 100,
    target: float = 0.95,
) -> BuiltShards:
    """Double the effort until recall@k on these queries meets the target; exact search streams."""
    truth = list(exact_stream(source, queries, k))  # fewer than k where there are no more
    effort = 8
    while True:
        index.effort = effort
        shares = [
            np.mean(np.pad(hits.scores, (0, k))[: len(true.scores)] >= true.scores[-1] - SAME_SCORE)
            for hits, true in zip(index.search(queries, k), truth, strict=True)
        ]
        recall = float(np.mean(shares))
        if recall >= target or effort >= index.most_effort:
            return BuiltShards(index.effort, recall)
        effort *= 2


def exact_stream(source: Path, queries: Float32[np.ndarray, "q d"], k: int) -> list[Hits]:
    """Return the `k` highest inner products of each query, reading the vectors once."""
    count, _, _ = _head(source)
    nothing = Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    found = [nothing for _ in queries]
    for start in range(0, count, CHUNK):
        rows = np.arange(start, min(start + CHUNK, count))
        scores = queries @ read_vectors(source, rows).T  # [q, n]
        for place, column in enumerate(scores):
            near = best(rows, column, k)
            both = np.concatenate([found[place].rows, near.rows])
            found[place] = best(both, np.concatenate([found[place].scores, near.scores]), k)
    return found


def read_vectors(source: Path, rows: Int64[np.ndarray, "m"]) -> Float32[np.ndarray, "m d"]:
    """Read these ascending rows of an `.npy` file; it is not mapped, so no memory stays taken."""
    count, dim, offset = _head(source)
    if not len(rows):
        return np.empty((0, dim), np.float32)
    first, last = int(rows[0]), int(rows[-1])
    if last >= count:
        raise IndexFault(f"{source.name} holds {count:,} vectors, and row {last:,} was asked for")
    with source.open("rb") as file:
        file.seek(offset + first * dim * 4)
        span = np.fromfile(file, np.float32, (last - first + 1) * dim)
    if len(span) != (last - first + 1) * dim:
        raise DamagedIndex(f"{source.name} ends before its {count:,} vectors do")
    table = span.reshape(-1, dim)
    return table if len(table) == len(rows) else table[rows - first]


def _head(source: Path) -> tuple[int, int, int]:
    """Return count, dimension and first byte of the vectors of an `.npy` file."""
    array = np.load(source, mmap_mode="r", allow_pickle=False)
    if array.ndim != 2 or array.dtype != np.float32 or not array.flags.c_contiguous:
        raise IndexFault(
            f"{source.name} holds {array.dtype} of shape {array.shape}; a build in shards reads a "
            "matrix of float32, a vector a row"
        )
    return array.shape[0], array.shape[1], int(array.offset)


def _train(
    source: Path, rows: Int64[np.ndarray, "m"], plan: ShardPlan, out: Path, threads: int
) -> None:
    """Train the cells and the bytes on a sample that lies evenly over the rows."""
    places = np.linspace(0, len(rows) - 1, plan.sample).astype(np.int64)
    parts = _chunks(rows[places], max(1, CHUNK * plan.sample // max(len(rows), 1)))
    sample = fit_vectors(np.concatenate([read_vectors(source, part) for part in parts]), "index")
    faiss.omp_set_num_threads(threads)
    factory = f"IVF{plan.cells},SQ8"
    index = faiss.index_factory(sample.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    ivf = faiss.extract_index_ivf(index)
    ivf.cp.niter, ivf.cp.seed = 10, 1234
    ivf.cp.max_points_per_centroid = OF_A_CELL
    index.train(sample)
    faiss.write_index(index, str(out))


def _file_all(
    source: Path, rows: Int64[np.ndarray, "m"], plan: ShardPlan, trained: Path, threads: int
) -> list[Path]:
    starts = range(0, len(rows), plan.shard)
    shards = [trained.with_name(f"{trained.stem}.shard-{i}") for i in range(len(starts))]
    each = max(1, threads // plan.processes)
    spawn = multiprocessing.get_context("spawn")  # a fork would take FAISS's threads along, dead
    with ProcessPoolExecutor(plan.processes, spawn) as pool:
        waiting = [
            pool.submit(_file_one, source, rows[s : s + plan.shard], s, trained, shard, each)
            for s, shard in zip(starts, shards, strict=True)
        ]
        try:
            for one in waiting:
                one.result()
        except BrokenProcessPool:
            raise RuntimeError("a process ended early; was there too little memory?") from None
    return shards


def _file_one(
    source: Path,
    rows: Int64[np.ndarray, "m"],
    start: int,
    trained: Path,
    out: Path,
    threads: int,
) -> None:
    """Put one share of the vectors into the cells; places count from `start`."""
    faiss.omp_set_num_threads(threads)
    index = faiss.read_index(str(trained))
    for part in _chunks(rows, CHUNK):
        vectors = fit_vectors(read_vectors(source, part), f"index, from row {part[0]:,}")
        places = np.arange(start, start + len(part))
        index.add_with_ids(vectors, places)
        start += len(part)
    faiss.write_index(index, str(out))


def _merge(trained: Path, shards: list[Path], out: Path) -> None:
    """Write the lists of all shards, one after the other, into a file that is mapped."""
    index = faiss.read_index(str(trained))
    ivf = faiss.extract_index_ivf(index)
    parts = [faiss.read_index(str(shard), faiss.IO_FLAG_MMAP) for shard in shards]
    lists = faiss.InvertedListsPtrVector()
    for part in parts:
        lists.push_back(faiss.extract_index_ivf(part).invlists)
    merged = faiss.OnDiskInvertedLists(ivf.nlist, ivf.code_size, str(_lists(out)))
    with _quiet():
        index.ntotal = merged.merge_from_multiple(lists.data(), lists.size(), False)
    ivf.replace_invlists(merged, True)
    merged.this.disown()
    faiss.write_index(index, str(out))


def _read(path: Path) -> faiss.Index:
    """Read the head of an index; its lists are mapped from the file that lies beside it."""
    flags = faiss.IO_FLAG_READ_ONLY | faiss.IO_FLAG_ONDISK_SAME_DIR
    try:
        with _quiet():
            return faiss.read_index(str(path), flags)
    except RuntimeError as e:
        raise DamagedIndex(f"{path.name} is not a FAISS index: {str(e)[-200:]}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from standard output what FAISS prints about files, which nobody can switch off."""
    sys.stdout.flush()
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        kept = os.dup(1)
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            ctypes.CDLL(None).fflush(None)
            os.dup2(kept, 1)
            os.close(kept)


def _lists(out: Path) -> Path:
    return out.with_suffix(".lists")


def _chunks(rows: Int64[np.ndarray, "m"], size: int) -> Iterator[Int64[np.ndarray, "c"]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
