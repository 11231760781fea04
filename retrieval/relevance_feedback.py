"""Moves a query towards products that are liked and away from those that are not."""

import numpy as np
from jaxtyping import Float32

LIKED_WEIGHT, DISLIKED_WEIGHT = 0.75, 0.25  # how far, beside words that weigh 1


def rocchio(
    query: Float32[np.ndarray, "d"] | None,
    vectors: Float32[np.ndarray, "l d"],
    marks: Float32[np.ndarray, "l"],
) -> Float32[np.ndarray, "d"] | None:
    """Return the unit vector of what was asked and marked, or None where nothing is left of it.

    `query + 0.75 * mean of the liked - 0.25 * mean of the disliked`, means weighted by the marks:
    relevance feedback as of Rocchio (1971), with the constants that Manning, Raghavan and Schütze
    (2008, section 9.1.1) call reasonable. Without words, a product must be liked.
    """
    if query is None and not (marks > 0).any():
        return None
    asked = np.zeros(vectors.shape[1], np.float64) if query is None else query.astype(np.float64)
    for weight, chosen in ((LIKED_WEIGHT, marks > 0), (-DISLIKED_WEIGHT, marks < 0)):
        if chosen.any():
            asked += weight * np.average(vectors[chosen], axis=0, weights=np.abs(marks[chosen]))
    length = np.linalg.norm(asked)
    return (asked / length).astype(np.float32) if length > 1e-6 else None
