"""Tables of each product's strongest relations, computed block by block in bounded memory."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Int64
from scipy import sparse

CELL_BYTES = 40  # of a sparse product: value, column, and as much again while the best are chosen
MEGABYTE = 1 << 20


class TooLittleMemory(ValueError):
    """A memory bound that is too small for the smallest step of the work."""


class Neighbours(NamedTuple):
    """The strongest related products of each product, strongest first; -1 if there are fewer.

    A weight may be negative: buyers of the one are less likely to buy the other.
    """

    rows: Int32[np.ndarray, "n k"]
    weights: Float32[np.ndarray, "n k"]


def no_neighbours(num_products: int, k: int = 0) -> Neighbours:
    """Return a table in which no product speaks for another."""
    shape = (num_products, k)
    return Neighbours(np.full(shape, -1, np.int32), np.zeros(shape, np.float32))


def speak_for(
    table: Neighbours,
    rows: Int32[np.ndarray, "h"],
    weights: Float64[np.ndarray, "h"],
    num_products: int,
) -> Float32[np.ndarray, "n"]:
    """Return what the weighted rows say about every product: the table times a sparse vector."""
    if table.rows.shape[1]:  # of rows that speak for nothing, as of what hardly anyone bought
        speaking = table.rows[rows, 0] >= 0
        rows, weights = rows[speaking], weights[speaking]
    near = table.rows[rows]  # h k
    near += 1  # so that -1 has a place of its own, which is dropped below
    ends = np.arange(len(rows) + 1, dtype=np.int32) * near.shape[1]
    columns = (table.weights[rows].ravel(), near.ravel(), ends)
    said = sparse.csc_array(columns, shape=(num_products + 1, len(rows)))
    return np.asarray((said @ weights.astype(np.float32))[1:])


def strongest(block: sparse.csr_matrix, k: int) -> Neighbours:
    """Return the k entries of each row that are furthest from 0; ties by the lower column."""
    table, strengths = no_neighbours(block.shape[0], k), np.abs(block.data)
    ends = block.indptr.tolist()
    for row in np.flatnonzero(np.diff(block.indptr)).tolist():
        start, end = ends[row], ends[row + 1]
        order = start + _largest(strengths[start:end], block.indices[start:end], k)
        table.rows[row, : len(order)] = block.indices[order]
        table.weights[row, : len(order)] = block.data[order]
    return table


def _largest(
    strengths: Float[np.ndarray, "e"], columns: Int32[np.ndarray, "e"], k: int
) -> Int64[np.ndarray, "k"]:
    """Return the places of the k largest numbers above 0, largest first, ties by the column."""
    least = np.partition(strengths, -k)[-k] if 0 < k < len(strengths) else 0
    near = np.flatnonzero((strengths >= least) & (strengths > 0))
    return near[np.lexsort((columns[near], -strengths[near]))[:k]]


def block_ends(
    work: Int64[np.ndarray, "n"], num_products: int, max_memory_mb: int
) -> Int64[np.ndarray, "b"]:
    """Return where blocks of rows end so that each product of matrices fits into the memory.

    `work[i]` is the number of multiplications of row i; it has at most so many entries, and at
    most one a product. Raises TooLittleMemory where one row alone may not fit.
    """
    cells = np.minimum(work, num_products)
    most = max_memory_mb * MEGABYTE // CELL_BYTES
    if cells.max(initial=0) > most:
        needed = -(-int(cells.max()) * CELL_BYTES // MEGABYTE)
        raise TooLittleMemory(
            f"one row of item-to-item may need {needed} MB and behaviour.max_memory_mb is "
            f"{max_memory_mb}; give it at least {needed}"
        )
    ends, used = [], 0
    for row, count in enumerate(cells.tolist()):
        if used + count > most:
            ends.append(row)
            used = 0
        used += count
    return np.array([*ends, len(cells)], np.int64)


def relate(
    left: sparse.csr_matrix,
    right: sparse.csr_matrix,
    scale: Float64[np.ndarray, "n"],
    k: int,
    max_memory_mb: int,
) -> Neighbours:
    """Return the strongest of `scale[i] * (left @ right)[i, j] * scale[j]`, i and j different.

    `left` is products x occasions, `right` occasions x products; rows are made in blocks whose
    size is estimated before.
    """
    num_products = left.shape[0]
    work = left.astype(bool).astype(np.int64) @ np.diff(right.indptr)
    ends = block_ends(np.asarray(work, np.int64), num_products, max_memory_mb)
    parts = list(_blocks(left, right, scale, ends, k))
    return Neighbours(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )


def _blocks(
    left: sparse.csr_matrix,
    right: sparse.csr_matrix,
    scale: Float64[np.ndarray, "n"],
    ends: Int64[np.ndarray, "b"],
    k: int,
) -> Iterator[Neighbours]:
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        block = (left[start:end] @ right).tocsr()
        sources = np.repeat(np.arange(start, end, dtype=np.int32), np.diff(block.indptr))
        block.data = block.data * scale[sources] * scale[block.indices]
        block.data[block.indices == sources] = 0
        yield strongest(block, k)
