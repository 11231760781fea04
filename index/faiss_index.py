"""The one module that knows FAISS: its -1, its float32, its factory strings, its cards."""

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Int64
from msgspec import structs

from index.arrays import map_array, save_array
from index.exact import best
from index.filtered import Kind, Shape, choose, settle
from index.types import DamagedIndex, FilterPlan, Hits, IndexFault, Way
from index.vectors import fit_vectors, same_dimension


def use_threads(count: int) -> None:
    """Let FAISS use this many threads in this process."""
    faiss.omp_set_num_threads(count)


def num_cards() -> int:
    """Return how many graphics cards FAISS sees; 0 without its GPU build."""
    return int(getattr(faiss, "get_num_gpus", lambda: 0)())


class FaissIndex:
    """Approximate search by inner product, over the rows that have a vector.

    `rows` are the places of the vectors among `size` rows of the catalogue: a product without a
    picture has no vector in the picture space, and is never found there.
    """

    def __init__(
        self,
        index: faiss.Index,
        vectors: Float32[np.ndarray, "n d"],
        rows: Int64[np.ndarray, "m"],
    ) -> None:
        self._index = index
        self._vectors = vectors
        self._rows = rows
        self._complete = len(rows) == len(vectors)

    @classmethod
    def build(
        cls,
        vectors: Float32[np.ndarray, "n d"],
        factory: str = "Flat",
        rows: Int64[np.ndarray, "m"] | None = None,
    ) -> "FaissIndex":
        """Train and fill an index as a FAISS factory string says, on a card where there is one."""
        rows = np.arange(len(vectors)) if rows is None else rows
        held = fit_vectors(vectors[rows], "index")
        try:
            index = faiss.index_factory(held.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError:
            raise IndexFault(
                f"index.factory={factory!r} is not a FAISS factory string for {held.shape[1]} "
                "dimensions; write for example Flat, IVF256,Flat or HNSW32"
            ) from None
        try:
            return cls(_fill(index, held), vectors, rows)
        except RuntimeError as e:
            reason = str(e).rpartition("failed: ")[2] or str(e)
            raise IndexFault(
                f"index.factory={factory!r} cannot be trained on {len(held):,} vectors: "
                f"{reason[:200]}; choose a smaller one, or leave it out"
            ) from None

    @classmethod
    def refilled(
        cls,
        path: Path,
        vectors: Float32[np.ndarray, "n d"],
        factory: str,
        rows: Int64[np.ndarray, "m"],
    ) -> "FaissIndex | None":
        """Return an index of `save` with these vectors in place of its own, its training kept.

        None where there is nothing to keep: no such file, another factory, or no training.
        """
        if not path.exists():
            return None
        index = faiss.read_index(str(path))
        held = fit_vectors(vectors[rows], "index")
        ivf = _kinds(index)[0]
        if ivf is None or held.shape[1] != index.d or not _is_of(ivf, factory):
            return None
        index.reset()
        index.add(held)
        return cls(index, vectors, rows)

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return int(self._index.d)

    @property
    def size(self) -> int:
        """How many rows the catalogue has, with a vector or without."""
        return len(self._vectors)

    @property
    def rows(self) -> Int64[np.ndarray, "m"]:
        """Which rows of the catalogue have a vector."""
        return self._rows

    @property
    def effort(self) -> int:
        """How hard a search looks: cells visited (IVF) or nodes kept (HNSW); 0: everything."""
        ivf, hnsw = _kinds(self._index)
        return int(ivf.nprobe if ivf else hnsw.hnsw.efSearch if hnsw else 0)

    @effort.setter
    def effort(self, value: int) -> None:
        ivf, hnsw = _kinds(self._index)
        if ivf:
            ivf.nprobe = min(value, ivf.nlist)
        elif hnsw:
            hnsw.hnsw.efSearch = value

    @property
    def most_effort(self) -> int:
        """Where more effort finds nothing more."""
        ivf, hnsw = _kinds(self._index)
        return int(ivf.nlist if ivf else len(self._rows) if hnsw else 0)

    def search(
        self,
        queries: Float32[np.ndarray, "q d"],
        k: int,
        allowed: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Hits]:
        """Return at most `k` hits a query; with a filter, each says how it was searched."""
        queries = fit_vectors(queries, "query")
        same_dimension(queries, self.dim)
        if allowed is None:
            return self._found(queries, min(k, len(self._rows)))
        held = allowed if self._complete else allowed[self._rows]
        plan = choose(self.shape, int(np.count_nonzero(held)), k)
        return [self._among(query[None], k, held, plan) for query in queries]

    @property
    def shape(self) -> Shape:
        """What the choice of a way to search among filtered rows needs to know."""
        kind = _kind(self._index)
        most = self.most_effort if kind in ("cells", "graph") else len(self._rows)
        return Shape(kind, len(self._rows), self.effort, most)

    def save(self, path: Path) -> None:
        """Write the FAISS file, and beside it which rows it holds."""
        path.parent.mkdir(parents=True, exist_ok=True)
        faiss.write_index(self._index, str(path))
        save_array(path.with_suffix(".rows.npy"), self._rows)

    @classmethod
    def open(cls, path: Path, vectors: Float32[np.ndarray, "n d"]) -> "FaissIndex":
        """Map a file of `save` into memory; the caller has checked its checksum."""
        rows = map_array(path.with_suffix(".rows.npy"))
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
        except RuntimeError as e:
            raise DamagedIndex(f"{path.name} is not a FAISS index: {str(e)[:200]}") from None
        if index.ntotal != len(rows) or index.d != vectors.shape[1]:
            raise DamagedIndex(
                f"{path.name} holds {index.ntotal} vectors of {index.d} dimensions, but "
                f"{len(rows)} of {vectors.shape[1]} belong to it"
            )
        return cls(index, vectors, rows)

    def _among(
        self,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        held: Bool[np.ndarray, "m"],
        plan: FilterPlan,
    ) -> Hits:
        """Search as planned; where that proves too little, compare every row that passes."""
        if plan.way is not Way.SCAN:
            found = settle(self._looks(query, k, held), plan, self.shape, k)
            if found is not None:
                return found
            plan = structs.replace(plan, way=Way.SCAN, effort=0, exactness=1.0)
        rows = self._rows[np.flatnonzero(held)]
        hits = best(rows, _scores(self._vectors, rows, query[0]), k)
        return Hits(hits.rows, hits.scores, plan)

    def _looks(
        self, query: Float32[np.ndarray, "1 d"], k: int, held: Bool[np.ndarray, "m"]
    ) -> Callable[[int], Hits]:
        """Return what finds the best `k` with a given effort."""
        kind = _kind(self._index)
        if kind == "closed":
            return lambda depth: self._kept(query, k, held, depth)
        selector = faiss.IDSelectorBitmap(np.packbits(held, bitorder="little"))
        if kind == "cells":
            cells = _Cells(_kinds(self._index)[0], query, k, selector)
            return lambda effort: self._hits(*cells.up_to(effort), k)
        return lambda effort: self._found(
            query, k, faiss.SearchParametersHNSW(sel=selector, efSearch=effort)
        )[0]

    def _kept(
        self, query: Float32[np.ndarray, "1 d"], k: int, held: Bool[np.ndarray, "m"], depth: int
    ) -> Hits:
        """Fetch this many rows and keep the best `k` that pass."""
        scores, places = self._index.search(query, depth)
        passes = (places[0] >= 0) & held[places[0]]
        return self._hits(places[0][passes], scores[0][passes], k)

    def _found(
        self,
        queries: Float32[np.ndarray, "q d"],
        k: int,
        parameters: faiss.SearchParameters | None = None,
    ) -> list[Hits]:
        """Search the FAISS index; -1, which pads its answers, ends here."""
        if k == 0:
            return [Hits(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        scores, places = self._index.search(queries, k, params=parameters)
        return [self._hits(p, s, k) for p, s in zip(places, scores, strict=True)]

    def _hits(
        self, places: Int64[np.ndarray, "m"], scores: Float32[np.ndarray, "m"], k: int
    ) -> Hits:
        found = places >= 0
        rows, scores = self._rows[places[found]], scores[found]
        order = np.lexsort((rows, -scores))[:k]
        return Hits(rows[order].astype(np.int64), scores[order])


class _Cells:
    """The cells of an inverted file, nearest first, each looked into once for one query."""

    def __init__(
        self,
        ivf: faiss.IndexIVF,
        query: Float32[np.ndarray, "1 d"],
        k: int,
        selector: faiss.IDSelector,
    ) -> None:
        self._ivf, self._query, self._k, self._selector = ivf, query, k, selector
        self._near = np.empty(0, np.float32), np.empty(0, np.int64)  # scores and cells, in order
        self._seen = 0
        self._places, self._scores = np.empty(0, np.int64), np.empty(0, np.float32)

    def up_to(self, effort: int) -> tuple[Int64[np.ndarray, "m"], Float32[np.ndarray, "m"]]:
        """Return the places and scores of the best in the `effort` nearest cells."""
        if len(self._near[1]) < effort:
            self._order(effort)
        if self._seen < effort:
            places, scores = self._look(self._seen, effort)
            self._places = np.concatenate([self._places, places])
            self._scores = np.concatenate([self._scores, scores])
            self._seen = effort
        return self._places, self._scores

    def _order(self, effort: int) -> None:
        """Find the nearest cells; twice as many as asked, as twice the effort is asked next."""
        count = min(2 * effort if self._seen == 0 else self._ivf.nlist, self._ivf.nlist)
        scores, cells = self._ivf.quantizer.search(self._query, count)
        new = ~np.isin(cells[0], self._near[1][: self._seen])
        self._near = (
            np.concatenate([self._near[0][: self._seen], scores[0][new]]),
            np.concatenate([self._near[1][: self._seen], cells[0][new]]),
        )

    def _look(
        self, start: int, end: int
    ) -> tuple[Int64[np.ndarray, "k"], Float32[np.ndarray, "k"]]:
        distances, cells = (np.ascontiguousarray(part[start:end]) for part in self._near)
        scores, places = np.empty(self._k, np.float32), np.empty(self._k, np.int64)
        pointers = map(faiss.swig_ptr, (cells, distances, scores, places))
        parameters = faiss.SearchParametersIVF(sel=self._selector, nprobe=len(cells))
        query = faiss.swig_ptr(self._query)
        self._ivf.search_preassigned_c(1, query, self._k, *pointers, False, parameters)
        return places, scores


def _scores(
    vectors: Float32[np.ndarray, "n d"],
    rows: Int64[np.ndarray, "m"],
    query: Float32[np.ndarray, "d"],
) -> Float32[np.ndarray, "m"]:
    """Return the inner product of each of these rows, read where it lies: nothing is copied."""
    if vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
        return np.asarray(vectors[rows] @ query, np.float32)
    scores = np.empty(len(rows), np.float32)
    arrays = (scores, np.ascontiguousarray(query), vectors, np.ascontiguousarray(rows))
    pointers = map(faiss.swig_ptr, arrays)
    faiss.fvec_inner_products_by_idx(*pointers, vectors.shape[1], 1, len(rows))
    return scores


def _is_of(ivf: faiss.IndexIVF, factory: str) -> bool:
    """Tell whether an index is what a factory string would make."""
    like = faiss.index_factory(ivf.d, factory, faiss.METRIC_INNER_PRODUCT)
    other = _kinds(like)[0]
    alike = ("nlist", "code_size", "by_residual")
    return type(other) is type(ivf) and all(getattr(ivf, n) == getattr(other, n) for n in alike)


def _kind(index: faiss.Index) -> Kind:
    """Return how an index can be told which rows pass; closed: it cannot."""
    ivf, hnsw = _kinds(index)
    if ivf or hnsw:
        return "cells" if ivf else "graph"
    return "flat" if isinstance(faiss.downcast_index(index), faiss.IndexFlat) else "closed"


def _kinds(index: faiss.Index) -> tuple[faiss.IndexIVF | None, faiss.IndexHNSW | None]:
    index = faiss.downcast_index(index)
    return (
        index if isinstance(index, faiss.IndexIVF) else None,
        index if isinstance(index, faiss.IndexHNSW) else None,
    )


def _fill(index: faiss.Index, vectors: Float32[np.ndarray, "n d"]) -> faiss.Index:
    """Train and add; on a card where FAISS sees one, and back to the processor to be served."""
    cards = num_cards()
    ivf, _ = _kinds(index)
    if ivf:
        ivf.cp.niter, ivf.cp.seed = 10, 1234
    if cards and not _kinds(index)[1]:  # HNSW has no GPU build
        index = faiss.index_cpu_to_all_gpus(index)
    if not index.is_trained:
        index.train(vectors)
    index.add(vectors)
    return faiss.index_gpu_to_cpu(index) if cards and not _kinds(index)[1] else index
