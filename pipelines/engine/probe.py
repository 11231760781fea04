"""What tuning, the gate and benchmarks measure of an engine: its parts, before they are fused."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32, Int32

from pipelines.config.sections import RetrievalConfig
from pipelines.engine.stages.stages import Stages
from pipelines.live.base import Base
from pipelines.live.overlay import Overlay
from pipelines.release.parts import Parts
from retrieval import Query
from retrieval.encoders.query import QueryEncoder
from retrieval.fusion.fusion import positions_by_score, positions_in, proposed
from retrieval.retriever import Fusion


class ChannelScores(NamedTuple):
    """The position and score that each channel gives each candidate of one query."""

    ids: list[str]  # of all proposed products, by row; or of those that were given
    positions: dict[str, Int32[np.ndarray, "c"]]  # in each channel's list, from 1; 0: not in it
    scores: dict[str, Float32[np.ndarray, "c"]]
    word_shares: Float32[np.ndarray, "c"]  # of the words of the query, from 0 to 1


class Probe:
    """Measures the parts and stages that an engine answers with."""

    def __init__(
        self, base: Base, overlay: Overlay, stages: Stages, retrieval: RetrievalConfig
    ) -> None:
        self._base = base
        self._overlay = overlay
        self._stages = stages
        self._retrieval = retrieval

    @property
    def parts(self) -> Parts:
        """The parts of the release."""
        return self._base.parts

    @property
    def encoder(self) -> QueryEncoder:
        """The encoder of queries into the spaces of the release."""
        return self._base.encoder

    @property
    def fusion(self) -> Fusion:
        """How searches are fused."""
        return self._retrieval.fusion

    @property
    def rrf_k(self) -> float:
        """The constant of fusion by position."""
        return self._retrieval.rrf_k

    @property
    def words_weight(self) -> float:
        """How much the share of words counts beside the cosine, where relevance orders."""
        return self._retrieval.words_weight

    @property
    def weights(self) -> Mapping[str, float]:
        """How much each channel counts."""
        return self.parts.weights or msgspec.to_builtins(self._retrieval.weights)

    def ranks(self, query: Query) -> bool:
        """Tell whether such a request is ranked: where that was measured to be better."""
        return self._stages.ranking.ranks(query)

    def channel_scores(self, query: Query) -> ChannelScores:
        """Return the scores of all channels for a search, before they are fused."""
        snapshot = self._overlay.snapshot()
        eligible = self._stages.eligibility.of(query, snapshot)
        encoded = self._stages.encoder.encode(query, eligible).encoded
        retriever = self._stages.retrieval.at(snapshot)
        if eligible.given is not None:
            scores = retriever.scores(encoded, eligible.given)
            positions = {name: positions_by_score(column) for name, column in scores.items()}
            shares = retriever.word_shares(encoded, eligible.given)
            return ChannelScores(snapshot.ids_of(eligible.given), positions, scores, shares)
        proposals, scores = retriever.judged(encoded, max(self._retrieval.candidates, query.k))
        rows = proposed(proposals)
        positions, shares = positions_in(proposals, rows), retriever.word_shares(encoded, rows)
        return ChannelScores(snapshot.ids_of(rows), positions, scores, shares)

    def forget(self) -> None:
        """Forget the vectors of earlier queries, so that the next one costs what a new one does."""
        self._stages.encoder.forget()
