"""EASE: item-to-item weights in closed form, from the smaller of two inverses."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64
from scipy import sparse
from scipy.linalg import lapack

from retrieval.behaviour.neighbours import MEGABYTE, Neighbours, TooLittleMemory, no_neighbours
from retrieval.behaviour.purchases import History, Purchases, decay

EXACT_SIDE = 4_096  # up to here the inverse is made in double precision
COPIES = 3  # of the matrix in memory while it is inverted and read
BLOCK_ROWS = 512


Rows = Callable[[int, int], Float32[np.ndarray, "b m"]]  # rows of P from start to end


class EaseSettings(NamedTuple):
    """Bounds on the size of EASE, and the strength of its regularisation."""

    regularisation: float = 200.0  # lambda of the paper
    neighbours: int = 200  # weights kept a product, positive and negative
    products: int = 12_000  # the most bought ones take part
    half_life_days: float = 120.0  # of a purchase, when learning and when asked
    max_memory_mb: int = 4_000


def interests(
    rows: np.ndarray, ages_seconds: np.ndarray, half_life_days: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct products and how much each is wanted: log2(1 + decayed purchases)."""
    products, place = np.unique(rows, return_inverse=True)
    counts = np.bincount(place, decay(ages_seconds, half_life_days), len(products))
    return products, np.log2(1 + counts)


def user_matrix(
    log: Purchases, num_users: int, num_products: int, until_seconds: int, half_life_days: float
) -> sparse.csr_matrix:
    """Return users x products: how much each is wanted at `until_seconds`."""
    weights = decay(until_seconds - log.seconds, half_life_days)
    wanted = sparse.csr_matrix((weights, (log.users, log.rows)), shape=(num_users, num_products))
    wanted.sum_duplicates()
    wanted.data = np.log2(1 + wanted.data)
    return wanted


def wants(history: History, at_seconds: int, half_life_days: float) -> tuple[np.ndarray, ...]:
    """Return one shopper's row of `user_matrix` at a moment: products and weights."""
    return interests(history.rows, at_seconds - history.seconds, half_life_days)


def memory_mb(side: int, width: int) -> int:
    """Return how much memory EASE needs for an inverse of this side and rows of this width."""
    bytes_each = 8 if side <= EXACT_SIDE else 4
    return -(-(COPIES * side * side * bytes_each + 24 * BLOCK_ROWS * width) // MEGABYTE)


def ease(wanted: sparse.csr_matrix, settings: EaseSettings) -> Neighbours:
    """Return the strongest weights B[i, j]: how much wanting i speaks for j, its own being 0.

    Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019: with
    P = (X'X + lambda I)^-1, B = I - P diag(1 / diag P). Where users are fewer than products the
    same P comes from a users x users inverse (Woodbury):
    P = (I - X'(XX' + lambda I)^-1 X) / lambda.
    Only the most bought products take part, as many as `settings` and its memory allow.
    """
    num_users, num_products = wanted.shape
    table = no_neighbours(num_products, settings.neighbours)
    chosen = participants(wanted, settings)
    if not len(chosen):
        return table
    part = wanted.tocsc()[:, chosen].tocsr()
    few_users = num_users < len(chosen)
    rows_of = _by_users if few_users else _by_products
    blocks, diagonal = rows_of(part, settings.regularisation)
    for start in range(0, len(chosen), BLOCK_ROWS):
        block = blocks(start, min(start + BLOCK_ROWS, len(chosen)))  # b m, rows of P
        weights = -block / diagonal
        weights[np.arange(len(block)), start + np.arange(len(block))] = 0
        columns, values = _best(weights, settings.neighbours)
        sources = chosen[start : start + len(block)]
        table.rows[sources, : columns.shape[1]] = np.where(values != 0, chosen[columns], -1)
        table.weights[sources, : columns.shape[1]] = values
    return table


def participants(wanted: sparse.csr_matrix, settings: EaseSettings) -> Int64[np.ndarray, "m"]:
    """Return the most bought products, ascending: as many as fit into the memory."""
    num_users = wanted.shape[0]
    buyers = np.bincount(wanted.indices, minlength=wanted.shape[1])
    order = np.argsort(-buyers, kind="stable")[: settings.products]
    order = order[buyers[order] > 0]
    most = len(order)
    while most and memory_mb(min(num_users, most), most) > settings.max_memory_mb:
        most = int(most * 0.9)
    if len(order) and not most:
        needed = memory_mb(1, 1)
        raise TooLittleMemory(
            f"behaviour.max_memory_mb is {settings.max_memory_mb}, and EASE of a single product "
            f"needs {needed} MB; give it more, or leave `ease` out of retrieval.channels"
        )
    return np.sort(order[:most])


def inverse(gram: Float[np.ndarray, "s s"]) -> Float[np.ndarray, "s s"]:
    """Return the inverse of a symmetric positive definite matrix, which is overwritten."""
    factor, invert = (
        (lapack.dpotrf, lapack.dpotri)
        if gram.dtype == np.float64
        else (lapack.spotrf, lapack.spotri)
    )
    lower, failed = factor(gram, lower=1, overwrite_a=1)
    found, failed_too = invert(lower, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise ValueError("the matrix of EASE is singular; set behaviour.ease_lambda above 0")
    np.copyto(found, found.T, where=np.tri(len(found), k=-1, dtype=bool).T)
    return np.asarray(found)


def _gram(part: sparse.csr_matrix, regularisation: float) -> np.ndarray:
    dtype = np.float64 if part.shape[1] <= EXACT_SIDE else np.float32
    gram = np.asarray((part.T @ part).astype(dtype).toarray(order="F"))
    gram[np.diag_indices(len(gram))] += regularisation
    return gram


def _by_products(
    part: sparse.csr_matrix, regularisation: float
) -> tuple[Rows, Float32[np.ndarray, "m"]]:
    found = inverse(_gram(part, regularisation)).astype(np.float32, copy=False)
    return (lambda start, end: found[start:end]), np.diag(found)


def _by_users(
    part: sparse.csr_matrix, regularisation: float
) -> tuple[Rows, Float32[np.ndarray, "m"]]:
    core = inverse(_gram(part.T.tocsr(), regularisation))
    by_product = part.T.tocsr()
    by_product32 = by_product.astype(np.float32)  # of half the bytes, for the largest product
    own = np.zeros(part.shape[1])
    for start in range(0, part.shape[1], BLOCK_ROWS):
        rows = by_product[start : start + BLOCK_ROWS]
        own[start : start + rows.shape[0]] = np.asarray(rows.multiply(rows @ core).sum(1)).ravel()
    diagonal = (1 - own) / regularisation

    def block(start: int, end: int) -> Float32[np.ndarray, "b m"]:
        shared = by_product[start:end] @ core  # b u
        columns = np.ascontiguousarray(shared.T, np.float32)  # u b
        rows = (by_product32 @ columns).T / np.float32(-regularisation)  # b m
        return np.asarray(rows)  # the diagonal is known apart

    return block, diagonal.astype(np.float32)


def _best(weights: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and values of the k entries furthest from 0 of each row, strongest first."""
    k = min(k, weights.shape[1])
    columns = np.argpartition(-np.abs(weights), k - 1, axis=1)[:, :k]
    values = np.take_along_axis(weights, columns, 1)
    order = np.lexsort((columns, -np.abs(values)), axis=1)
    return np.take_along_axis(columns, order, 1), np.take_along_axis(values, order, 1)
