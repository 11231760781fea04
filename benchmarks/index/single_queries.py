"""One query a call on one thread: our designs beside their peers, in turns, by processor time.

    python -m benchmarks single_queries --data FOLDER --cache FOLDER [--limit 70000]
    python -m benchmarks single_queries --vectors VECTORS.npy --queries QUERIES.npy

Vectors and queries are those of the benchmark `index`. All ways are built first. Then each is asked
in turn, with the two efforts beside recall@100 of 0.95, again and again: so what else runs on the
machine is the same for all, and the least processor time of each counts. Ours is the whole search,
with its checks; `--kind` names the designs.
"""

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np

from benchmarks.index.__main__ import (
    TARGET,
    K,
    SearchTask,
    as_way,
    at_target,
    read_vectors,
    recall_of,
    row,
)
from benchmarks.index.drawing import OperatingPoint
from benchmarks.index.peers import Built, Threads, build_peer, peers
from benchmarks.machine import run_benchmark
from index import IndexRequirements, build_index, true_hits, use_threads

TUNING = 200  # queries that ours are tuned by
WARMING = 10  # queries that are asked before time is taken
BASE = "hnswlib, M 16"
HEAD = ("", "recall@100", "µs a query", f"times as fast as {BASE}", "bytes a vector", "built in")


class Beside(NamedTuple):
    """A way with the efforts beside the target, and the recall of each."""

    way: Built
    recalls: dict[int, float]


def main() -> None:
    options = _options()
    use_threads(1)
    vectors, queries, told = read_vectors(options)
    order = np.random.default_rng(options.seed).permutation(len(queries))
    tuning, queries = queries[order[:TUNING]], queries[order[TUNING:]]
    print(
        f"{len(vectors):,} vectors of {vectors.shape[1]} numbers: {told}; {len(queries):,} queries"
    )
    least = np.array([hits.scores[-1] for hits in true_hits(vectors, queries, K)])
    asked = SearchTask(vectors, queries, least)
    ways = [ours(kind, vectors, tuning) for kind in options.kind]
    ways += [build_peer(name, vectors, Threads(1, 1)) for name in peers(options.only)]
    gc.collect()
    report([beside_target(way, asked) for way in ways], asked, options)


def ours(kind: str, vectors: np.ndarray, tuning: np.ndarray) -> Built:
    started = perf_counter()
    planned = build_index(vectors, tuning, IndexRequirements(k=K, recall=TARGET, kind=kind))
    return as_way(planned, perf_counter() - started, "named")


def beside_target(way: Built, asked: SearchTask) -> Beside:
    """Find the last effort that finds too little and the first that finds enough."""
    recalls: dict[int, float] = {}
    for effort in way.efforts:
        way.look(effort)
        recalls[effort] = recall_of(way.rows(way.ask(asked.queries, K)), asked)
        if recalls[effort] >= TARGET:
            break
    return Beside(way, dict(list(recalls.items())[-2:]))


def report(found: Sequence[Beside], asked: SearchTask, options: argparse.Namespace) -> None:
    """Time all in turns, and print a line for each, the fastest first."""
    alone = [query[None] for query in asked.queries[: options.calls]]
    seconds: dict[tuple[str, int], float] = {}
    for _ in range(options.rounds):
        for way, recalls in found:
            for effort in recalls:
                took = timed(way, effort, alone)
                seconds[way.name, effort] = min(took, seconds.get((way.name, effort), took))
    reached = {}
    for way, recalls in found:
        rates = [(e, recall, 1 / seconds[way.name, e]) for e, recall in recalls.items()]
        met = at_target([OperatingPoint(e, recall, rate, rate) for e, recall, rate in rates])
        if met is None:
            print(f"{way.name} finds {max(recalls.values()):.4f} at most, and is left out")
        else:
            reached[way.name] = (met, way)
    print(f"\n{row(HEAD)}\n{'|---' * len(HEAD)}|")
    base = reached[BASE][0].single if BASE in reached else float("nan")
    for met, way in sorted(reached.values(), key=lambda one: -one[0].single):
        cells = [way.name, f"{met.recall:.4f}", f"{1e6 / met.single:.0f}"]
        cells += [f"{met.single / base:.2f}", f"{way.num_bytes / len(asked.vectors):,.0f}"]
        print(row([*cells, f"{way.seconds:,.0f} s"]))


def timed(way: Built, effort: int, alone: Sequence[np.ndarray]) -> float:
    """Return the seconds of processor time of one query."""
    way.look(effort)
    for query in alone[:WARMING]:
        way.ask(query, K)
    started = process_time()
    for query in alone:
        way.ask(query, K)
    return (process_time() - started) / len(alone)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder of home_depot, fashion, esci_us, …")
    parser.add_argument("--cache", type=Path, default=Path("artifacts/embeddings"))
    parser.add_argument("--limit", type=int, default=0, help="vectors at most; 0: all")
    parser.add_argument("--vectors", type=Path, help="an .npy file of unit vectors")
    parser.add_argument("--queries", type=Path, help="an .npy file of as long ones to ask with")
    parser.add_argument("--asked", type=int, default=1_200, help="queries, those to tune by too")
    parser.add_argument("--kind", action="append", default=[], help="a design of ours")
    parser.add_argument("--only", action="append", default=[], help="peers with this in their name")
    parser.add_argument("--calls", type=int, default=200, help="queries in a turn")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(synthetic=0)
    options = parser.parse_args()
    options.kind = options.kind or ["svs-f16", "ivf-pq", "hnsw"]
    if (options.vectors is None) != (options.queries is None):
        sys.exit("--vectors and --queries go together")
    if not (options.data or options.vectors):
        sys.exit("say what to search: --data FOLDER, or --vectors and --queries")
    return options


if __name__ == "__main__":
    run_benchmark(main)
