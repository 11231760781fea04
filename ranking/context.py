"""What candidates attend to: the query, the shopper's recent products, the profile, the scene."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from retrieval.behaviour import History
from retrieval.recent import recent_products
from retrieval.scenes import fact_codes
from retrieval.types import Scene


class Context(NamedTuple):
    """One request as arrays, not yet tokens; unused places are masked by -1 rows and 0 facts."""

    query: Float32[np.ndarray, "d"] | None  # in the joined space; None: nothing was asked
    recent: Int64[np.ndarray, "r"]  # rows of distinct products, newest first; -1: unused
    recent_facts: Float32[np.ndarray, "r 2"]  # log days since, log times bought
    facts: Int64[np.ndarray, "f"]  # hashed facts about shopper and scene; 0: unused


def context(
    history: History,
    at_seconds: int,
    traits: dict[str, str],
    scene: Scene,
    query: Float32[np.ndarray, "d"] | None,
    num_recent: int,
) -> Context:
    """Return the context of a request from what was known before `at_seconds`."""
    recent, recent_facts = recent_products(history, at_seconds, num_recent)
    return Context(query, recent, recent_facts, fact_codes(at_seconds, traits, scene))
