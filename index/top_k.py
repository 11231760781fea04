"""The best k rows by score, ties by the lower row."""

import numpy as np
from jaxtyping import Float32, Int64

from index.types import Hits

FEW = 4  # times as many as asked for: sorting all is quicker than finding where the best begin


def best(rows: Int64[np.ndarray, "m"], scores: Float32[np.ndarray, "m"], k: int) -> Hits:
    """Return the `k` rows with the highest scores, best first, ties by the lower row."""
    if 0 < FEW * k < len(scores):
        # Everything at or above the k-th best score, so that ties are cut by row and not by luck.
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        near = np.flatnonzero(scores >= threshold)
        rows, scores = rows[near], scores[near]
    order = np.argsort(-scores)
    ordered = scores[order]
    if (ordered[1:] == ordered[:-1]).any():
        order = np.lexsort((rows, -scores))
    order = order[:k]
    return Hits(rows[order].astype(np.int64), scores[order].astype(np.float32))
