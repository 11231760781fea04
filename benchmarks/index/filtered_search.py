"""Recall and latency of filtered vector search, by how many rows pass and where they lie.

    python -m benchmarks filtered_search --data FOLDER [--limit 20000] [--vectors CACHE.npy]
    python -m benchmarks filtered_search --data FOLDER --costs

FOLDER holds home_depot/labels.parquet, fashion/styles.parquet and esci_us/products.parquet; their
distinct titles are encoded by the packaged MiniLM (`--vectors` keeps the result, and is read where
it exists). A query is the first three words of a title. For each query a filter keeps 50, 10, 1,
0.1 and 0.01 % of the rows: any ("random"), the most similar ("towards"), or the least similar
("against", the hardest there is: thousands of rows are nearly as good as the best that pass).

Ours is the index that a build plans, what it plans without SVS, and HNSW; peers are FAISS over all
lists with a bitmap, its flat index with one, and hnswlib with a filter, whose effort is doubled
until it reaches the recall asked for. One query at a time, one thread; making the filter is not
timed. `--costs` prints the constants of `index/vectors/filtered_search.py` instead.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import faiss
import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import run_benchmark
from index import ExactIndex, FaissIndex, Hits, IndexRequirements, build_index, use_threads
from index.vectors.approximate import ApproximateIndex
from index.vectors.filtered_search import Costs, replaced
from index.vectors.scans.byte_codes import DRAWN, FEWEST, ByteCodes
from retrieval.encoders.text import open_text_encoder

TITLES = {
    "home_depot/labels.parquet": "product_title",
    "fashion/styles.parquet": "productDisplayName",
    "esci_us/products.parquet": "title",
}
MODEL = "all-MiniLM-L6-v2"
KEPT = (0.5, 0.1, 0.01, 0.001, 0.0001)
FAVOUR = ("random", "towards", "against")
WANTED = 0.98  # recall that a peer's effort is raised to, and that ours must hold
MOST_EFFORT = 20_000  # of hnswlib, beyond which it is given up
WORDS = 3
QUERY_SHARE = 0.5  # of the rows are scored by --costs
ROW = "{:>7} {:8} {:24} {:>7} {:>9}  {}"

Search = Callable[[np.ndarray, np.ndarray], Hits]  # a query and who passes


class Cell(NamedTuple):
    """Queries with who passes for each, and the right answers."""

    kept: float
    favour: str
    queries: np.ndarray
    allowed: list[np.ndarray]
    truth: list[Hits]


class SearchFigures(NamedTuple):
    """What one way made of one cell."""

    recall: float
    p50_ms: float
    said: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0, help="titles at most; 0: all")
    parser.add_argument("--vectors", type=Path, help="an .npy file to keep the vectors in")
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--costs", action="store_true")
    asked = parser.parse_args()
    use_threads(1)
    vectors, queries = vectors_of(asked)
    if asked.costs:
        print_costs(measured_costs(vectors))
        return
    compare(vectors, queries, asked.k, asked.seed)


def vectors_of(asked: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of the titles, and of the queries."""
    titles = drawn_titles(asked.data, asked.limit, asked.seed)
    encoder = open_text_encoder(MODEL, max_tokens=64)
    queries = encoder.encode([" ".join(title.split()[:WORDS]) for title in titles[: asked.queries]])
    if asked.vectors and asked.vectors.is_file():
        vectors = np.load(asked.vectors, allow_pickle=False)
        if len(vectors) != len(titles):
            sys.exit(
                f"{asked.vectors} holds {len(vectors):,} vectors, but there are {len(titles):,} "
                "titles; remove it, or give the limit that it was made with"
            )
    else:
        vectors = encoder.encode(titles)
        if asked.vectors:
            np.save(asked.vectors, vectors, allow_pickle=False)
    return np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(queries, np.float32)


def drawn_titles(data: Path, limit: int, seed: int) -> list[str]:
    found: dict[str, None] = {}
    for name, column in TITLES.items():
        if not (data / name).is_file():
            sys.exit(f"{data / name} is missing; --data is the folder that holds {name}")
        titles = pq.read_table(data / name, columns=[column])[column].to_pylist()
        found.update(dict.fromkeys(title for title in titles if title and title.strip()))
    titles = sorted(found)
    order = np.random.default_rng(seed).permutation(len(titles))
    return [titles[place] for place in order[: limit or None]]


def compare(vectors: np.ndarray, queries: np.ndarray, k: int, seed: int) -> None:
    ours, peers = our_ways(vectors, queries, k), peer_ways(vectors, k)
    print(f"{len(vectors):,} vectors of {vectors.shape[1]} numbers, {len(queries)} queries, k={k}")
    print(ROW.format("kept", "filter", "", "recall", "p50 ms", "ways"))
    slowest: dict[str, SearchFigures] = {}
    for cell in cells(vectors, queries, k, seed):
        for name, search in {**ours, **peers}.items():
            measured = measure(cell, search)
            print(row(cell, name, measured), flush=True)
            before = slowest.get(name, SearchFigures(1.0, 0.0, ""))
            slowest[name] = SearchFigures(
                min(before.recall, measured.recall), max(before.p50_ms, measured.p50_ms), ""
            )
    print_worst(slowest, list(ours), list(peers))


def cells(vectors: np.ndarray, queries: np.ndarray, k: int, seed: int) -> Iterator[Cell]:
    exact, scores = ExactIndex(vectors), queries @ vectors.T
    for kept in KEPT:
        for favour in FAVOUR:
            random = np.random.default_rng(seed)
            allowed = [who_passes(one, kept, favour, random) for one in scores]
            truth = [
                exact.search(query[None], k, passes)[0]
                for query, passes in zip(queries, allowed, strict=True)
            ]
            yield Cell(kept, favour, queries, allowed, truth)


def who_passes(
    scores: np.ndarray, kept: float, favour: str, random: np.random.Generator
) -> np.ndarray:
    """Keep this share of the rows: any, those most like the query, or those least like it."""
    keys = {"random": random.random(len(scores)), "towards": -scores, "against": scores}
    count = max(round(kept * len(scores)), 1)
    allowed = np.zeros(len(scores), bool)
    allowed[np.argpartition(keys[favour], count - 1)[:count]] = True
    return allowed


def our_ways(vectors: np.ndarray, queries: np.ndarray, k: int) -> dict[str, Search]:
    ways = {}
    for kind in ("", "ivf-pq", "hnsw"):
        planned = build_index(vectors, queries, IndexRequirements(kind=kind, k=k))
        ways[f"ours, {planned.kind}"] = searching(planned.built, k)
    return ways


def searching(index: ApproximateIndex, k: int) -> Search:
    return lambda query, allowed: index.search(query[None], k, allowed)[0]


def peer_ways(vectors: np.ndarray, k: int) -> dict[str, Search]:
    ways = {"faiss IVF, all lists": all_lists(vectors, k), "faiss Flat": flat(vectors, k)}
    if find_spec("hnswlib") is None:
        print("hnswlib is not installed and is left out")
    else:
        ways["hnswlib, filter"] = hnswlib_filtered(vectors, k)
    return ways


def all_lists(vectors: np.ndarray, k: int) -> Search:
    cells = 2 ** int(np.round(np.log2(4 * np.sqrt(len(vectors)))))
    index = faiss.index_factory(
        vectors.shape[1], f"IVF{min(cells, len(vectors) // 39)},Flat", faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors)
    index.add(vectors)
    return with_bitmap(index, k, lambda s: faiss.SearchParametersIVF(sel=s, nprobe=index.nlist))


def flat(vectors: np.ndarray, k: int) -> Search:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return with_bitmap(index, k, lambda selector: faiss.SearchParameters(sel=selector))


def with_bitmap(index: Any, k: int, parameters: Callable[[Any], Any]) -> Search:
    def search(query: np.ndarray, allowed: np.ndarray) -> Hits:
        selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        scores, rows = index.search(query[None], k, params=parameters(selector))
        found = rows[0] >= 0
        return Hits(rows[0][found], scores[0][found])

    return search


class hnswlib_filtered:
    """hnswlib with a filter in Python; `ef` is what the last cell needed."""

    def __init__(self, vectors: np.ndarray, k: int) -> None:
        import hnswlib

        self._k, self.ef = k, k
        self._index = hnswlib.Index("ip", vectors.shape[1])
        self._index.init_index(len(vectors), M=32, ef_construction=200, random_seed=1)
        self._index.set_num_threads(1)
        self._index.add_items(vectors)

    def __call__(self, query: np.ndarray, allowed: np.ndarray) -> Hits:
        self._index.set_ef(self.ef)
        k = min(self._k, int(allowed.sum()))
        try:
            rows, distances = self._index.knn_query(query[None], k, filter=allowed.__getitem__)
        except RuntimeError:  # fewer than k found
            return Hits(np.empty(0, np.int64), np.empty(0, np.float32))
        return Hits(rows[0].astype(np.int64), (1 - distances[0]).astype(np.float32))


def measure(cell: Cell, search: Search) -> SearchFigures:
    """Return recall and median latency; a peer whose effort can be raised is raised first."""
    if not isinstance(search, hnswlib_filtered):
        return measured_once(cell, search)
    search.ef = len(cell.truth[0].rows)
    while True:
        measured = measured_once(cell, search)
        if measured.recall >= WANTED or search.ef >= MOST_EFFORT:
            return measured._replace(said=f"ef {search.ef}")
        search.ef *= 2


def measured_once(cell: Cell, search: Search) -> SearchFigures:
    recalls, times, said = [], [], {}
    for query, allowed, true in zip(cell.queries, cell.allowed, cell.truth, strict=True):
        started = perf_counter()
        hits = search(query, allowed)
        times.append(1_000 * (perf_counter() - started))
        recalls.append(1 - replaced(hits, true, len(true.rows)))
        if hits.plan:
            said[str(hits.plan.way)] = [*said.get(str(hits.plan.way), []), hits.plan.exactness]
    ways = ", ".join(f"{len(e)} {way} (exactness {np.mean(e):.3f})" for way, e in said.items())
    return SearchFigures(float(np.mean(recalls)), float(np.median(times)), ways)


def row(cell: Cell, name: str, measured: SearchFigures) -> str:
    return ROW.format(
        f"{cell.kept:.2%}",
        cell.favour,
        name,
        f"{measured.recall:.4f}",
        f"{measured.p50_ms:.3f}",
        measured.said,
    )


def print_worst(slowest: dict[str, SearchFigures], ours: list[str], peers: list[str]) -> None:
    print("\nworst recall and slowest cell of each")
    for name, worst in slowest.items():
        print(f"{name:24} recall {worst.recall:.4f}, {worst.p50_ms:.3f} ms")
    able = [slowest[name].p50_ms for name in peers if slowest[name].recall >= WANTED]
    for name in ours:
        if able:
            print(f"{name}: {slowest[name].p50_ms / min(able):.2f} of the best peer's slowest cell")


def measured_costs(vectors: np.ndarray) -> Costs:
    """Measure each step of a search alone, in nanoseconds."""
    query = vectors[:1]
    half = np.random.default_rng(0).random(len(vectors)) < QUERY_SHARE
    index = FaissIndex.build(vectors, "Flat")
    score = nanoseconds(lambda: index.search(query, 10, half)) / half.sum()
    few, many = (passing_none(vectors, cells) for cells in (16, len(vectors) // 64))
    cell = (many - few) / (len(vectors) // 64 - 16)
    skip = (few - 16 * cell) / len(vectors)
    graph = FaissIndex.build(vectors, "HNSW32")
    narrow, wide = (searched(graph, query, effort) for effort in (100, 400))
    step = (wide - narrow) / 300
    codes, passed = ByteCodes.build(vectors, np.arange(len(vectors))), half.sum()
    shallow, deep = (scanned_bytes(codes, vectors, query, half, k) for k in (10, 1_010))
    again = (deep - shallow) / 1_000
    in_full = 10 + FEWEST + DRAWN
    byte = (shallow - len(vectors) * max(skip, 0) - in_full * again) / passed
    return Costs(score, max(skip, 0), cell, step, byte, again, *codes_of(vectors))


def codes_of(vectors: np.ndarray) -> tuple[float, float]:
    """Return how long entering a cell of product codes takes, and comparing one of them."""
    per_cell, slopes = (64, 512), []
    for rows in per_cell:
        index = FaissIndex.build(
            vectors, f"IVF{len(vectors) // rows},PQ{vectors.shape[1] // 2}x4fs", deeper=2.5
        )
        few, many = (searched_each(index, vectors[::997], effort) for effort in (16, 64))
        slopes.append((many - few) / 48)
    code = (slopes[1] - slopes[0]) / (per_cell[1] - per_cell[0])
    return slopes[0] - per_cell[0] * code, code


def passing_none(vectors: np.ndarray, cells: int) -> float:
    """Return how long looking into all cells takes where no row passes."""
    index = faiss.index_factory(vectors.shape[1], f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    nobody = faiss.IDSelectorBitmap(np.zeros(len(vectors) // 8 + 1, np.uint8))
    chosen = faiss.SearchParametersIVF(sel=nobody, nprobe=cells)
    return nanoseconds(lambda: index.search(vectors[:1], 10, params=chosen))


def searched(index: FaissIndex, query: np.ndarray, effort: int) -> float:
    index.effort = effort
    return nanoseconds(lambda: index.search(query, 10))


def searched_each(index: FaissIndex, queries: np.ndarray, effort: int) -> float:
    """Return how long one of several queries takes, whose cells no query before it has read."""
    index.effort = effort
    return nanoseconds(lambda: [index.search(query[None], 10) for query in queries]) / len(queries)


def scanned_bytes(
    codes: ByteCodes, vectors: np.ndarray, query: np.ndarray, allowed: np.ndarray, k: int
) -> float:
    return nanoseconds(lambda: codes.best(codes.estimate(vectors, query, k, allowed)))


def nanoseconds(work: Callable[[], Any], repetitions: int = 15) -> float:
    """Return the fastest of a few runs: other work on the machine only adds."""
    work()
    times = []
    for _ in range(repetitions):
        started = perf_counter()
        work()
        times.append(perf_counter() - started)
    return min(times) * 1e9


def print_costs(costs: Costs) -> None:
    for name, measured in costs._asdict().items():
        print(f"{name:6} {measured:10,.1f} ns, {measured / costs.score:8.2f} scores")


if __name__ == "__main__":
    run_benchmark(main)
