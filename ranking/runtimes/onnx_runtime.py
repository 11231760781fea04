"""Runs the network of a ranker on ONNX Runtime, from the graph that a build wrote beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float32, Int64

from ranking.answers import Explanation
from ranking.bundle import (
    EXPLAINED,
    EXPLANATION,
    INPUTS,
    NETWORK,
    PROBES,
    Bundle,
    BundleDescription,
    network_inputs,
    open_explanation,
    open_session,
)
from ranking.network.architecture import Architecture
from ranking.network.shape import OUTCOMES
from ranking.rank_call import RankCall
from retrieval.context_facts import EVERY_NUMBER

NEARLY_ALL = 0.99  # of the numbers of an explanation


def has_graph(folder: Path) -> bool:
    """Tell whether a ranker's folder can be run so here."""
    return (folder / NETWORK).exists()


def has_explanation(folder: Path) -> bool:
    """Tell whether rankings of a ranker's folder can be explained so here."""
    return (folder / EXPLANATION).exists()


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
        return max(
            _furthest(self._bundle.run({name: probe[name] for name in INPUTS}), probe["logits"])
            for probe in _probes(folder)
        )

    def logits(self, calls: Sequence[RankCall]) -> list[Float32[np.ndarray, "c o"]]:
        """Return the logits of each request."""
        return [self._bundle.logits(*call) for call in calls]


class OnnxExplainer:
    """The graph that explains the candidates of a call."""

    def __init__(
        self,
        folder: Path,
        tokens: Float16[np.ndarray, "n d"],
        about: BundleDescription,
        threads: int,
    ) -> None:
        self._session = open_explanation(folder, about, threads)
        self._tokens = tokens
        self._about = about

    def furthest_from_build(self, folder: Path) -> float:
        """Return how far nearly all numbers are at most from what torch gave for the probes.

        A step on the way to a candidate that falls on the edge of a bin has the slope of either
        side, as rounding has it, so that few numbers may be further away.
        """
        distances: list[float] = []
        for probe in _probes(folder):
            found = self._run({name: probe[name] for name in EXPLAINED})
            expected = (probe[name] for name in Explanation._fields)
            distances += [
                _furthest(*pair, NEARLY_ALL) for pair in zip(found, expected, strict=True)
            ]
        return max(distances)

    def explain(self, call: RankCall, outcome: int, places: Int64[np.ndarray, "k"]) -> Explanation:
        """Explain the logits of one outcome for the candidates at these places."""
        inputs = network_inputs(self._tokens, self._about, *call)
        return self._run({**inputs, "outcome": np.array([outcome]), "places": places})

    def _run(self, inputs: dict[str, np.ndarray]) -> Explanation:
        return Explanation(*self._session.run(list(Explanation._fields), inputs))


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


def _probes(folder: Path) -> Iterator[dict[str, np.ndarray]]:
    """Yield what each probe of a build holds, by name."""
    with np.load(folder / PROBES, allow_pickle=False) as probes:
        for number in range(int(probes["count"])):
            start = f"{number}_"
            yield {
                name.removeprefix(start): probes[name] for name in probes if name.startswith(start)
            }


def _furthest(found: np.ndarray, expected: np.ndarray, share: float = 1.0) -> float:
    """Return the largest distance of this share of numbers; infinity where one is none."""
    away = np.abs(found - expected)
    if not np.isfinite(away).all():
        return float(np.inf)
    return float(np.quantile(away, share))
