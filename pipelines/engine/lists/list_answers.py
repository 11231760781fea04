"""Answers a request for a list: one page of all that it matches, with what is to be counted."""

from functools import partial

import msgspec

from pipelines.config.place import ShopPlace
from pipelines.engine.deadline import Deadline
from pipelines.engine.lists.cursors import PageRequest, page_request
from pipelines.engine.lists.facets import check_facets, count
from pipelines.engine.lists.listing import Listing, Matching, Rows, check_list, listing, matching
from pipelines.engine.stages.eligibility import Eligible
from pipelines.engine.stages.ranked_candidates import RankedCandidates
from pipelines.engine.stages.ranking import Depth
from pipelines.engine.stages.stages import Stages
from pipelines.live.snapshot import CatalogueSnapshot
from retrieval import Query, Slate, Stage


class ListAnswers:
    """Answers requests for lists of one release; a list is remembered by the snapshot it is of."""

    def __init__(self, release: str, stages: Stages, candidates: int, place: ShopPlace) -> None:
        """Search for so many `candidates`; a list begins now in the shop's place."""
        self._release = release
        self._stages = stages
        self._candidates = candidates
        self._place = place

    def answer(
        self, query: Query, stage: Stage, snapshot: CatalogueSnapshot, deadline: Deadline
    ) -> Slate:
        """Return one page of all that a request matches, or RequestError that names the field."""
        with deadline.timer("filter"):
            check_list(query)
            check_facets(query.facets)
            query = self._place.localised(query)
            request = page_request(query, stage, self._release, self._place)
            eligible = self._stages.eligibility.of(request.query, snapshot)
        products = self._list(request, eligible, deadline)
        with deadline.timer("count"):
            match = partial(self._matching, request, products, snapshot)
            facets = count(request.query, match, snapshot.columns)
        with deadline.timer("compose"):
            page, ranked = products.page(request.offset, query.k), products.ranked
            timings_ms = deadline.timings_ms
            slate = self._stages.composer.compose(request.query, eligible, ranked, timings_ms, page)
        sequence, total = snapshot.sequence, len(products.rows)
        return msgspec.structs.replace(
            slate,
            matched=products.summary(facets, stale=request.is_stale(sequence)),
            cursor=request.next(total, ranked.stage, self._release, sequence),
        )

    def _list(self, request: PageRequest, eligible: Eligible, deadline: Deadline) -> Listing:
        """Return the whole list, the same as for an earlier page where it is remembered."""
        lists = eligible.snapshot.lists
        remembered: Listing | None = lists.get(request.key(request.stage))
        if remembered is not None:
            return remembered
        ranked, by_words = self._ranked(request, eligible, deadline)
        request.refuse_another(ranked.stage)
        with deadline.timer("list"):
            matched = matching(
                ranked.ordered.candidates, eligible, by_words, is_search=ranked.is_search
            )
            products = listing(request.query, ranked, matched, eligible.snapshot.columns)
        lists.keep(request.key(ranked.stage), products, len(products.rows))
        return products

    def _ranked(
        self, request: PageRequest, eligible: Eligible, deadline: Deadline
    ) -> tuple[RankedCandidates, Rows | None]:
        """Return the ranked candidates, and what holds all words of a search.

        A list that was ranked when it began is so again.
        """
        depth = Depth(request.stage, self._candidates, rank_when_late=request.goes_on)
        with deadline.timer("encode"):
            encoded = self._stages.encoder.encode(request.query, eligible)
        with deadline.timer("retrieve"):
            candidates, by_words = self._stages.retrieval.retrieve_all(
                encoded.encoded, eligible, depth.candidates
            )
        ranking, snapshot = self._stages.ranking, eligible.snapshot
        return ranking.rank(encoded, candidates, snapshot, depth, deadline), by_words

    def _matching(
        self, request: PageRequest, products: Listing, snapshot: CatalogueSnapshot, where: str
    ) -> Matching:
        """Return what the request of a list matches under a filter, its own or another."""
        query, ranked = msgspec.structs.replace(request.query, filter=where), products.ranked
        eligible = self._stages.eligibility.of(query, snapshot)
        candidates, by_words = ranked.ordered.candidates, None
        if where == request.query.filter:
            return Matching(products.matched, exact=products.exact)
        if ranked.is_search and eligible.given is None:
            encoded = self._stages.encoder.encode(query, eligible).encoded
            candidates, by_words = self._stages.retrieval.retrieve_all(
                encoded, eligible, self._candidates
            )
        return matching(candidates, eligible, by_words, is_search=ranked.is_search)
