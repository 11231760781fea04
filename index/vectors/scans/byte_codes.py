"""Scalar quantisation: vectors as bytes, so that a scan reads a quarter of the memory."""

from collections.abc import Iterator
from math import ceil, erfc, exp, pi, sqrt
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from index.arrays import map_array, save_array
from index.errors import DamagedIndex
from index.top_k import best
from index.types import Hits
from index.vectors.filtered_search import COSTS
from index.vectors.scans.row_scores import row_scores
from index.vectors.validation import fit_vectors

MOST = 127  # of a number as a signed byte
SHIFT = 128  # added to each of them, as FAISS multiplies unsigned bytes
BLOCK = 32  # bytes that are multiplied at once
LEAST_DIM = 256  # numbers of a vector, below which bytes save nothing
AT_ONCE = 32_768  # vectors
WIDE = 8.0  # deviations from its median that a number may lie off, before its row is set apart
APART = 0.005  # share of the rows that may be set apart
MISSED = 0.005  # share of the answers that may be expected to be missed
CERTAIN = 2.5  # deviations of the error of bytes that a look goes below the last answer
DEEPER = 1.3  # times as deep as is reckoned
DRAWN, BEST = 256, 12  # rows that pass, by the best of which it is reckoned
FEWEST = 32  # more rows than asked for that are scored again
LARGEST = 0.9999  # exactness of what is not proven
ROUNDING = 1e-7  # of a score in float32
TINY = float(np.finfo(np.float64).tiny)
CODES = ".bytes.faiss"
SCALES = ".bytes.npy"
ROWS_APART = ".bytes.apart.npy"


class BestRows(NamedTuple):
    """The best of the rows that pass, and which share of the true ones they are reckoned to be."""

    hits: Hits
    exactness: float


class Scales(NamedTuple):
    """What the bytes of each number of a vector stand for."""

    centre: Float32[np.ndarray, "d"]
    step: Float32[np.ndarray, "d"]
    square: Float32[np.ndarray, "d"]  # mean of the squares of the bytes, as signed ones


class ByteCodes:
    """One byte a number of each vector: `c = round((x - centre) / step)`, from -127 to 127.

    With `w = round(q * step / unit)` the inner product `q @ x` is about `q @ centre + unit *
    (w @ c)`. FAISS multiplies unsigned bytes, so both get 128 added, and some bytes more fill every
    row up to the same sum: what the shift adds to a product is then the same for every row.
    The best by bytes are scored again from the vectors, so many that hardly a better one is left.
    Rows with numbers far from all others, or with another sum, stand apart and always are.
    """

    def __init__(
        self,
        codes: faiss.IndexScalarQuantizer,
        scales: Scales,
        apart: Int64[np.ndarray, "a"],
        rows: Int64[np.ndarray, "m"],
    ) -> None:
        self._codes, self._scales, self._apart, self._rows = codes, scales, apart, rows
        self._filling = np.full(codes.d - len(scales.centre), SHIFT, np.float32)
        whole = np.setdiff1d(np.arange(min(len(rows), len(apart) + 1)), apart)
        self._sum = float(codes.reconstruct(int(whole[0])).sum())  # of the bytes of any row

    @classmethod
    def build(
        cls, vectors: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"]
    ) -> "ByteCodes | None":
        """Encode these rows; None where too many of them would stand apart.

        Where numbers far from all others are many, bytes reach as far as they do.
        """
        for wide in (WIDE, np.inf):
            bytes_of = _encoded(vectors, rows, wide)
            if bytes_of.is_apart.mean() <= APART:
                return cls(_held(bytes_of), bytes_of.scales, bytes_of.apart, rows)
        return None

    @property
    def num_bytes(self) -> int:
        """How much memory the codes take."""
        return int(self._codes.ntotal * self._codes.d)

    def save(self, path: Path) -> None:
        """Write the codes beside an index at `path`, and what they stand for."""
        faiss.write_index(self._codes, str(path.with_suffix(CODES)))
        save_array(path.with_suffix(SCALES), np.stack(self._scales))
        save_array(path.with_suffix(ROWS_APART), self._apart)

    @classmethod
    def open(cls, path: Path, rows: Int64[np.ndarray, "m"], dim: int) -> "ByteCodes | None":
        """Map the codes beside an index at `path`; None where it has none."""
        file = path.with_suffix(CODES)
        if not file.exists():
            return None
        try:
            codes = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
            scales = map_array(path.with_suffix(SCALES))
            apart = np.asarray(map_array(path.with_suffix(ROWS_APART)))
        except (RuntimeError, FileNotFoundError) as e:
            raise DamagedIndex(f"{file.name} cannot be read: {str(e)[:200]}") from None
        fits = codes.ntotal == len(rows) > len(apart) and scales.shape == (3, dim) <= (3, codes.d)
        if not fits or (len(apart) and not 0 <= apart.min() <= apart.max() < len(rows)):
            raise DamagedIndex(
                f"{file.name} holds {codes.ntotal} rows of {codes.d} bytes, but {len(rows)} of "
                f"{dim} numbers belong to it"
            )
        return cls(codes, Scales(*np.asarray(scales)), apart, rows)

    @staticmethod
    def remove(path: Path) -> None:
        """Remove what `save` wrote beside an index at `path`, if it did."""
        for suffix in (CODES, SCALES, ROWS_APART):
            path.with_suffix(suffix).unlink(missing_ok=True)

    def estimate(
        self,
        vectors: Float32[np.ndarray, "n d"],
        query: Float32[np.ndarray, "1 d"],
        k: int,
        held: Bool[np.ndarray, "m"],
    ) -> "ScanEstimate":
        """Return what a scan of the rows that pass has to do, by some of them that are drawn."""
        asked = self._quantised(query[0].astype(np.float64))
        passing = np.flatnonzero(held)
        drawn = self._rows[passing[:: -(-len(passing) // DRAWN)]]
        [scores] = row_scores(vectors, drawn[None], query)
        good = np.sort(scores)[-BEST:].astype(np.float64)
        spread = max(good[-1] - good[0], ROUNDING * np.abs(good).max(), TINY)
        density = float(len(good) * len(passing) / len(drawn) / spread)
        near = ceil(DEEPER * min(CERTAIN * asked.error * density, len(passing)))
        return ScanEstimate(vectors, query, k, held, len(passing), asked, near)

    def best(self, scan: "ScanEstimate") -> BestRows | None:
        """Return the best `k`, 1 or more, of the rows that pass, with scores of the vectors.

        As many more are scored again as are reckoned to be nearly as good as the last of them;
        where they are more, in a second look. None: so many that comparing all that pass is
        cheaper, or that some may be missed.
        """
        selector = faiss.IDSelectorBitmap(np.packbits(scan.held, bitorder="little"))
        apart = self._apart[scan.held[self._apart]]
        depth = scan.k + max(scan.near, FEWEST)
        for _ in range(2):
            if depth * COSTS.again > scan.passed * (COSTS.score - COSTS.byte):
                break
            places, rough = self._nearest(scan.asked, depth, selector)
            found = np.union1d(places, apart) if len(apart) else places
            rows = self._rows[found]
            [scores] = row_scores(scan.vectors, rows[None], scan.query)
            hits = best(rows, scores, scan.k)
            rest = _rest(rough, float(hits.scores[-1]), scan.asked.error)
            if rest.better <= MISSED * scan.k:
                return BestRows(hits, min(round(1 - rest.better / scan.k, 4), LARGEST))
            depth = ceil(DEEPER * (depth + rest.near))
        return None

    def _quantised(self, query: Float64[np.ndarray, "d"]) -> "_QuantisedQuery":
        """Return a query as bytes, and what a score by bytes is off by, one deviation.

        A row is off by half a step at most in each number, and by step / sqrt(12) in the mean of
        the squares; the query by what its bytes leave over, times those of the row.
        """
        centre, step, square = self._scales
        weights = query * step
        unit = max(float(np.abs(weights).max()) / MOST, TINY)
        signed = np.rint(weights / unit)
        left = weights - unit * signed
        shifted = np.concatenate([signed + SHIFT, self._filling]).astype(np.float32)
        by_shift = SHIFT * (self._sum + float(shifted.sum(dtype=np.float64)) - SHIFT * len(shifted))
        error = sqrt(float(np.sum(weights**2) / 12 + np.sum(left**2 * square)))
        return _QuantisedQuery(shifted, unit, float(query @ centre) - unit * by_shift, error)

    def _nearest(
        self, asked: "_QuantisedQuery", depth: int, selector: faiss.IDSelector
    ) -> tuple[Int64[np.ndarray, "m"], Float64[np.ndarray, "m"]]:
        """Return the best places by bytes with their scores, best first."""
        scores, places = self._codes.search(
            asked.shifted[None], depth, params=faiss.SearchParameters(sel=selector)
        )
        return places[0], asked.added + asked.unit * scores[0].astype(np.float64)


class _QuantisedQuery(NamedTuple):
    """A query as bytes: its product with a row's, times `unit`, and with `added`, is a score."""

    shifted: Float32[np.ndarray, "b"]
    unit: float
    added: float
    error: float


class ScanEstimate(NamedTuple):
    """A prepared scan: the query, the rows that pass the filter, and about how many are contenders.

    Contenders score nearly as well as the k-th row.
    """

    vectors: Float32[np.ndarray, "n d"]
    query: Float32[np.ndarray, "1 d"]
    k: int
    held: Bool[np.ndarray, "m"]
    passed: int
    asked: _QuantisedQuery
    near: int  # rows, about, that are nearly as good as the last of the best `k`

    @property
    def is_crowded(self) -> bool:
        """Whether the filter goes against the query, so that no index looks where they lie."""
        return self.near > self.k


class _Remainder(NamedTuple):
    """What is reckoned to be among the rows that were not scored again."""

    better: float  # than the last answer
    near: float  # by bytes within CERTAIN errors of the last answer


def _rest(rough: Float64[np.ndarray, "m"], last: float, error: float) -> _Remainder:
    """Reckon what was left, from how dense the last rows lie and what bytes are off by.

    With errors of deviation s, `density` rows a unit of score, and the last row by bytes `z * s`
    below the last answer, `density * s * (phi(z) - z * Q(z))` better rows are expected beyond it:
    the unit normal loss, where phi is the normal density and Q its upper tail.
    """
    least = ROUNDING * max(abs(last), abs(float(rough[0])), abs(float(rough[-1])))
    error = max(error, least, TINY)
    later = rough[len(rough) // 2 :]
    density = len(later) / max(float(later[0] - later[-1]), error / len(later))
    gap = last - float(rough[-1])
    z = gap / error
    loss = exp(-z * z / 2) / sqrt(2 * pi) - z * erfc(z / sqrt(2)) / 2
    return _Remainder(density * error * loss, max(density * (CERTAIN * error - gap), 0.0))


def _parts(
    vectors: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"]
) -> Iterator[tuple[int, Float32[np.ndarray, "p d"]]]:
    for start in range(0, len(rows), AT_ONCE):
        yield start, fit_vectors(vectors[rows[start : start + AT_ONCE]], "index")


class _Bytes(NamedTuple):
    """Rows as bytes, and what each lacks to the sum of all, to be filled up by some bytes more."""

    scales: Scales
    shifted: UInt8[np.ndarray, "m d"]
    is_apart: Bool[np.ndarray, "m"]
    lacking: Int64[np.ndarray, "m"]
    more: int

    @property
    def apart(self) -> Int64[np.ndarray, "a"]:
        """Return the rows that stand apart."""
        return np.flatnonzero(self.is_apart)


def _encoded(
    vectors: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"], wide: float
) -> _Bytes:
    low, high = _limits(vectors, rows, wide)
    centre, step = (low + high) / 2, (high - low) / (2 * MOST)
    step = np.where(step > 0, step, 1).astype(np.float32)
    shifted = np.empty((len(rows), len(centre)), np.uint8)
    squares, is_apart = np.zeros(len(centre)), np.zeros(len(rows), bool)
    for start, part in _parts(vectors, rows):
        signed = np.rint((part - centre) / step)
        is_apart[start : start + len(part)] = (np.abs(signed) > MOST + 1).any(axis=1)
        signed = np.clip(signed, -MOST, MOST)
        squares += np.square(signed).sum(axis=0)
        shifted[start : start + len(part)] = signed + SHIFT
    lacking, count = _to_fill(shifted, is_apart)
    is_apart |= (lacking < 0) | (lacking > 255 * count)
    scales = Scales(centre, step, (squares / len(rows)).astype(np.float32))
    return _Bytes(scales, shifted, is_apart, lacking, count)


def _held(bytes_of: _Bytes) -> faiss.IndexScalarQuantizer:
    index = faiss.IndexScalarQuantizer(
        bytes_of.shifted.shape[1] + bytes_of.more,
        faiss.ScalarQuantizer.QT_8bit_direct,
        faiss.METRIC_INNER_PRODUCT,
    )
    for start in range(0, len(bytes_of.shifted), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        filling = _filling(bytes_of.lacking[some], bytes_of.more)
        index.add(np.hstack([bytes_of.shifted[some], filling]).astype(np.float32))
    return index


def _limits(
    vectors: Float32[np.ndarray, "n d"], rows: Int64[np.ndarray, "m"], wide: float
) -> tuple[Float32[np.ndarray, "d"], Float32[np.ndarray, "d"]]:
    """Return the lowest and highest of each number, in rows whose numbers are all near the middle.

    Near are `wide` deviations; the deviation is that of the middle half, as of a normal one (the
    half lies within 0.6745 of it), in rows drawn evenly, so that a few that are far off count for
    nothing.
    """
    drawn = fit_vectors(vectors[rows[:: -(-len(rows) // AT_ONCE)]], "index")
    first, middle, third = np.percentile(drawn, [25, 50, 75], axis=0).astype(np.float32)
    deviation = (third - first) / (2 * 0.6745)
    reach = np.where(deviation > 0, wide * np.maximum(deviation, 1e-30), np.inf)
    low, high = middle.copy(), middle.copy()
    for _, part in _parts(vectors, rows):
        near = part[(np.abs(part - middle) <= reach).all(axis=1)]
        low = np.minimum(low, near.min(axis=0, initial=np.inf))
        high = np.maximum(high, near.max(axis=0, initial=-np.inf))
    return low, high


def _to_fill(
    shifted: UInt8[np.ndarray, "m d"], is_apart: Bool[np.ndarray, "m"]
) -> tuple[Int64[np.ndarray, "m"], int]:
    """Return what each row lacks to the sum of all, and how many bytes are to fill it up.

    They fill a row up to full blocks, and with more than two blocks some rows stand apart.
    """
    sums = shifted.sum(axis=1, dtype=np.int64)
    usual = sums[~is_apart]
    dim = shifted.shape[1]
    least = -dim % BLOCK
    if not len(usual):
        return np.zeros(len(sums), np.int64), least
    needed = ceil(int(usual.max() - usual.min()) / 255)
    count = least + ceil(max(min(needed, 2 * BLOCK) - least, 0) / BLOCK) * BLOCK
    middle = (int(usual.max()) + int(usual.min())) // 2
    return middle + 255 * count // 2 - sums, count


def _filling(lacking: Int64[np.ndarray, "p"], count: int) -> UInt8[np.ndarray, "p f"]:
    """Return bytes that have these sums, as far as bytes can."""
    each, more = np.divmod(np.clip(lacking, 0, 255 * count)[:, None], max(count, 1))
    return np.asarray(each + (np.arange(count) < more), np.uint8)
