"""The one module that knows Intel's SVS: its loaders, its folders, its float32 on disk."""

import platform
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int64
from scipy.linalg.blas import snrm2

from index.arrays import map_array, save_array
from index.errors import DamagedIndex, IndexFault
from index.types import Hits
from index.vectors.approximate import ApproximateIndex, Found, opened_tuning
from index.vectors.filtered_search import IndexShape
from index.vectors.libraries.faiss_index import num_threads
from index.vectors.validation import LARGEST, fit_vectors

HALVES = "float16"
LVQ = {"LVQ8": (8, 0), "LVQ4x8": (4, 8), "LVQ4x4": (4, 4)}  # bits, and bits of what is left
CODES = (HALVES, *LVQ)  # how the graph holds its vectors
DEGREE = 32  # edges of a node at most
WINDOW = 100  # nodes kept while building
ALPHA = 0.95  # how much nearer a detour must be to spare an edge; below 1 for inner products
PADDING = 32  # bytes that a code begins at a multiple of
PARTS = ("config", "graph", "data")  # folders that SVS writes
DATA = PARTS[2]
DESCRIPTION = "svs_config.toml"  # of what is in each of them
UNCOMPRESSED = "uncompressed_data"  # as it calls vectors that are no LVQ
ROWS = "rows.npy"
TUNING = "tuning.npy"
EFFORT = 100  # before it is tuned
LEAST_SHARE = 4  # a walk may end with this part of the answers wanted
NEAR = 0.05  # scores of compressed vectors are off by much less
AT_ONCE = 16_384  # vectors written at once
CPU_INFO = Path("/proc/cpuinfo")


@cache
def why_no_svs(codes: str = HALVES) -> str:
    """Return why SVS cannot hold vectors in these codes here; nothing where it can.

    Halves are fast with AVX2. LVQ is for Intel's processors alone, and is fast with AVX-512.
    """
    if find_spec("svs") is None:
        return "scalable-vs is not installed (extra `svs`)"
    if platform.machine() != "x86_64" or not CPU_INFO.is_file():
        return "SVS is for Linux on x86-64"
    told = CPU_INFO.read_text()
    if codes == HALVES:
        return "" if "avx2" in told and "f16c" in told else "the processor has no AVX2"
    if "GenuineIntel" not in told:
        return "the processor is not Intel's, which LVQ is for"
    return "" if "avx512f" in told else "the processor has no AVX-512"


class SvsIndex(ApproximateIndex):
    """A Vamana graph over halves, or vectors compressed by locally-adaptive quantisation (LVQ).

    Aguerrebere et al., Similarity search in the blink of an eye with compressed indices, 2023.
    It cannot be told which rows pass a filter: more are fetched, or those that pass are compared.
    Scores are those of the vectors as they are held: of halves off by less than a thousandth, of
    LVQ by a few thousandths, unless `deeper` is given.
    """

    def __init__(
        self,
        index: Any,
        vectors: Float32[np.ndarray, "n d"],
        rows: Int64[np.ndarray, "m"],
        deeper: float = 0.0,
    ) -> None:
        super().__init__(vectors, rows, deeper)
        self._index = index
        self._lock = Lock()
        kept = index.search_parameters.buffer_config
        self._effort = int(kept.search_window_size) or EFFORT
        self.tuned_for = int(kept.search_buffer_capacity) or self.tuned_for
        self._search = index.search
        self._settings = 0, 0  # window and depth
        self._ready = 0  # how many answers a single query may ask for without more ado
        self._one = 1, self._dim

    @classmethod
    def build(
        cls,
        vectors: Float32[np.ndarray, "n d"],
        codes: str = HALVES,
        rows: Int64[np.ndarray, "m"] | None = None,
        deeper: float = 0.0,
        *,
        threads: int = 1,
    ) -> "SvsIndex":
        """Build the graph; with more than one thread its edges differ from time to time."""
        rows = np.arange(len(vectors)) if rows is None else rows
        svs = _svs(codes)
        parameters = svs.VamanaBuildParameters(
            alpha=ALPHA, graph_max_degree=DEGREE, window_size=WINDOW
        )
        distance = svs.DistanceType.MIP
        if codes == HALVES:
            built = svs.Vamana.build(parameters, _halves(vectors, rows), distance, threads)
        else:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "vectors.fvecs"
                _write(path, vectors, rows)
                source = svs.VectorDataLoader(str(path), svs.DataType.float32, vectors.shape[1])
                built = svs.Vamana.build(parameters, _lvq(svs, source, codes), distance, threads)
        built.num_threads = num_threads()
        return cls(built, vectors, rows, deeper)

    @property
    def effort(self) -> int:
        """How many nodes decide when the walk ends, for `tuned_for` answers; more for more."""
        return self._effort

    @effort.setter
    def effort(self, value: int) -> None:
        self._effort = min(value, len(self._rows))
        self._settings, self._ready = (0, 0), 0  # so that the next search tells the library

    @property
    def most_effort(self) -> int:
        """Where more effort finds nothing more."""
        return len(self._rows)

    def least_effort(self, k: int) -> int:
        """Return below which a search for `k` finds too little to be asked for."""
        return max(self._depth(k) // LEAST_SHARE, 1)

    @property
    def shape(self) -> IndexShape:
        """What the choice of a way to search among filtered rows needs to know."""
        has_bytes = self.codes is not None
        return IndexShape("closed", len(self._rows), self.effort, len(self._rows), has_bytes)

    def save(self, path: Path) -> None:
        """Write a folder: the graph, the compressed vectors, and which rows they are."""
        path.mkdir(parents=True, exist_ok=True)
        self._set(self._effort, self.tuned_for)
        self._index.save(*(str(path / part) for part in PARTS))
        save_array(path / ROWS, self._rows)
        self._save_tuning(path / TUNING)

    @classmethod
    def open(cls, path: Path, vectors: Float32[np.ndarray, "n d"]) -> "SvsIndex":
        """Read a folder of `save` into memory; the caller has checked its checksums."""
        svs = _svs(held_codes(path))
        rows = map_array(path / ROWS)
        config, graph, _ = (str(path / part) for part in PARTS)
        try:
            index = svs.Vamana(
                config,
                svs.GraphLoader(graph),
                vectors_of(svs, path, vectors.shape[1]),
                svs.DistanceType.MIP,
                num_threads=num_threads(),
            )
        except (RuntimeError, ValueError) as e:
            raise DamagedIndex(f"{path.name} is not an index of SVS: {str(e)[:200]}") from None
        if index.size != len(rows) or index.dimensions != vectors.shape[1]:
            raise DamagedIndex(
                f"{path.name} holds {index.size} vectors of {index.dimensions} dimensions, but "
                f"{len(rows)} of {vectors.shape[1]} belong to it"
            )
        tuning = opened_tuning(path / TUNING)
        opened = cls(index, vectors, rows, tuning.deeper)
        opened.recall = tuning.recall
        return opened

    def search(
        self,
        queries: Float32[np.ndarray, "q d"],
        k: int,
        allowed: Bool[np.ndarray, "n"] | None = None,
    ) -> list[Hits]:
        """Return at most `k` hits a query; with a filter, each says how it was searched."""
        if k and allowed is None and k == self._ready:
            found = self._alone(np.ascontiguousarray(queries, np.float32), k)
            if found is not None:
                return found
        return super().search(queries, k, allowed)

    def _alone(self, query: Float32[np.ndarray, "q d"], k: int) -> list[Hits] | None:
        """Answer one query in as few calls as can be, for a walk takes no longer than ten of them.

        None: there are several, or something has to be looked at, such as a number that is none.
        """
        if query.shape != self._one or not 0 < snrm2(query[0]) <= LARGEST:
            return None
        with self._lock:
            if k != self._ready:
                return None
            places, scores = self._search(query, k)
        places, alone = places.view(np.int64), scores[0]
        if not alone.item(-1):
            return None
        if 1 in (alone[1:] == alone[:-1]).tobytes():  # half as long as any()
            order = np.lexsort((places[0], -alone))
            return [Hits(places[0, order], alone[order])]
        return [Hits(places[0], alone)]

    def _nearest(self, queries: Float32[np.ndarray, "q d"], depth: int) -> Found:
        window = self._window_for(depth)
        places, scores = self._search_library(queries, depth, window)
        if scores.item(-1) and (len(queries) == 1 or scores[:, -1].all()):
            return places, scores
        # The last score of a walk that met too few nodes is 0, that of place 0: so it is padded.
        places, scores = self._search_library(queries, depth, max(window, depth))
        return _marked(places, scores, self._plain[self._rows[0]] @ queries.T)

    def _search_library(
        self, queries: Float32[np.ndarray, "q d"], depth: int, window: int
    ) -> Found:
        with self._lock:  # what the library is told holds for its next search, whoever asks
            if (window, depth) != self._settings:
                self._set(window, depth)
            places, scores = self._search(queries, depth)
        return places.view(np.int64), scores

    def _window_for(self, depth: int) -> int:
        """Return how many nodes decide when the walk ends: beyond `tuned_for` answers, more."""
        if depth <= self.tuned_for:
            return self._effort
        in_proportion = -(-self._effort * depth // self.tuned_for)
        return min(max(in_proportion, depth), self._count)

    def _set(self, window: int, depth: int) -> None:
        import svs

        parameters = self._index.search_parameters
        parameters.buffer_config = svs.SearchBufferConfig(window, max(window, depth))
        self._index.search_parameters = parameters
        self._settings = window, depth
        direct = self._rows_are_places and not self.deeper and window == self._window_for(depth)
        self._ready = depth if direct else 0


def _marked(
    places: Int64[np.ndarray, "q m"],
    scores: Float32[np.ndarray, "q m"],
    of_first: Float32[np.ndarray, "q"],
) -> Found:
    """Return -1 in place of the padding: what stands at place 0 with a score that is not its own.

    Of several at place 0 the first is kept, if the score of that vector, `of_first`, is near it.
    """
    first = places == 0
    again = first & (np.cumsum(first, axis=1) > 1)
    foreign = first & (np.abs(scores - of_first[:, None]) > NEAR)
    places = np.where(again | foreign, -1, places)
    return places, np.where(places < 0, -np.inf, scores).astype(np.float32)


def _svs(codes: str) -> Any:
    if codes not in CODES:
        raise IndexFault(f"SVS holds no vectors in {codes!r}; choose one of {', '.join(CODES)}")
    if reason := why_no_svs(codes):
        raise IndexFault(f"an index of SVS cannot be used here: {reason}")
    import svs

    return svs


def held_codes(folder: Path) -> str:
    """Return how an index of `save` holds its vectors: in halves, or some LVQ, named as the first.

    Raises DamagedIndex where SVS did not write the folder.
    """
    try:
        told = tomllib.loads((folder / DATA / DESCRIPTION).read_text())["object"]
        kind, number = told["__schema__"], told.get("eltype")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise DamagedIndex(f"{folder.name} is not an index of SVS: {str(e)[:200]}") from None
    return HALVES if (kind, number) == (UNCOMPRESSED, HALVES) else next(iter(LVQ))


def vectors_of(svs: Any, folder: Path, dim: int) -> Any:
    """Return what loads the vectors of an index of `save`."""
    data = str(folder / DATA)
    if held_codes(folder) == HALVES:
        return svs.VectorDataLoader(data, svs.DataType.float16, dim)
    return svs.LVQLoader(data, PADDING)


def _lvq(svs: Any, source: Any, codes: str) -> Any:
    bits, rest = LVQ[codes]
    return svs.LVQLoader(source, primary=bits, residual=rest, padding=PADDING)


def _halves(
    vectors: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"]
) -> Float16[np.ndarray, "m d"]:
    halves = np.empty((len(rows), vectors.shape[1]), np.float16)
    for start in range(0, len(rows), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        halves[some] = fit_vectors(vectors[rows[some]], _part("index", start))
    return halves


def _write(path: Path, vectors: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"]) -> None:
    """Write these rows as SVS reads them: each with its length before it."""
    dim = vectors.shape[1]
    with path.open("wb") as file:
        for start in range(0, len(rows), AT_ONCE):
            held = fit_vectors(vectors[rows[start : start + AT_ONCE]], _part("index", start))
            block = np.empty((len(held), dim + 1), np.float32)
            block[:, 0] = np.array([dim], np.int32).view(np.float32)
            block[:, 1:] = held
            file.write(block.data)


def _part(what: str, start: int) -> str:
    return f"{what}, from vector {start} on" if start else what
