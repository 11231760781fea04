"""Item-to-item relations counted over baskets: bought together, and bought next."""

import numpy as np
from scipy import sparse

from retrieval.behaviour.neighbours import Neighbours, no_neighbours, relate
from retrieval.behaviour.purchases import Purchases

SHRINKAGE = 5.0  # keeps two products that were bought once, together, from being twins
FULL_BASKETS = 1.5  # products in the mean basket; with fewer, sequences tell what goes together
LONGEST_GAP = 5  # baskets between two purchases that still belong to each other
SHORT_GAP = 2  # the same where baskets are full, and so say much already
GAP_WEIGHT = 0.8  # of each further basket


def together(log: Purchases, num_products: int, k: int, max_memory_mb: int) -> Neighbours:
    """Return each product's nearest products by the cosine of the baskets that held them.

    Item-based collaborative filtering (Sarwar et al., WWW 2001) with shrinkage. In a log of
    single products, those within a few baskets of one user count, less with each basket between.
    `log` is sorted by user and time and names a product once a basket.
    """
    if not len(log.rows):
        return no_neighbours(num_products, k)
    held = _held(log, num_products)
    if held.nnz / held.shape[0] >= FULL_BASKETS:
        return relate(held.T.tocsr(), held, _scale(log, num_products), k, max_memory_mb)
    after = _steps(log, LONGEST_GAP)
    near = ((after + after.T) @ held).tocsr()
    return relate(held.T.tocsr(), near, _scale(log, num_products), k, max_memory_mb)


def next_after(log: Purchases, num_products: int, k: int, max_memory_mb: int) -> Neighbours:
    """Return what users bought in baskets after one with each product, never the other way.

    A basket further counts `GAP_WEIGHT` as much; pairs are scaled as in `together`.
    """
    if not len(log.rows):
        return no_neighbours(num_products, k)
    held = _held(log, num_products)
    gap = SHORT_GAP if held.nnz / held.shape[0] >= FULL_BASKETS else LONGEST_GAP
    later = (_steps(log, gap) @ held).tocsr()
    return relate(held.T.tocsr(), later, _scale(log, num_products), k, max_memory_mb)


def _numbered(log: Purchases) -> np.ndarray:
    """Number the baskets in the order of the log: by user, then by time."""
    new = (np.diff(log.baskets) != 0) | (np.diff(log.users) != 0)
    return np.concatenate([[0], np.cumsum(new)])


def _held(log: Purchases, num_products: int) -> sparse.csr_matrix:
    """Return baskets x products, 1 where the basket held it."""
    baskets = _numbered(log)
    shape = (int(baskets[-1]) + 1, num_products)
    held = sparse.csr_matrix((np.ones(len(baskets), np.float32), (baskets, log.rows)), shape=shape)
    held.data[:] = 1
    return held


def _steps(log: Purchases, longest: int) -> sparse.csr_matrix:
    """Return baskets x baskets: the weight of each later basket of the same user."""
    first = np.flatnonzero(np.diff(_numbered(log), prepend=-1))
    users = log.users[first]
    froms, tos, weights = [], [], []
    for gap in range(1, longest + 1):
        same = np.flatnonzero(users[:-gap] == users[gap:])
        froms.append(same)
        tos.append(same + gap)
        weights.append(np.full(len(same), GAP_WEIGHT ** (gap - 1), np.float32))
    places = (np.concatenate(froms), np.concatenate(tos))
    return sparse.csr_matrix((np.concatenate(weights), places), shape=(len(users), len(users)))


def _scale(log: Purchases, num_products: int) -> np.ndarray:
    counts = np.bincount(log.rows, minlength=num_products)
    return np.asarray(1 / np.sqrt(counts + SHRINKAGE))
