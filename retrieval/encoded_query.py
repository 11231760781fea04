"""An encoded query: the vectors, words and history that channels read."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from index import Expression
from retrieval.behaviour.purchases import NO_HISTORY, History
from retrieval.context_facts import NO_FACTS

NO_ROWS = np.empty(0, np.int64)
NO_MARKS = np.empty(0, np.float32)


class Visit(NamedTuple):
    """Products that a shopper looked at just now, and how much each says beside a purchase."""

    rows: Int32[np.ndarray, "v"]
    weights: Float64[np.ndarray, "v"]  # above 0, below 1
    instead: bool = False  # of purchases: then the history is made of such acts, and this is empty


NO_VISIT = Visit(np.empty(0, np.int32), np.empty(0, np.float64))


class EncodedQuery(NamedTuple):
    """One request, encoded. A part that was not asked is None or empty."""

    text: str = ""
    joined_vector: Float32[np.ndarray, "d"] | None = None  # query text in the joined space
    image_vector: Float32[np.ndarray, "i"] | None = None  # query picture in the picture space
    history: History = NO_HISTORY
    visit: Visit = NO_VISIT
    at_seconds: int = 0
    allowed: Bool[np.ndarray, "n"] | None = None  # products that may be returned; None: all
    where: Expression | None = None  # the filter that `allowed` was made by; None: not said
    facts: Int64[np.ndarray, "f"] = NO_FACTS  # about shopper and scene, hashed; 0: unused
    marked: Int64[np.ndarray, "l"] = NO_ROWS  # products that the request likes or dislikes
    marks: Float32[np.ndarray, "l"] = NO_MARKS  # how much: above 0 liked, below 0 disliked
    interests: Float32[np.ndarray, "m d"] | None = None  # in the towers' space; None: no towers
