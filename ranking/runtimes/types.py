"""What every runtime of a ranker promises, and how one is asked for; nothing here loads torch."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from ranking.rank_call import RankCall

TORCH = "torch"


class RuntimeSettings(NamedTuple):
    """How a ranker is to be run."""

    runtime: str = TORCH
    threads: int = 1
    recent: int = 32  # products in a context, at most
    batch_requests: int = 0  # ranked together; 0: as many as pay on what it runs on


IN_TORCH = RuntimeSettings()


@runtime_checkable
class Runtime(Protocol):
    """What runs the network of a ranker; it is called from several threads."""

    def logits(self, calls: Sequence[RankCall]) -> list[Float32[np.ndarray, "c o"]]:
        """Return one logit a candidate and outcome, for each of at least one request."""
        ...
