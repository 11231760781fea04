"""Runs the network of a ranker on ONNX Runtime, from the graph that a build wrote beside it."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float32

from ranking.bundle import INPUTS, NETWORK, PROBES, Bundle, BundleDescription, open_session
from ranking.network.architecture import Architecture
from ranking.network.shape import OUTCOMES
from ranking.rank_call import RankCall
from retrieval.context_facts import EVERY_NUMBER


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

    def furthest_from_build(self, folder: Path) -> float:
        """Return how far a logit is at most from what torch gave for the build's probes."""
        distances = []
        with np.load(folder / PROBES, allow_pickle=False) as probes:
            for number in range(int(probes["count"])):
                inputs = {name: probes[f"{number}_{name}"] for name in INPUTS}
                found, expected = self._bundle.run(inputs), probes[f"{number}_logits"]
                away = np.abs(found - expected)
                distances.append(float(np.where(np.isfinite(away), away, np.inf).max()))
        return max(distances)

    def logits(self, calls: Sequence[RankCall]) -> list[Float32[np.ndarray, "c o"]]:
        """Return the logits of each request."""
        return [self._bundle.logits(*call) for call in calls]


def described(about: Architecture) -> BundleDescription:
    """Return what a bundle in full precision says of itself."""
    return BundleDescription(
        precision="fp32",
        features=about.features,
        outcomes=OUTCOMES,
        outcome=about.outcome,
        windows=about.windows,
        dim=about.shape.dim,
        vector_dim=about.shape.vector_dim,
        num_facts=about.shape.num_facts,
        facts=EVERY_NUMBER.codes if about.facts is None else about.facts,
    )
