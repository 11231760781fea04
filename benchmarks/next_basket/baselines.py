"""Three classic predictions of a basket, as plain functions of a task: one row a request."""

import numpy as np
from scipy import sparse

from benchmarks.next_basket.baskets import DAY, Task

HALF_LIFE_DAYS = 60.0
HOUSEHOLDS_AT_ONCE = 256


def popularity(task: Task) -> np.ndarray:
    """Return how many receipt lines of the past name each product, the same for everyone."""
    lines = np.bincount(task.past.products, task.past.lines, minlength=len(task.products))
    return np.broadcast_to(lines.astype(np.float32), (len(task.households), len(lines)))


def personal_frequency(task: Task, half_life_days: float = HALF_LIFE_DAYS) -> np.ndarray:
    """Return each household's own baskets with each product, halved every so many days.

    What it never bought follows by popularity, which also orders ties.
    """
    own = decayed_counts(task, half_life_days)[task.households].toarray().astype(np.float64)
    popular = popularity(task)
    return np.asarray(own + popular * (1e-9 / max(float(popular.max(initial=0)), 1.0)))


def item_knn(task: Task) -> np.ndarray:
    """Return each product's cosine with what the household bought, summed over its purchases.

    A product is the set of baskets that held it; the cosine of two is the number of baskets with
    both over the root of the product of their sizes (Sarwar et al., WWW 2001), without shrinkage
    and over all neighbours. A purchase weighs half after 60 days. A product is not its own
    neighbour: this baseline knows what goes together, not what is bought again.
    """
    baskets = np.unique(task.past.baskets, return_inverse=True)[1]
    ones = np.ones(len(baskets), np.float32)
    held = sparse.csr_matrix((ones, (task.past.products, baskets)))
    lengths = np.sqrt(np.bincount(task.past.products, minlength=len(task.products)))
    held = sparse.diags_array((1 / lengths).astype(np.float32)) @ held
    own = decayed_counts(task, HALF_LIFE_DAYS)[task.households]
    scores = np.empty(own.shape, np.float32)
    for start in range(0, len(scores), HOUSEHOLDS_AT_ONCE):
        part = own[start : start + HOUSEHOLDS_AT_ONCE]
        shared = (held.T @ part.T).toarray()  # by basket: no product x product matrix is made
        scores[start : start + HOUSEHOLDS_AT_ONCE] = (held @ shared).T - part.toarray()
    return scores


def decayed_counts(task: Task, half_life_days: float) -> sparse.csr_matrix:
    """Return households x products: baskets of the past, halved every so many days until start."""
    age_days = (task.start_seconds - task.past.seconds) / DAY
    weights = 0.5 ** (age_days / half_life_days)
    shape = (int(max(task.past.households.max(), task.households.max())) + 1, len(task.products))
    places = (task.past.households, task.past.products)
    return sparse.csr_matrix((weights.astype(np.float32), places), shape=shape)
