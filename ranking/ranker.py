"""Orders candidates by the ranker of a release: tokens looked up, features in, logits out.

Torch is imported only where it runs the network.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from index import map_array
from ranking.answers import (
    MAX_CANDIDATES,
    Explanation,
    RankerAnswer,
    RequestKind,
    UnfitLogits,
    ranked,
)
from ranking.calibration.calibration import Calibration, UnknownCalibration, read
from ranking.network.architecture import (
    TOKENS,
    Architecture,
    UnknownRanker,
    read_architecture,
)
from ranking.network.shape import OUTCOMES
from ranking.rank_call import Context, RankCall
from ranking.runtimes.onnx_runtime import described
from ranking.runtimes.opening import open_explainer, open_runtime
from ranking.runtimes.types import IN_TORCH, Explainer, OpenRuntime, RuntimeSettings
from retrieval.context_facts import EVERY_NUMBER, FactVocabulary

__all__ = [
    "MAX_CANDIDATES",
    "Architecture",
    "Ranker",
    "RankerAnswer",
    "RequestKind",
    "UnfitLogits",
    "UnknownRanker",
]

EXPLAINED_AT_ONCE = 64  # candidates: each is as much work as 32 to 100 that are ranked


class Ranker:
    """The cross-attention ranker with the product tokens of its release."""

    def __init__(
        self,
        about: Architecture,
        calibrations: Mapping[str, Calibration],
        opened: OpenRuntime,
        open_explainer: Callable[[], Explainer],
    ) -> None:
        self._opened = opened
        self._open_explainer = open_explainer
        self._explainer: Explainer | None = None
        self._facts = EVERY_NUMBER if about.facts is None else FactVocabulary(about.facts)
        self._windows = about.windows
        self._outcome = about.outcome
        self._calibrations = calibrations

    def is_better(self, window: RequestKind) -> bool:
        """Tell whether it beat the order of retrieval, when it was built, on such requests."""
        return window in self._windows

    @property
    def runtime(self) -> str:
        """The name of what runs the network."""
        return self._opened.name

    @classmethod
    def open(cls, folder: Path, how: RuntimeSettings = IN_TORCH) -> "Ranker":
        """Read a folder of `save`; the caller has checked its checksums."""
        about = read_architecture(folder)
        try:
            calibrations = read(folder)
        except UnknownCalibration as e:
            raise UnknownRanker(f"this version does not know such a ranker: {e}") from None
        tokens = map_array(folder / TOKENS)
        opened = open_runtime(folder, tokens, described(about), how)
        explainer = partial(open_explainer, folder, tokens, described(about), how.threads)
        return cls(about, calibrations, opened, explainer)

    def rank(
        self,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        context: Context,
        left_ms: float = math.inf,
    ) -> RankerAnswer:
        """Return a logit for each row; UnfitLogits when one is not a number.

        A fact of the context that no training request had is left out. Where requests queue for
        the network, TooLate when the time is over first.
        """
        call, (_, runtime, queue) = self._call(rows, features, context), self._opened
        logits = queue.logits(call, left_ms) if queue else runtime.logits([call])[0]
        return ranked(
            logits,
            OUTCOMES,
            self._outcome,
            self._calibrations,
            is_search=context.query is not None,
        )

    def explain(
        self,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        context: Context,
        places: Int64[np.ndarray, "k"],
    ) -> Explanation:
        """Say what the candidates at these places looked at, and what moved their logits.

        The context tokens are the query, the recent products and the facts, in their order; at a
        fact that no training request had nobody looks.
        """
        call = self._call(rows, features, context)
        explainer = self._explainer = self._explainer or self._open_explainer()
        outcome = OUTCOMES.index(self._outcome)
        parts = [
            explainer.explain(call, outcome, places[at : at + EXPLAINED_AT_ONCE])
            for at in range(0, max(len(places), 1), EXPLAINED_AT_ONCE)
        ]
        found = Explanation(*map(np.concatenate, zip(*parts, strict=True)))
        known = call.context.facts[context.facts > 0] > 0
        before = found.attended.shape[1] - int(known.sum())
        attended = np.zeros((len(places), before + len(known)), np.float32)
        attended[:, :before] = found.attended[:, :before]
        attended[:, before + np.flatnonzero(known)] = found.attended[:, before:]
        return found._replace(attended=attended)

    def _call(
        self,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        context: Context,
    ) -> RankCall:
        """Return a call whose facts are numbers of the network; 0 for one that it never met."""
        numbered = context._replace(facts=self._facts.numbers(context.facts))
        return RankCall(rows, features, numbered)
