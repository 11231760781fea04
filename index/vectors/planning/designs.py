"""The index designs to choose from: memory, cost of a search, and requirements of each."""

from collections.abc import Callable
from math import log, log2, sqrt
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from index.errors import IndexFault
from index.vectors.approximate import ApproximateIndex
from index.vectors.libraries.cagra import DEGREE as CAGRA_DEGREE
from index.vectors.libraries.cagra import NEAR, cagra_graph, why_no_cagra
from index.vectors.libraries.faiss_index import FaissIndex
from index.vectors.libraries.svs_index import DEGREE, HALVES, PADDING, SvsIndex, why_no_svs

Vectors = Float32[np.ndarray, "n d"]
Rows = Int64[np.ndarray, "m"]
Search = Literal["scan", "graph", "cells"]

DIM = 384  # that the nanoseconds below were measured with
EDGES = 32  # of HNSW, twice as many on its lowest level
VECTORS_PER_CELL = 39  # that FAISS wants at least, to train it
CODES_PER_CELL = 256  # at least: entering a cell costs as much as scanning so many product codes
MOST_CELLS = 2**17
CENTRE = 40.0  # nanoseconds of comparing a query with the centre of a cell
AGAIN = 200.0  # nanoseconds of scoring a row again from the vectors
ANSWERS = 100  # that a search is reckoned for


class Cost(NamedTuple):
    """Nanoseconds of a search for 100, one thread, 126,876 texts, vectors of 384 numbers.

    `start` is spent on every query; `step` on a row of a scan, a node that a graph keeps, or a cell
    that is entered; `row` on a row of a cell. Only their ratios matter. They are constants, and not
    measured where an index is built, so that a choice does not depend on how busy a machine is.
    """

    step: float
    row: float = 0.0
    start: float = 0.0


class Design(NamedTuple):
    """One way to index vectors; `name` is what index.kind says, `form` what its library reads."""

    name: str
    form: str  # a FAISS factory string with {cells}, {half} and {dim}; or what SVS or CAGRA read
    search: Search
    cost: Cost
    row_bytes: Callable[[float], float]  # of a vector with so many numbers, edges and ids included
    deeper: float = 0.0  # as ApproximateIndex
    deepest: float = 0.0  # tried as well: codes of vectors that are much alike need more
    per_cell: int = VECTORS_PER_CELL  # rows at least, on average

    @property
    def by_svs(self) -> bool:
        """Whether SVS builds it; FAISS does otherwise."""
        return self.name.startswith("svs")

    @property
    def by_cagra(self) -> bool:
        """Whether a GPU builds its graph."""
        return self.name == "cagra"

    @property
    def least_rows(self) -> int:
        """Return of how many rows it can be built."""
        least = {"scan": 0, "graph": 1, "cells": VECTORS_PER_CELL}[self.search]
        return NEAR + 1 if self.by_cagra else least

    def why_not(self, num_rows: int, dim: int) -> str:
        """Return why it cannot be built here for so many rows; nothing where it can."""
        if self.by_svs:
            return why_no_svs(self.form)
        if self.by_cagra and (reason := why_no_cagra()):
            return reason
        if num_rows < self.least_rows:
            return f"it is made of {self.least_rows} vectors or more"
        return "the vectors have an odd length" if "{half}" in self.form and dim % 2 else ""

    @property
    def depths(self) -> tuple[float, ...]:
        """How deep it is tried to be searched, the least first."""
        return (self.deeper, self.deepest) if self.deepest else (self.deeper,)

    def cells(self, num_rows: int) -> int:
        """Return how many cells its inverted file of so many rows has."""
        return cells_of(num_rows, self.per_cell)

    def filled(self, num_rows: int, dim: int) -> str:
        """Return the form for so many rows of `dim` numbers."""
        return self.form.format(cells=self.cells(num_rows), half=dim // 2, dim=dim)

    def num_bytes(self, num_rows: int, dim: int) -> int:
        """Return about how much memory the index takes, the vectors themselves not counted."""
        centres = 4 * dim * self.cells(num_rows) if self.search == "cells" else 0
        return int(num_rows * self.row_bytes(float(dim)) + centres)

    def build(self, vectors: Vectors, rows: Rows, *, threads: int = 1) -> ApproximateIndex:
        """Build it over these rows; a graph of SVS is repeatable with one thread only."""
        form = self.filled(len(rows), vectors.shape[1])
        if self.by_svs:
            return SvsIndex.build(vectors, form, rows, self.deeper, threads=threads)
        if self.by_cagra:
            return FaissIndex(cagra_graph(vectors[rows]), vectors, rows)
        return FaissIndex.build(vectors, form, rows, self.deeper)

    def nanoseconds(self, effort: int, num_rows: int, dim: int, deeper: float = 0.0) -> float:
        """Return about how long one query takes, with rows scored again beyond the least depth.

        scan: `start + rows * step`; graph: `start + effort * step`; cells: `start + cells * CENTRE
        + effort * step + seen * row`, where `seen` is the share of rows in so many cells.
        """
        wide, cells = dim / DIM, self.cells(num_rows)
        if self.search == "scan":
            work = num_rows * self.cost.step
        elif self.search == "graph":
            work = effort * self.cost.step
        else:
            seen = num_rows * min(effort / cells, 1.0)
            work = cells * CENTRE + effort * self.cost.step + seen * self.cost.row
        work += AGAIN * ANSWERS * max(deeper - self.deeper, 0.0)
        return self.cost.start + work * wide

    def grown(self, effort: int, sample: int, num_rows: int) -> int:
        """Return the effort that finds in all rows what `effort` found in a sample of them.

        A graph keeps nodes by the logarithm of its size, an inverted file visits cells by the
        root of it, as it has cells by the root of it.
        """
        if self.search == "graph":
            return round(effort * max(log(num_rows) / log(max(sample, 2)), 1.0))
        return max(round(effort * sqrt(self.cells(num_rows) / self.cells(sample))), 1)


def cells_of(num_rows: int, per_cell: int = VECTORS_PER_CELL) -> int:
    """Return how many cells an inverted file has: about four times the root of its rows.

    They are fewer where a cell would have less than `per_cell` rows.
    """
    cells = 1 << round(log2(4 * sqrt(max(num_rows, 1))))
    return max(min(cells, num_rows // per_cell, MOST_CELLS), 1)


def _padded(num_bytes: float) -> float:
    return -(-num_bytes // PADDING) * PADDING


def _hnsw_edges() -> float:
    return 4.0 * 2 * EDGES + 16


def _vamana_edges() -> float:
    return 4.0 * (DEGREE + 1)


# In the order in which equals are preferred.
DESIGNS = (
    Design("flat", "Flat", "scan", Cost(100.0), lambda dim: 4 * dim),
    Design(
        "svs-lvq8",
        "LVQ8",
        "graph",
        Cost(1_000.0, start=35_000.0),
        lambda dim: _padded(dim + 9) + _vamana_edges(),
    ),
    Design(
        "svs-lvq4x8",
        "LVQ4x8",
        "graph",
        Cost(1_000.0, start=90_000.0),
        lambda dim: _padded(dim / 2 + 9) + dim + _vamana_edges(),
    ),
    Design(
        "svs-f16",
        HALVES,
        "graph",
        Cost(1_000.0, start=40_000.0),
        lambda dim: 2 * dim + _vamana_edges(),
    ),
    Design(
        "hnsw",
        f"HNSW{EDGES},Flat",
        "graph",
        Cost(2_600.0, start=85_000.0),
        lambda dim: 4 * dim + _hnsw_edges(),
    ),
    Design(  # reckoned as the graph of HNSW, which it is walked as
        "cagra",
        f"CAGRA{CAGRA_DEGREE}",
        "graph",
        Cost(2_600.0, start=85_000.0),
        lambda dim: 4 * dim + 4.0 * CAGRA_DEGREE + 16,
    ),
    Design(
        "hnsw-sq8",
        f"HNSW{EDGES},SQ8",
        "graph",
        Cost(2_900.0, start=90_000.0),
        lambda dim: dim + 8 + _hnsw_edges(),
        deeper=1.0,
    ),
    Design(
        "ivf-pq",
        "IVF{cells},PQ{half}x4fs",
        "cells",
        Cost(1_700.0, 6.0, start=65_000.0),
        lambda dim: dim / 4 + 8,
        deeper=2.5,
        deepest=4.0,
        per_cell=CODES_PER_CELL,
    ),
    Design(
        "ivf",
        "IVF{cells},Flat",
        "cells",
        Cost(300.0, 105.0, start=40_000.0),
        lambda dim: 4 * dim + 8,
    ),
    Design(
        "ivf-sq8",
        "IVF{cells},SQ8",
        "cells",
        Cost(300.0, 55.0, start=40_000.0),
        lambda dim: dim + 8,
        deeper=1.0,
    ),
    Design(
        "ivf-rabitq",
        "IVF{cells},RaBitQ",
        "cells",
        Cost(300.0, 17.0, start=90_000.0),
        lambda dim: dim / 8 + 24,
        deeper=6.0,
    ),
)
BY_NAME = {design.name: design for design in DESIGNS}


def design_named(name: str) -> Design:
    """Return a design, or IndexFault that lists them."""
    if name not in BY_NAME:
        raise IndexFault(f"index.kind={name!r} is not a kind; choose one of {', '.join(BY_NAME)}")
    return BY_NAME[name]
