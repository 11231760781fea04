"""What candidates attend to: the query, the shopper's recent products, the profile, the scene."""

import numpy as np
from jaxtyping import Float32

from ranking.rank_call import Context
from retrieval.behaviour.purchases import History
from retrieval.behaviour.recent import recent_products
from retrieval.context_facts import hashed_facts
from retrieval.types import Scene

__all__ = ["Context", "context"]


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
    return Context(query, recent, recent_facts, hashed_facts(at_seconds, traits, scene))
