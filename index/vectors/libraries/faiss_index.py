"""Indexes of FAISS: its -1, its float32, its factory strings, its cards."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Int64

from index.arrays import map_array, save_array
from index.errors import DamagedIndex, IndexFault
from index.types import Hits
from index.vectors.approximate import ApproximateIndex, Found, opened_tuning
from index.vectors.filtered_search import IndexShape, Kind
from index.vectors.scans.row_scores import one_thread
from index.vectors.validation import fit_vectors

TUNING = ".tuning.npy"
# What stands around an index that is searched, and under which name it holds it.
WRAPPERS = {
    faiss.IndexPreTransform: "index",
    faiss.IndexRefine: "base_index",
    faiss.IndexIDMap: "index",
}
FAST_SCANS = (faiss.IndexIVFFastScan,)  # codes are compared by tables in the registers
ONLY_HERE = (faiss.IndexIVFFastScan, faiss.IndexIVFRaBitQ)  # have no build on a GPU


def use_threads(count: int) -> None:
    """Let FAISS use this many threads in this process."""
    faiss.omp_set_num_threads(count)


def num_threads() -> int:
    """Return how many threads this process searches with."""
    return int(faiss.omp_get_max_threads())


def num_gpus() -> int:
    """Return how many graphics cards FAISS sees; 0 without its GPU build."""
    return int(getattr(faiss, "get_num_gpus", lambda: 0)())


class FaissIndex(ApproximateIndex):
    """An index that a FAISS factory string describes."""

    def __init__(
        self,
        index: faiss.Index,
        vectors: Float32[np.ndarray, "n d"],
        rows: Int64[np.ndarray, "m"],
        deeper: float = 0.0,
    ) -> None:
        super().__init__(vectors, rows, deeper)
        self._index = index
        self._core = _core(index)  # what is searched inside of what stands around it
        self._kind = _kind(index)
        self._wrapped = isinstance(faiss.downcast_index(index), tuple(WRAPPERS))

    @classmethod
    def build(
        cls,
        vectors: Float32[np.ndarray, "n d"],
        factory: str = "Flat",
        rows: Int64[np.ndarray, "m"] | None = None,
        deeper: float = 0.0,
    ) -> "FaissIndex":
        """Train and fill an index as a FAISS factory string says, on a GPU where there is one."""
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
            return cls(_fill(index, held), vectors, rows, deeper)
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
        deeper: float = 0.0,
    ) -> "FaissIndex | None":
        """Return an index of `save` with these vectors in place of its own, its training kept.

        None where there is nothing to keep: no such file, another factory, or no training.
        """
        if not path.exists():
            return None
        index = faiss.read_index(str(path))
        held = fit_vectors(vectors[rows], "index")
        ivf = _kinds(_core(index))[0]
        if ivf is None or held.shape[1] != index.d or not _is_of(ivf, factory):
            return None
        index.reset()
        index.add(held)
        return cls(index, vectors, rows, deeper)

    @property
    def effort(self) -> int:
        """How hard a search looks: cells visited (IVF) or nodes kept (HNSW); 0: everything."""
        ivf, hnsw = _kinds(self._core)
        return int(ivf.nprobe if ivf else hnsw.hnsw.efSearch if hnsw else 0)

    @effort.setter
    def effort(self, value: int) -> None:
        ivf, hnsw = _kinds(self._core)
        if ivf:
            ivf.nprobe = min(value, ivf.nlist)
        elif hnsw:
            hnsw.hnsw.efSearch = value

    @property
    def most_effort(self) -> int:
        """Where more effort finds nothing more."""
        ivf, hnsw = _kinds(self._core)
        return int(ivf.nlist if ivf else len(self._rows) if hnsw else 0)

    def least_effort(self, k: int) -> int:
        """Return below which a search for `k` looks no less hard: one cell, or `k` nodes."""
        return 1 if _kinds(self._core)[0] else super().least_effort(k)

    @property
    def shape(self) -> IndexShape:
        """What the choice of a way to search among filtered rows needs to know."""
        most = self.most_effort if self._kind in ("cells", "graph") else len(self._rows)
        return IndexShape(
            self._kind,
            len(self._rows),
            self.effort,
            most,
            has_bytes=self.codes is not None,
            has_codes=isinstance(self._core, FAST_SCANS),
        )

    def save(self, path: Path) -> None:
        """Write the FAISS file, and beside it which rows it holds."""
        path.parent.mkdir(parents=True, exist_ok=True)
        faiss.write_index(self._index, str(path))
        save_array(path.with_suffix(".rows.npy"), self._rows)
        self._save_tuning(path.with_suffix(TUNING))

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
        tuning = opened_tuning(path.with_suffix(TUNING))
        opened = cls(index, vectors, rows, tuning.deeper)
        opened.recall = tuning.recall
        return opened

    def _nearest(
        self,
        queries: Float32[np.ndarray, "q d"],
        depth: int,
        parameters: faiss.SearchParameters | None = None,
    ) -> Found:
        scores, places = self._index.search(queries, depth, params=parameters)
        return places, scores

    def _looks(
        self, query: Float32[np.ndarray, "1 d"], k: int, held: Bool[np.ndarray, "m"]
    ) -> Callable[[int], Hits]:
        """Return what finds the best `k` with a given effort, skipping rows where it can."""
        if self._kind == "closed":
            return super()._looks(query, k, held)
        depth = self._depth(k)
        selector = faiss.IDSelectorBitmap(np.packbits(held, bitorder="little"))
        ivf, _ = _kinds(self._core)
        if ivf and not self._wrapped and not isinstance(ivf, FAST_SCANS):
            cells = _Cells(ivf, query, depth, selector)
            return lambda effort: self._best(query, *cells.up_to(effort), k)
        return lambda effort: self._best(
            query, *self._nearest(query, depth, _parameters(self._index, selector, effort)), k
        )

    def _best(
        self,
        query: Float32[np.ndarray, "1 d"],
        places: Int64[np.ndarray, "1 m"],
        scores: Float32[np.ndarray, "1 m"],
        k: int,
    ) -> Hits:
        [hits] = self._hits(query, places, scores, k)
        return hits


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

    def up_to(self, effort: int) -> Found:
        """Return the places and scores of the best in the `effort` nearest cells."""
        if len(self._near[1]) < effort:
            self._order(effort)
        if self._seen < effort:
            places, scores = self._look(self._seen, effort)
            self._places = np.concatenate([self._places, places])
            self._scores = np.concatenate([self._scores, scores])
            self._seen = effort
        return self._places[None], self._scores[None]

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


def _core(index: faiss.Index) -> faiss.Index:
    """Return the index inside of what changes vectors before it, or scores after it."""
    index = faiss.downcast_index(index)
    for wrapper, name in WRAPPERS.items():
        if isinstance(index, wrapper):
            return _core(getattr(index, name))
    return index


def _is_of(ivf: faiss.IndexIVF, factory: str) -> bool:
    """Tell whether an index is what a factory string would make."""
    like = faiss.index_factory(ivf.d, factory, faiss.METRIC_INNER_PRODUCT)
    other = _kinds(_core(like))[0]
    alike = ("nlist", "code_size", "by_residual")
    return type(other) is type(ivf) and all(getattr(ivf, n) == getattr(other, n) for n in alike)


def _kind(index: faiss.Index) -> Kind:
    """Return how an index can be told which rows pass; closed: it cannot."""
    ivf, hnsw = _kinds(_core(index))
    if ivf or hnsw:
        if isinstance(ivf, FAST_SCANS) and not _skips_rows(ivf):
            return "closed"
        return "cells" if ivf else "graph"
    return "flat" if isinstance(faiss.downcast_index(index), faiss.IndexFlat) else "closed"


def _skips_rows(ivf: faiss.IndexIVF) -> bool:
    """Tell whether a fast scan can be told which rows pass, which older versions cannot be."""
    nobody = faiss.SearchParametersIVF(sel=faiss.IDSelectorBatch(np.empty(0, np.int64)), nprobe=1)
    try:
        _, places = ivf.search(np.ones((1, ivf.d), np.float32), 1, params=nobody)
    except RuntimeError:
        return False
    return bool((places < 0).all())


def _kinds(core: faiss.Index) -> tuple[faiss.IndexIVF | None, faiss.IndexHNSW | None]:
    return (
        core if isinstance(core, faiss.IndexIVF) else None,
        core if isinstance(core, faiss.IndexHNSW) else None,
    )


def _parameters(index: faiss.Index, selector: faiss.IDSelector, effort: int) -> Any:
    """Return what tells a search who passes and how hard to look, through what stands around."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        inner = _parameters(index.index, selector, effort)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        inner = _parameters(index.base_index, selector, effort)
        return faiss.IndexRefineSearchParameters(k_factor=index.k_factor, base_index_params=inner)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, nprobe=effort)
    return faiss.SearchParametersHNSW(sel=selector, efSearch=effort)


def _fill(index: faiss.Index, vectors: Float32[np.ndarray, "n d"]) -> faiss.Index:
    """Train and add; on a GPU where FAISS sees one, and back to the processor to be served."""
    ivf, hnsw = _kinds(_core(index))
    on_cards = num_gpus() and not hnsw and not isinstance(ivf, ONLY_HERE)
    if ivf:
        ivf.cp.niter, ivf.cp.seed = 10, 1234
    if on_cards:
        index = faiss.index_cpu_to_all_gpus(index)
    if not index.is_trained:
        index.train(vectors)
    with one_thread() if hnsw else nullcontext():  # which nodes meet first must not be luck
        index.add(vectors)
    return faiss.index_gpu_to_cpu(index) if on_cards else index
