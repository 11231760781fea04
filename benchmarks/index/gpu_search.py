"""Exact and approximate vector search on a GPU, beside the processor of the same machine.

    python -m benchmarks gpu_search [--rows 1000000]

The vectors are synthetic: clusters on the unit sphere whose spread is such that an inverted file
loses answers. Each way is asked the same queries for 100 answers, one query a call and 256 a call.
`GpuScan` is what a server with a GPU searches with; the peers are FAISS's own indexes on the
GPU, and FAISS on the processor. An inverted file is tuned on other queries until it finds 0.95.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import faiss
import numpy as np
import torch
from jaxtyping import Float32

from benchmarks.machine import run_benchmark
from index import FaissIndex, GpuScan, Hits, num_gpus, recall_at_k, use_threads, why_no_cagra
from index.vectors.libraries.cagra import cagra_graph
from index.vectors.planning.designs import design_named

DIM, K, BATCH = 384, 100, 256
QUERIES, CALLS, BATCHES = 512, 200, 20
CELLS = 4096
TARGET = 0.95
NODES_ON_GPU = 256  # that a walk keeps
MOST_NODES = 3_200
ROW = "{:42} {:>8} {:>9} {:>10} {:>10} {:>12}"

Vectors = Float32[np.ndarray, "n d"]
Search = Callable[[Vectors, int], list[Hits]]


class Way(NamedTuple):
    """One way to search, ready to be asked."""

    name: str
    search: Search
    seconds: float  # to build it
    num_bytes: int


def main() -> None:
    options = _options()
    if not torch.cuda.is_available():
        sys.exit("torch sees no GPU here: there is nothing to measure")
    use_threads(options.threads)
    torch.set_num_threads(options.threads)
    vectors, queries, tuning = synthetic(options.rows)
    print(f"{torch.cuda.get_device_name()}; {options.threads} threads of the processor")
    print(f"{options.rows:,} synthetic vectors of {DIM} numbers, {QUERIES} queries, {K} answers")
    scan = GpuScan(vectors)
    truth = exact(vectors, queries)
    print(ROW.format("", "recall", "build s", "GB", "p50 ms", "queries/s"))
    for way in ways(vectors, tuning, exact(vectors, tuning), scan):
        show(way, queries, truth)


def synthetic(rows: int) -> tuple[Vectors, Vectors, Vectors]:
    """Return vectors, queries and queries for tuning: 20 vectors a cluster, cosine 0.6 within."""
    random = np.random.default_rng(0)
    centres = _unit(random.standard_normal((max(rows // 20, 1), DIM), np.float32))

    def drawn(count: int) -> Vectors:
        noise = _unit(random.standard_normal((count, DIM), np.float32))
        return _unit(centres[random.integers(0, len(centres), count)] + 0.8 * noise)

    return drawn(rows), drawn(QUERIES), drawn(QUERIES)


def exact(vectors: Vectors, queries: Vectors) -> list[Hits]:
    """Return the true answers, by float32 products on the GPU."""
    held = torch.from_numpy(vectors).cuda()
    answers = []
    torch.backends.cuda.matmul.allow_tf32 = False
    for part in torch.split(torch.from_numpy(queries).cuda(), 64):
        found = (part @ held.T).topk(K)
        answers += [
            Hits(rows, scores)
            for rows, scores in zip(
                found.indices.cpu().numpy(), found.values.cpu().numpy(), strict=True
            )
        ]
    return answers


def ways(vectors: Vectors, tuning: Vectors, truth: list[Hits], scan: GpuScan) -> list[Way]:
    """Build each index, and tune what can be tuned."""
    half = 2 * vectors.size
    start = perf_counter()
    GpuScan(vectors)
    made = [Way("exact, halves on the GPU (GpuScan)", scan.search, perf_counter() - start, half)]
    if num_gpus():
        made += _faiss_on_gpu(vectors, tuning, truth)
    else:
        print("FAISS sees no GPU here: its own indexes on the GPU are left out")
    return [*made, *_on_processor(vectors, tuning, truth)]


def _faiss_on_gpu(vectors: Vectors, tuning: Vectors, truth: list[Hits]) -> list[Way]:
    resources = faiss.StandardGpuResources()
    flat = faiss.GpuIndexFlatConfig()
    flat.useFloat16 = True
    start = perf_counter()
    halves = faiss.GpuIndexFlatIP(resources, DIM, flat)
    halves.add(vectors)
    made = [
        Way("FAISS GpuIndexFlat, halves", _asked(halves), perf_counter() - start, 2 * vectors.size)
    ]
    start = perf_counter()
    cells = faiss.GpuIndexIVFFlat(resources, DIM, CELLS, faiss.METRIC_INNER_PRODUCT)
    cells.train(vectors)
    cells.add(vectors)
    seconds = perf_counter() - start
    probes = _tuned(cells, tuning, truth)
    name = f"FAISS GpuIndexIVFFlat, {probes} of {CELLS} cells"
    made += [Way(name, _asked(cells), seconds, 4 * vectors.size)]
    if why_no_cagra():
        print(f"CAGRA is left out: {why_no_cagra()}")
        return made
    return [*made, *_cagra(vectors, tuning, truth, resources)]


def _cagra(vectors: Vectors, tuning: Vectors, truth: list[Hits], resources: Any) -> list[Way]:
    """Build the graph that a release may hold, and walk it on the GPU and on the processor."""
    start = perf_counter()
    served = design_named("cagra").build(vectors, np.arange(len(vectors)))
    seconds = perf_counter() - start
    served.effort = K
    while recall_at_k(served, tuning, truth) < TARGET and served.effort < MOST_NODES:
        served.effort *= 2
    num_bytes = design_named("cagra").num_bytes(*vectors.shape)
    graph = faiss.index_cpu_to_gpu(resources, 0, cagra_graph(vectors))
    parameters = faiss.SearchParametersCagra()
    parameters.itopk_size = NODES_ON_GPU

    def on_gpu(queries: Vectors, k: int) -> list[Hits]:
        scores, rows = graph.search(queries, k, params=parameters)
        return [Hits(r, s) for r, s in zip(rows, scores, strict=True)]

    return [
        Way(f"FAISS CAGRA on the GPU, {NODES_ON_GPU} nodes", on_gpu, seconds, num_bytes),
        Way(f"CAGRA walked by the processor, {served.effort}", served.search, seconds, num_bytes),
    ]


def _on_processor(vectors: Vectors, tuning: Vectors, truth: list[Hits]) -> list[Way]:
    """Return what a release holds: built on the GPU where FAISS sees one, served without."""
    start = perf_counter()
    built = FaissIndex.build(vectors, f"IVF{CELLS},Flat")
    seconds = perf_counter() - start
    with TemporaryDirectory() as folder:
        built.save(Path(folder) / "some.faiss")
        num_bytes = (Path(folder) / "some.faiss").stat().st_size
        served = FaissIndex.open(Path(folder) / "some.faiss", vectors)
    served.effort = 1
    while recall_at_k(served, tuning, truth) < TARGET and served.effort < CELLS:
        served.effort *= 2
    where = "built on the GPU" if num_gpus() else "built there"
    name = f"processor, {served.effort} of {CELLS} cells, {where}"
    return [Way(name, served.search, seconds, num_bytes)]


def _tuned(cells: faiss.Index, tuning: Vectors, truth: list[Hits]) -> int:
    cells.nprobe = 1
    search = _asked(cells)
    while _recall(search, tuning, truth) < TARGET and cells.nprobe < 2048:
        cells.nprobe = 2 * cells.nprobe
    return int(cells.nprobe)


def _asked(index: faiss.Index) -> Search:
    def search(queries: Vectors, k: int) -> list[Hits]:
        scores, rows = index.search(queries, k)
        return [Hits(r, s) for r, s in zip(rows, scores, strict=True)]

    return search


def show(way: Way, queries: Vectors, truth: list[Hits]) -> None:
    """Print what a way finds and how fast: one query a call, and 256 a call."""
    recall = _recall(way.search, queries, truth)
    alone = _seconds(lambda i: way.search(queries[i % QUERIES][None], K), CALLS)
    batch = _seconds(lambda _: way.search(queries[:BATCH], K), BATCHES)
    print(
        ROW.format(
            way.name,
            f"{recall:.4f}",
            f"{way.seconds:.1f}",
            f"{way.num_bytes / 1e9:.2f}",
            f"{1000 * np.median(alone):.2f}",
            f"{BATCH / np.median(batch):,.0f}",
        ),
        flush=True,
    )


def _recall(search: Search, queries: Vectors, truth: list[Hits]) -> float:
    found = search(queries, K)
    return float(
        np.mean([np.isin(a.rows[:K], b.rows).mean() for a, b in zip(found, truth, strict=True)])
    )


def _seconds(call: Callable[[int], object], times: int) -> list[float]:
    for i in range(3):
        call(i)
    taken = []
    for i in range(times):
        start = perf_counter()
        call(i)
        taken.append(perf_counter() - start)
    return taken


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    run_benchmark(main)
