"""Answers a request from the best stage that time, load and failures permit."""

from dataclasses import dataclass

import msgspec

from pipelines.engine.deadline import Deadline
from pipelines.engine.ladder.cached_answers import CachedAnswers
from pipelines.engine.ladder.descent import Descent
from pipelines.engine.ladder.rungs import BY_MODELS, FEW_RANKED, POPULAR, WORDS, Prices
from pipelines.engine.sponsoring.sponsorship import Sponsorship
from pipelines.engine.stages.eligibility import Eligible
from pipelines.engine.stages.faults import FaultLog
from pipelines.engine.stages.ranked_candidates import RankedCandidates
from pipelines.engine.stages.ranking import Depth
from pipelines.engine.stages.stages import Stages
from pipelines.errors import UserError
from pipelines.live.snapshot import CatalogueSnapshot
from retrieval import Query, Slate, Stage

STRICT = (Stage.RANKING, Stage.RETRIEVAL)


@dataclass(slots=True)
class Attempt:
    """One request on its way down."""

    query: Query
    wanted: Stage  # the last stage that it asks for
    snapshot: CatalogueSnapshot
    deadline: Deadline
    descent: Descent
    eligible: Eligible | None = None
    organic: Slate | None = None  # what a page with ads would be without


class LadderAnswers:
    """Answers requests of one release; where one way fails or takes too long, another is taken."""

    def __init__(
        self, stages: Stages, candidates: int, most_ranked: int, few_ranked: int = FEW_RANKED
    ) -> None:
        """Retrieve so many `candidates`, and rank `most_ranked` of them, or `few_ranked`."""
        self.prices = Prices(few_ranked / most_ranked)
        self._stages = stages
        self._candidates = candidates
        self._few = few_ranked
        self._cached = CachedAnswers()
        self._tolerant = False
        self.sponsorship: Sponsorship | None = None  # without, no page carries ads
        self._faults = FaultLog()
        self._ways = dict.fromkeys(BY_MODELS, self._by_models) | {
            Stage.WORDS: self._by_words,
            Stage.CACHED: self._by_cache,
            Stage.POPULAR: self._by_sales,
        }

    def tolerate(self) -> None:
        """From now on answer in a cheaper way where one fails, instead of raising its error."""
        self._tolerant = True
        self._stages.retrieval.tolerant = self._stages.ranking.tolerant = True

    def answer(
        self,
        query: Query,
        stage: Stage,
        snapshot: CatalogueSnapshot,
        deadline: Deadline,
        spare_ms: float,
    ) -> Slate:
        """Return a page; it says which stage gave it, and which were skipped.

        An error of the last stage that is left is raised, and so is a UserError of any.
        """
        descent = Descent(query, self._applicable(query, stage), self.prices, deadline)
        attempt = Attempt(query, stage, snapshot, deadline, descent)
        descent.settle(spare_ms)
        while True:
            try:
                slate = self._ways[descent.stage](attempt)
            except UserError:
                raise
            except Exception as e:
                self._fall(attempt, e)
            else:
                if slate is not None:
                    return self._finished(attempt, slate)

    def _applicable(self, query: Query, wanted: Stage) -> tuple[Stage, ...]:
        """Return the stages that can answer such a request, the best first."""
        ranking, retrieval = self._stages.ranking, self._stages.retrieval
        ranks = wanted is Stage.RANKING and ranking.ranks(query)
        if not self._tolerant:
            return STRICT if ranks else (Stage.RETRIEVAL,)
        most, few = ranking.most_ranked(query), ranking.most_ranked(query, self._few)
        most = min(most, max(self._candidates, query.k))
        can = {
            Stage.RANKING: ranks,
            Stage.SHORT_RANKING: ranks and few < most,
            Stage.RETRIEVAL: True,
            Stage.WORDS: bool(query.text.strip()) and retrieval.searches_words,
            Stage.CACHED: True,
            Stage.POPULAR: True,
        }
        return tuple(stage for stage, applies in can.items() if applies)

    def _by_models(self, attempt: Attempt) -> Slate | None:
        """Return the answer of ranker, channels and encoders; None: it takes too long."""
        query, descent, deadline = attempt.query, attempt.descent, attempt.deadline
        eligible = self._filtered(attempt)
        if descent.settle() not in BY_MODELS:
            return None
        with deadline.timer("encode"):
            request = self._stages.encoder.encode(query, eligible)
        if descent.settle() not in BY_MODELS:
            return None
        limit = max(self._candidates, query.k)
        with deadline.timer("retrieve"):
            candidates = self._stages.retrieval.retrieve(request.encoded, eligible, limit)
        descent.settle_ranking()
        depth = self._depth(descent.stage, limit)
        ranked = self._stages.ranking.rank(request, candidates, attempt.snapshot, depth, deadline)
        for skipped in ranked.skipped:
            descent.leave_ranking(skipped.because)
        return self._composed(attempt, ranked)

    def _by_words(self, attempt: Attempt) -> Slate | None:
        """Return the answer of the words alone; None: it takes too long."""
        query, eligible = attempt.query, self._filtered(attempt)
        if attempt.descent.settle() is not Stage.WORDS:
            return None
        with attempt.deadline.timer(WORDS):
            request = self._stages.encoder.encode(query, eligible, by_words=True)
            candidates = self._stages.retrieval.retrieve_by_words(
                query, request.encoded, eligible, max(self._candidates, query.k)
            )
            ranked = self._stages.ranking.unranked(
                request, candidates, attempt.snapshot, stage=Stage.WORDS
            )
        return self._composed(attempt, ranked)

    def _by_cache(self, attempt: Attempt) -> Slate | None:
        """Return the cached answer; None: there is none."""
        sequence = attempt.snapshot.sequence
        slate = self._cached.get(attempt.query, sequence, attempt.wanted)
        if slate is None:
            attempt.descent.drop()
            return None
        timings_ms = attempt.deadline.timings_ms
        return msgspec.structs.replace(slate, stage=Stage.CACHED, timings_ms=timings_ms)

    def _by_sales(self, attempt: Attempt) -> Slate:
        """Return what sells best of what the request may have."""
        query, eligible = attempt.query, self._filtered(attempt)
        with attempt.deadline.timer(POPULAR):
            silent = self._stages.retrieval.channels_for(query)
            ranked = self._stages.popular.best(query, eligible, silent)
        return self._composed(attempt, ranked)

    def _filtered(self, attempt: Attempt) -> Eligible:
        if attempt.eligible is None:
            with attempt.deadline.timer("filter"):
                attempt.eligible = self._stages.eligibility.of(attempt.query, attempt.snapshot)
        return attempt.eligible

    def _composed(self, attempt: Attempt, ranked: RankedCandidates) -> Slate:
        timings_ms, eligible = attempt.deadline.timings_ms, self._filtered(attempt)
        with attempt.deadline.timer("compose"):
            slate = self._stages.composer.compose(attempt.query, eligible, ranked, timings_ms)
        if self.sponsorship is None or not self._may_carry_ads(attempt):
            return slate
        with attempt.deadline.timer("ads"):
            return self._sponsored(self.sponsorship, attempt, ranked, slate)

    def _may_carry_ads(self, attempt: Attempt) -> bool:
        """Tell whether a page is one that shoppers see, and there are ads and time for them."""
        sells = self.sponsorship is not None and self.sponsorship.serving.sells
        wanted = attempt.wanted is Stage.RANKING and attempt.query.candidates is None
        return sells and wanted and attempt.deadline.left_ms() > 0

    def _sponsored(
        self, sponsorship: Sponsorship, attempt: Attempt, ranked: RankedCandidates, organic: Slate
    ) -> Slate:
        """Return a page with its ads; where that fails, the page without."""
        query, eligible = attempt.query, self._filtered(attempt)
        try:
            found = sponsorship.sponsor(query, eligible.snapshot, ranked, organic)
            if found is None:
                return organic
            slate = self._stages.composer.compose(
                query, eligible, ranked, attempt.deadline.timings_ms, found.page
            )
        except Exception as e:  # of any kind: a shop sells without ads, too
            self._faults.report("the ads of a page failed", e)
            return organic
        attempt.organic = organic
        products = [
            msgspec.structs.replace(one, sponsored=True, ad=found.ads[one.position])
            if one.position in found.ads
            else one
            for one in slate.products
        ]
        return msgspec.structs.replace(slate, products=tuple(products))

    def _fall(self, attempt: Attempt, error: Exception) -> None:
        """Go on below the stage that failed, or raise its error."""
        failed = attempt.descent.stage
        together = BY_MODELS if failed in BY_MODELS else (failed,)
        if not self._tolerant or not attempt.descent.fall(together):
            raise error
        self._faults.report(f"the stage `{failed}` failed", error)

    def _finished(self, attempt: Attempt, slate: Slate) -> Slate:
        """Return the answer with what was skipped, and learn from it."""
        query, descent = attempt.query, attempt.descent
        skipped = descent.skipped()
        if not query.explain:
            self.prices.note(query, attempt.deadline.timings_ms, slate.stage)
            self.prices.fade(query, [one.stage for one in skipped], slate.stage)
        if not skipped and slate.coverage == 1:
            plain = attempt.organic or slate
            self._cached.keep(query, attempt.snapshot.sequence, attempt.wanted, plain)
        return msgspec.structs.replace(slate, skipped=skipped)

    def _depth(self, stage: Stage, limit: int) -> Depth:
        """Return how far ranking is to go for a stage."""
        if stage is Stage.SHORT_RANKING:
            return Depth(Stage.RANKING, limit, most_ranked=self._few)
        return Depth(stage, limit)
