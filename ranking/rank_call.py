"""The input of one call to the ranker: candidates, their features and the request's context."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64


class Context(NamedTuple):
    """One request as arrays, not yet tokens; unused places are masked by -1 rows and 0 facts."""

    query: Float32[np.ndarray, "d"] | None  # in the joined space; None: nothing was asked
    recent: Int64[np.ndarray, "r"]  # rows of distinct products, newest first; -1: unused
    recent_facts: Float32[np.ndarray, "r 2"]  # log days since, log times bought
    facts: Int64[np.ndarray, "f"]  # codes of facts about shopper and scene, or numbers; 0: unused


class RankCall(NamedTuple):
    """One request to the ranker."""

    rows: Int64[np.ndarray, "c"]
    features: Float32[np.ndarray, "c f"]
    context: Context
