"""Runs the network of a ranker on ONNX Runtime, from the graph that a build wrote beside it."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float32

from ranking.bundle import NETWORK, Bundle, BundleDescription, open_session
from ranking.rank_call import RankCall


def has_graph(folder: Path) -> bool:
    """Tell whether a ranker's folder can be run so here."""
    return (folder / NETWORK).exists() and find_spec("onnxruntime") is not None


class OnnxRuntime:
    """The graph of a whole call; several requests are run one after the other."""

    def __init__(
        self,
        folder: Path,
        tokens: Float16[np.ndarray, "n d"],
        about: BundleDescription,
        threads: int,
    ) -> None:
        self._bundle = Bundle(open_session(folder, about, threads), tokens, about, {})

    def logits(self, calls: Sequence[RankCall]) -> list[Float32[np.ndarray, "c o"]]:
        """Return the logits of each request."""
        return [self._bundle.logits(*call) for call in calls]
