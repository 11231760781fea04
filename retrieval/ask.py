"""What the channels get to see of a request: vectors, words and a history, all as arrays."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from retrieval.behaviour import NO_HISTORY, History


class Ask(NamedTuple):
    """One request, encoded. A part that was not asked is None or empty."""

    text: str = ""
    joined_vector: Float32[np.ndarray, "d"] | None = None  # query text in the joined space
    image_vector: Float32[np.ndarray, "i"] | None = None  # query picture in the picture space
    history: History = NO_HISTORY
    at_seconds: int = 0
    allowed: Bool[np.ndarray, "n"] | None = None  # products that may be returned; None: all
