"""The libraries that the index benchmark compares, each called as its own documentation does."""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import faiss
import numpy as np
from jaxtyping import Float32

from index import ApproximateIndex, FaissIndex, SvsIndex, save_index
from index.vectors.libraries.svs_index import PARTS, vectors_of
from index.vectors.planning.designs import cells_of

Vectors = Float32[np.ndarray, "n d"]
Ask = Callable[[Vectors, int], Any]  # queries, and how many answers each

NODES = (100, 120, 150, 200, 300, 450, 700)  # that a graph keeps; none looks at fewer than k
WALKS = (30, 40, 50, 60, 75, 90, 110, 140, 200, 300, 450)  # SVS may stop before k are settled
CELLS = (8, 16, 32, 64, 128, 256, 512)


class Threads(NamedTuple):
    """How many threads a peer is built on, and how many it searches on."""

    build: int
    search: int


class Built(NamedTuple):
    """An index that is ready: how it is asked, and how hard it can look."""

    name: str
    ask: Ask
    rows: Callable[[Any], np.ndarray]  # of an answer to many queries, [q, k]
    look: Callable[[int], None]
    efforts: tuple[int, ...]
    seconds: float  # to build
    num_bytes: int  # on disk


def peers(only: Sequence[str]) -> Iterator[str]:
    """Yield the peers with one of these in their names; what is not installed is left out."""
    for name, (module, _) in PEERS.items():
        if only and not any(part in name for part in only):
            continue
        if find_spec(module) is None:
            print(f"{module} is not installed, and {name} is left out", flush=True)
            continue
        yield name


def build_peer(name: str, vectors: Vectors, threads: Threads) -> Built:
    """Build a peer, and let it search on other threads than it is built on."""
    _, build = PEERS[name]
    started = perf_counter()
    ask, rows, look, efforts, save = build(vectors, threads)
    seconds = perf_counter() - started
    return Built(name, ask, rows, look, efforts, seconds, bytes_of(save))


def bytes_of(save: Callable[[Path], Any]) -> int:
    """Return how many bytes an index writes."""
    with TemporaryDirectory() as folder:
        save(Path(folder) / "index")
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


def directly(ours: ApproximateIndex, threads: int) -> tuple[Ask, Callable[[int], None]] | None:
    """Open the same index with its own library; None where ours adds scores of its own."""
    if ours.deeper:
        return None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "same.faiss"
        save_index(ours, path)
        if isinstance(ours, SvsIndex):
            return _svs_directly(path.with_suffix(".svs"), ours.dim, threads)
        assert isinstance(ours, FaissIndex)
        index = faiss.read_index(str(path))
    return index.search, lambda effort: _look_faiss(index, effort)


def _svs_directly(folder: Path, dim: int, threads: int) -> tuple[Ask, Callable[[int], None]]:
    import svs

    config, graph, _ = (str(folder / part) for part in PARTS)
    loader = vectors_of(svs, folder, dim)
    index = svs.Vamana(
        config, svs.GraphLoader(graph), loader, svs.DistanceType.MIP, num_threads=threads
    )

    def look(effort: int) -> None:
        parameters = index.search_parameters
        parameters.buffer_config = svs.SearchBufferConfig(effort, max(effort, 100))
        index.search_parameters = parameters

    return index.search, look


def _hnswlib(edges: int) -> Callable[..., tuple]:
    def build(vectors: Vectors, threads: Threads) -> tuple:
        import hnswlib

        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), M=edges, ef_construction=200, random_seed=1)
        index.add_items(vectors, num_threads=threads.build)
        index.set_num_threads(threads.search)
        return (
            lambda queries, k: index.knn_query(queries, k),
            lambda answer: answer[0],
            index.set_ef,
            NODES,
            lambda path: index.save_index(str(path)),
        )

    return build


def _usearch(kind: str) -> Callable[..., tuple]:
    def build(vectors: Vectors, threads: Threads) -> tuple:
        from usearch.index import Index

        index = Index(ndim=vectors.shape[1], metric="ip", dtype=kind)
        index.add(np.arange(len(vectors)), vectors, threads=threads.build)

        def look(effort: int) -> None:
            index.expansion_search = effort

        return (
            lambda queries, k: index.search(queries, k, threads=threads.search),
            lambda answer: answer.keys.reshape(-1, answer.keys.shape[-1]),
            look,
            NODES,
            lambda path: index.save(str(path)),
        )

    return build


def _voyager(vectors: Vectors, threads: Threads) -> tuple:
    import voyager

    index = voyager.Index(
        voyager.Space.InnerProduct, vectors.shape[1], M=16, ef_construction=200, random_seed=1
    )
    index.add_items(vectors, num_threads=threads.build)
    effort = [NODES[0]]

    def look(value: int) -> None:
        effort[0] = value

    return (
        lambda queries, k: index.query(queries, k, num_threads=threads.search, query_ef=effort[0]),
        lambda answer: answer[0],
        look,
        NODES,
        lambda path: index.save(str(path)),
    )


def _kannolo(vectors: Vectors, threads: Threads) -> tuple:
    import kannolo

    index = kannolo.DensePlainHNSW.build_from_array(
        vectors.ravel(), vectors.shape[1], m=16, ef_construction=200, metric="dotproduct"
    )
    effort = [NODES[0]]

    def look(value: int) -> None:
        effort[0] = value

    def ask(queries: Vectors, k: int) -> np.ndarray:
        _, rows = index.batch_search(queries.ravel(), k, effort[0], num_threads=threads.search)
        return np.reshape(rows, (len(queries), k))

    return ask, lambda rows: rows, look, NODES, lambda path: index.save(str(path))


def _symphony(vectors: Vectors, threads: Threads) -> tuple:
    from rabitqlib import SymqgIndex

    index = SymqgIndex(vectors.shape[1], 32, "ip")
    index.build(vectors, 200, threads.build)
    effort = [NODES[0]]

    def look(value: int) -> None:
        effort[0] = value

    return (
        lambda queries, k: index.search(queries, k, effort[0], threads.search),
        lambda answer: answer[0],
        look,
        NODES,
        lambda path: index.save(str(path)),
    )


def _faiss(factory: str, efforts: tuple[int, ...]) -> Callable[..., tuple]:
    def build(vectors: Vectors, threads: Threads) -> tuple:
        faiss.omp_set_num_threads(threads.build)
        dim = vectors.shape[1]
        filled = factory.format(cells=cells_of(len(vectors)), half=dim // 2)
        index = faiss.index_factory(dim, filled, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
        index.add(vectors)
        faiss.omp_set_num_threads(threads.search)
        if isinstance(index, faiss.IndexRefine):
            index.k_factor = 4
        return (
            index.search,
            lambda answer: answer[1],
            lambda effort: _look_faiss(index, effort),
            efforts,
            lambda path: faiss.write_index(index, str(path)),
        )

    return build


def _look_faiss(index: Any, effort: int) -> None:
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexRefine):
        inner = faiss.downcast_index(inner.base_index)
    if isinstance(inner, faiss.IndexIVF):
        inner.nprobe = min(effort, inner.nlist)
    elif isinstance(inner, faiss.IndexHNSW):
        inner.hnsw.efSearch = effort


PEERS: dict[str, tuple[str, Callable[..., tuple]]] = {
    "hnswlib, M 16": ("hnswlib", _hnswlib(16)),
    "hnswlib, M 32": ("hnswlib", _hnswlib(32)),
    "usearch, f32": ("usearch", _usearch("f32")),
    "usearch, f16": ("usearch", _usearch("f16")),
    "voyager, M 16": ("voyager", _voyager),
    "kannolo, f16, M 16": ("kannolo", _kannolo),
    "rabitqlib, SymphonyQG": ("rabitqlib", _symphony),
    "faiss HNSW32": ("faiss", _faiss("HNSW32,Flat", NODES)),
    "faiss HNSW32, SQ8": ("faiss", _faiss("HNSW32,SQ8,RFlat", NODES)),
    "faiss IVF": ("faiss", _faiss("IVF{cells},Flat", CELLS)),
    "faiss IVF-PQ fast scan, refined": ("faiss", _faiss("IVF{cells},PQ{half}x4fs,RFlat", CELLS)),
}
