"""The one module that knows FAISS: its -1, its float32, its factory strings, its cards."""

from pathlib import Path

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Int64

from index.arrays import map_array, save_array
from index.exact import scan
from index.types import DamagedIndex, Hits, IndexFault
from index.vectors import fit_vectors, same_dimension

SCAN_SHARE = 0.1  # below this share of allowed rows, comparing all of them is faster and exact
SCAN_ROWS = 2_000


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
        """Return at most `k` hits a query; few allowed rows are compared one by one."""
        queries = fit_vectors(queries, "query")
        same_dimension(queries, self.dim)
        if allowed is None:
            return self._approximate(queries, k, None)
        chosen = self._rows[allowed[self._rows]]
        if len(chosen) <= max(SCAN_ROWS, SCAN_SHARE * len(self._rows)):
            return [scan(self._vectors, chosen, query, k) for query in queries]
        return self._approximate(queries, k, allowed[self._rows])

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

    def _approximate(
        self, queries: Float32[np.ndarray, "q d"], k: int, held: Bool[np.ndarray, "m"] | None
    ) -> list[Hits]:
        """Search the FAISS index; -1, which pads its answers, ends here."""
        k = min(k, len(self._rows))
        if k == 0:
            return [Hits(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        scores, places = self._index.search(queries, k, params=self._parameters(held))
        return [self._hits(p, s) for p, s in zip(places, scores, strict=True)]

    def _hits(self, places: Int64[np.ndarray, "k"], scores: Float32[np.ndarray, "k"]) -> Hits:
        found = places >= 0
        rows, scores = self._rows[places[found]], scores[found]
        order = np.lexsort((rows, -scores))
        return Hits(rows[order].astype(np.int64), scores[order])

    def _parameters(self, held: Bool[np.ndarray, "m"] | None) -> faiss.SearchParameters | None:
        """Return a filter with as much more effort as the filter takes away."""
        if held is None:
            return None
        selector = faiss.IDSelectorBitmap(np.packbits(held, bitorder="little"))
        effort = min(int(np.ceil(self.effort / held.mean())), self.most_effort)
        ivf, hnsw = _kinds(self._index)
        if ivf:
            return faiss.SearchParametersIVF(sel=selector, nprobe=effort)
        if hnsw:
            return faiss.SearchParametersHNSW(sel=selector, efSearch=effort)
        return faiss.SearchParameters(sel=selector)


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
