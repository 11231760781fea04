"""The ranking stage: reorders the best candidates by cross-attention while there is time."""

from collections.abc import Callable
from functools import partial
from math import isnan
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from pipelines.config.sections import OFFLINE_DEADLINE_MS, RankingConfig
from pipelines.engine.deadline import Deadline
from pipelines.engine.ranking_log import LoggedRanking
from pipelines.engine.request import request_kind
from pipelines.engine.stages.faults import FaultLog
from pipelines.engine.stages.fit_order import FitOrder
from pipelines.engine.stages.ranked_candidates import RankedCandidates, falling, in_retrieval_order
from pipelines.engine.stages.request_encoding import EncodedRequest
from pipelines.engine.stages.sales import Sales
from pipelines.errors import UserError
from pipelines.live.snapshot import CatalogueSnapshot, now_of
from pipelines.release.parts import Parts
from ranking.answers import MAX_CANDIDATES, RankerAnswer, UnfitLogits
from ranking.features.request import request_context, request_features
from ranking.rank_call import RankCall
from ranking.ranker import Ranker
from ranking.runtimes.request_batching import TooLate
from ranking.slate.compose import Ordered, Reasoning
from retrieval import Candidates, Query, Stage
from retrieval.context_facts import facts_of
from retrieval.fusion.fusion import take
from retrieval.retriever import searches
from retrieval.types import Because

QUERY_TOKEN = "what was asked"  # the name of the query among the tokens of an explanation

RankingListener = Callable[[LoggedRanking], None]


class Depth(NamedTuple):
    """How much work a request is worth."""

    stage: Stage  # the last one
    candidates: int
    rank_when_late: bool = False  # rank, even past the deadline
    most_ranked: int | None = None  # candidates; None: as many as are configured


class RankingStage:
    """Ranks candidates with the ranker of a release, where that was measured to be better."""

    def __init__(
        self,
        release: str,
        parts: Parts,
        ranker: Ranker | None,
        settings: RankingConfig,
        sales: Sales,
        fit_order: FitOrder,
    ) -> None:
        """Rank as these settings say; `fit_order` binds the ranker."""
        self.listener: RankingListener | None = None
        self.tolerant = False  # whether candidates stay as retrieved where the ranker fails
        self._faults = FaultLog()
        self._release = release
        self._parts = parts
        self._ranker = ranker
        self._num_recent = settings.recent_products
        self._most = settings.most_ranked
        self._sales = sales
        self._fit_order = fit_order

    def rank(
        self,
        request: EncodedRequest,
        candidates: Candidates,
        snapshot: CatalogueSnapshot,
        depth: Depth,
        deadline: Deadline,
    ) -> RankedCandidates:
        """Return the candidates ranked, or in the order of retrieval where they cannot be.

        In both, what fits a search better stands before what is liked better (FitOrder). They
        cannot where such requests are not ranked, where the ranker answers with something that is
        not a number, and where the time is over before it begins or before it is free.
        """
        if depth.stage is not Stage.RANKING or not self.ranks(request.query):
            return self.unranked(request, candidates, snapshot)
        left_ms = float(OFFLINE_DEADLINE_MS) if depth.rank_when_late else deadline.left_ms()
        if left_ms <= 0:
            return self.unranked(request, candidates, snapshot, "deadline")
        try:
            with deadline.timer("rank"):
                return self._ranked(request, candidates, snapshot, depth, left_ms)
        except TooLate:
            return self.unranked(request, candidates, snapshot, "deadline")
        except Exception as e:
            survives = self.tolerant and not isinstance(e, UserError)
            if not (survives or isinstance(e, UnfitLogits)):
                raise
            self._faults.report("the ranker failed", e)
        return self.unranked(request, candidates, snapshot, "failure")

    def unranked(
        self,
        request: EncodedRequest,
        candidates: Candidates,
        snapshot: CatalogueSnapshot,
        because: Because | None = None,
        stage: Stage = Stage.RETRIEVAL,
    ) -> RankedCandidates:
        """Return the candidates as they were retrieved by a stage, and why they are not ranked."""
        popularity = self._sales.of(candidates.rows)
        asked = request.query.is_search
        order = self._fit_order.retrieved(candidates, snapshot, popularity, asked=asked)
        is_search = searches(request.encoded)
        candidates = take(candidates, order)
        return in_retrieval_order(candidates, is_search=is_search, stage=stage, unranked=because)

    def ranks(self, query: Query) -> bool:
        """Tell whether such a request is ranked: where that was measured to be better.

        Nobody has measured it for products like others, so they stay as they were retrieved.
        """
        if self._ranker is None or query.liked:
            return False
        return self._ranker.is_better(request_kind(query))

    def _ranked(
        self,
        request: EncodedRequest,
        candidates: Candidates,
        snapshot: CatalogueSnapshot,
        depth: Depth,
        left_ms: float,
    ) -> RankedCandidates:
        """Score the best candidates; the rest keep their order behind them."""
        if self._ranker is None or not len(candidates.rows):
            return self.unranked(request, candidates, snapshot)
        most = min(len(candidates.rows), self.most_ranked(request.query, depth.most_ranked))
        best = take(candidates, np.arange(most))
        call = self._call(request, best, snapshot)
        answer = self._ranker.rank(*call, left_ms)
        if isnan(answer.logits.sum()):
            raise UnfitLogits(f"{most} candidates, not all with a number")
        if snapshot.unchanged:
            self._report(request, best, call.features, answer.logits)
        order = self._fit_order.ranked(best, snapshot, answer.logits)
        ordered = _in_order(candidates, call.features, answer, order)
        ordered = ordered._replace(bought=not request.encoded.visit.instead)
        call = RankCall(call.rows[order], call.features[order], call.context)
        reasons = partial(self._reasoning, request, call)
        stage = Stage.RANKING if depth.most_ranked is None else Stage.SHORT_RANKING
        return RankedCandidates(ordered, stage, searches(request.encoded), reasons)

    def most_ranked(self, query: Query, most: int | None = None) -> int:
        """Return how many candidates the ranker scores: of given ones, all that it can."""
        if query.candidates is not None:
            return MAX_CANDIDATES
        return min(max(self._most if most is None else most, query.k), MAX_CANDIDATES)

    def _call(
        self, request: EncodedRequest, best: Candidates, snapshot: CatalogueSnapshot
    ) -> RankCall:
        encoded = request.encoded
        rows = snapshot.known_rows(best.rows)  # of which there are tokens
        now = now_of(snapshot, best.rows, rows)
        behaviour, catalogue = self._parts.behaviour, self._parts.catalogue
        features = request_features(behaviour, catalogue, encoded, best, now)
        context = request_context(encoded, request.traits, request.scene, self._num_recent)
        return RankCall(rows, features, context)

    def _report(
        self,
        request: EncodedRequest,
        best: Candidates,
        features: Float32[np.ndarray, "c f"],
        logits: Float32[np.ndarray, "c"],
    ) -> None:
        query = request.query
        if self.listener is not None and self._may_be_logged(query):
            ids, at_seconds = self._parts.products.ids_of(best.rows), request.encoded.at_seconds
            self.listener(LoggedRanking(self._release, query, at_seconds, ids, features, logits))

    def _may_be_logged(self, query: Query) -> bool:
        """Tell whether a ranking may be logged: unmoved by marks, of a shopper who allows it."""
        if query.disliked:
            return False
        rows = self._parts.users.rows_of([query.user] if query.user else []).rows
        return all(record["consent"]["train"] for record in self._parts.users.records(rows))

    def _reasoning(
        self, request: EncodedRequest, call: RankCall, places: Int64[np.ndarray, "k"]
    ) -> Reasoning:
        """Explain the ranking of the candidates at these places."""
        assert self._ranker is not None
        recent = call.context.recent[call.context.recent >= 0]
        titles = (str(record["title"]) for record in self._parts.products.records(recent))
        facts = facts_of(request.encoded.at_seconds, request.traits, request.scene)
        explained = self._ranker.explain(*call, places)
        return Reasoning((QUERY_TOKEN, *titles, *facts), explained, places)


def _in_order(
    candidates: Candidates,
    features: Float32[np.ndarray, "r f"],
    answer: RankerAnswer,
    order: Int64[np.ndarray, "r"],
) -> Ordered:
    """Return the ranked candidates in this order, and the others behind them, scored below."""
    logits = falling(answer.logits[order])
    behind = np.arange(len(order), len(candidates.rows))
    floor = float(logits.min()) - 1 - np.arange(len(behind), dtype=np.float32)
    return Ordered(
        take(candidates, np.concatenate([order, behind])),
        np.concatenate([logits, floor]).astype(np.float32),
        features[order],
        {outcome: column[order] for outcome, column in answer.probabilities.items()},
    )
