"""What every runtime of a ranker promises, and how one is asked for; nothing here loads torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from ranking.rank_call import RankCall

if TYPE_CHECKING:  # it imports what a machine that only ranks may lack
    from ranking.answers import Explanation

AUTO, TORCH, ONNX, CUDA = "auto", "torch", "onnx", "cuda"
CLOSE = 5e-5  # of a logit: half of what a replay takes for rounding


class RuntimeSettings(NamedTuple):
    """How a ranker is to be run."""

    runtime: str = TORCH
    threads: int = 1
    recent: int = 32  # products in a context, at most
    batch_requests: int = 0  # ranked together; 0: as many as pay on what it runs on


IN_TORCH = RuntimeSettings()


@runtime_checkable
class Explainer(Protocol):
    """Says why candidates stand where they stand."""

    def explain(
        self, call: RankCall, outcome: int, places: Int64[np.ndarray, "k"]
    ) -> "Explanation":
        """Explain the logits of one outcome for the candidates at these places."""
        ...


@runtime_checkable
class Runtime(Protocol):
    """What runs the network of a ranker; it is called from several threads."""

    def logits(self, calls: Sequence[RankCall]) -> list[Float32[np.ndarray, "c o"]]:
        """Return one logit a candidate and outcome, for each of at least one request."""
        ...


@runtime_checkable
class Queue(Protocol):
    """What requests wait in before a runtime that ranks several at once."""

    def logits(self, call: RankCall, left_ms: float) -> Float32[np.ndarray, "c o"]:
        """Return the logits of a request; TooLate when the time is over first."""
        ...


class OpenRuntime(NamedTuple):
    """What runs the network, by name, and the queue before it, if requests are batched."""

    name: str
    runtime: Runtime
    queue: Queue | None
