"""Vectors as bytes, so that comparing many of them with a query reads a quarter of the memory."""

from collections.abc import Iterator
from math import ceil, erfc, exp, pi, sqrt
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from index.arrays import map_array, save_array
from index.exact import best
from index.filtered import AGAIN
from index.row_scores import row_scores
from index.types import DamagedIndex, Hits
from index.vectors import fit_vectors

MOST = 127  # of a number as a signed byte
SHIFT = 128  # added to each of them, as FAISS multiplies unsigned bytes
BLOCK = 32  # bytes that are multiplied at once
AT_ONCE = 32_768  # vectors
MISSED = 0.005  # share of the answers that may be expected to be missed
CERTAIN = 3.0  # standard deviations of what bytes are off by; so far down a second look goes
SECOND = 1.2  # times as deep as is reckoned
CODES = ".bytes.faiss"
SCALES = ".scales.npy"


class Among(NamedTuple):
    """The best of the rows that pass, and which share of the true ones they are reckoned to be."""

    hits: Hits
    exactness: float


class ByteCodes:
    """One byte a number of each vector: `c = round((x - centre) / scale)`, from -127 to 127.

    With `w = round(q * scale / step)` the inner product `q @ x` is about `q @ centre + step *
    (w @ c)`. FAISS multiplies unsigned bytes, so both get 128 added, and some bytes more fill every
    row up to the same sum: what the shift adds to a product is then the same for every row.
    The best by bytes are scored again from the vectors, so many that hardly a better one is left.
    """

    def __init__(
        self,
        codes: faiss.IndexScalarQuantizer,
        scales: Float32[np.ndarray, "2 d"],
        rows: Int64[np.ndarray, "m"],
    ) -> None:
        self._codes, self._scales, self._rows = codes, scales, rows
        self._centre, self._scale = np.asarray(scales)
        self._filling = np.full(codes.d - len(self._centre), SHIFT, np.float32)
        self._sum = float(codes.reconstruct(0).sum())  # of the bytes of any row

    @classmethod
    def build(
        cls, vectors: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"]
    ) -> "ByteCodes":
        """Encode these rows, reading them three times in pieces."""
        scales = _scales(vectors, rows)
        shifted = np.empty((len(rows), vectors.shape[1]), np.uint8)
        for start, part in _parts(vectors, rows):
            shifted[start : start + len(part)] = np.rint((part - scales[0]) / scales[1]) + SHIFT
        filling = _filling(shifted)
        codes = faiss.IndexScalarQuantizer(
            shifted.shape[1] + filling.shape[1],
            faiss.ScalarQuantizer.QT_8bit_direct,
            faiss.METRIC_INNER_PRODUCT,
        )
        for start in range(0, len(rows), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            codes.add(np.hstack([shifted[some], filling[some]]).astype(np.float32))
        return cls(codes, scales, rows)

    @staticmethod
    def num_bytes(num_rows: int, dim: int) -> int:
        """Return about how much memory the codes of so many rows take."""
        return num_rows * (ceil(dim / BLOCK) + 1) * BLOCK

    def save(self, path: Path) -> None:
        """Write the codes beside an index at `path`, and what they are multiples of."""
        faiss.write_index(self._codes, str(path.with_suffix(CODES)))
        save_array(path.with_suffix(SCALES), self._scales)

    @classmethod
    def open(cls, path: Path, rows: Int64[np.ndarray, "m"], dim: int) -> "ByteCodes | None":
        """Map the codes beside an index at `path`; None where it has none."""
        file = path.with_suffix(CODES)
        if not file.exists():
            return None
        try:
            codes = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as e:
            raise DamagedIndex(f"{file.name} is not a FAISS index: {str(e)[:200]}") from None
        scales = map_array(path.with_suffix(SCALES))
        if codes.ntotal != len(rows) or scales.shape != (2, dim) or codes.d < dim:
            raise DamagedIndex(
                f"{file.name} holds {codes.ntotal} rows of {codes.d} bytes, but {len(rows)} of "
                f"{dim} numbers belong to it"
            )
        return cls(codes, scales, rows)

    def best(
        self,
        vectors: Float32[np.ndarray, "n d"],
        query: Float32[np.ndarray, "1 d"],
        k: int,
        held: Bool[np.ndarray, "m"],
    ) -> Among | None:
        """Return the best `k` of the rows that pass, with scores of the vectors themselves.

        Where many rows are nearly as good as the last answer, a second look scores more of them
        again. None: so many that comparing all that pass is cheaper.
        """
        passed = int(np.count_nonzero(held))
        selector = faiss.IDSelectorBitmap(np.packbits(held, bitorder="little"))
        depth = min(k + AGAIN, passed)
        for is_last in (False, True):
            places, rough = self._nearest(query[0], depth, selector)
            rows = self._rows[places]
            [scores] = row_scores(vectors, rows[None], query)
            hits = best(rows, scores, k)
            if depth == passed:
                return Among(hits, 1.0)
            rest = _rest(rough, scores, float(hits.scores[-1]))
            if is_last or rest.better <= MISSED * k:
                return Among(hits, round(max(1 - rest.better / k, 0.0), 4))
            depth = min(ceil(SECOND * (depth + rest.near)), passed)
            if 3 * depth > passed:
                break
        return None

    def _nearest(
        self, query: Float32[np.ndarray, "d"], depth: int, selector: faiss.IDSelector
    ) -> tuple[Int64[np.ndarray, "m"], Float64[np.ndarray, "m"]]:
        """Return the best places by bytes with their scores, best first."""
        weights = query * self._scale
        step = float(np.abs(weights).max()) / MOST or 1.0
        shifted = np.concatenate([np.rint(weights / step) + SHIFT, self._filling])
        scores, places = self._codes.search(
            shifted[None], depth, params=faiss.SearchParameters(sel=selector)
        )
        added = SHIFT * (self._sum + float(shifted.sum()) - SHIFT * self._codes.d)
        rough = float(query @ self._centre) + step * (scores[0].astype(np.float64) - added)
        return places[0], rough


class _Rest(NamedTuple):
    """What is reckoned to be among the rows that were not scored again."""

    better: float  # than the last answer
    near: float  # by bytes within CERTAIN errors of the last answer


def _rest(rough: Float64[np.ndarray, "m"], scores: Float32[np.ndarray, "m"], last: float) -> _Rest:
    """Reckon, rather too much, what was left: by how dense rows lie, and what bytes are off by.

    With errors of deviation s, `density` rows a unit of score, and the last row by bytes `z * s`
    below the last answer, `density * s * (phi(z) - z * Q(z))` better rows are expected beyond it:
    the unit normal loss, where phi is the normal density and Q its upper tail.
    """
    error = float(np.sqrt(np.mean((scores - rough) ** 2)))
    later = rough[len(rough) // 2 :]
    density = len(later) / max(later[0] - later[-1], 1e-9)
    gap = last - float(rough[-1])
    z = gap / max(error, 1e-9)
    loss = exp(-z * z / 2) / sqrt(2 * pi) - z * erfc(z / sqrt(2)) / 2
    return _Rest(density * error * loss, max(density * (CERTAIN * error - gap), 0.0))


def _parts(
    vectors: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"]
) -> Iterator[tuple[int, Float32[np.ndarray, "p d"]]]:
    for start in range(0, len(rows), AT_ONCE):
        yield start, fit_vectors(vectors[rows[start : start + AT_ONCE]], "index")


def _scales(
    vectors: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"]
) -> Float32[np.ndarray, "2 d"]:
    """Return the centre of each number, and the step of its bytes; 1 where it never changes."""
    low, high = np.full((2, vectors.shape[1]), [[np.inf], [-np.inf]], np.float32)
    for _, part in _parts(vectors, rows):
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    centre, scale = (low + high) / 2, (high - low) / (2 * MOST)
    return np.stack([centre, np.where(scale > 0, scale, 1)])


def _filling(shifted: UInt8[np.ndarray, "m d"]) -> UInt8[np.ndarray, "m f"]:
    """Return bytes that bring every row to the same sum, and all bytes of a row to full blocks."""
    sums = shifted.sum(axis=1, dtype=np.int64)
    lacking = sums.max() - sums
    dim = shifted.shape[1]
    count = ceil((dim + ceil(lacking.max() / 255)) / BLOCK) * BLOCK - dim
    each, more = np.divmod(lacking[:, None], max(count, 1))
    return np.asarray(each + (np.arange(count) < more), np.uint8)
