"""Routes that answer a Query: search, recommendation, candidates and ranking."""

from typing import Any, NamedTuple

import msgspec
from litestar import Response
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import JSONBody

from pipelines.serving.admission import AdmissionControl, Arrival
from pipelines.serving.answer_cache import AnswerCache
from pipelines.serving.bodies import bodies
from pipelines.serving.routes.handlers import (
    After,
    AnyRequest,
    DeadlineHeader,
    Explain,
    query_arrival,
    query_route,
)
from retrieval import Query, Slate, Stage

CACHE_STATUS = "cache-status"  # RFC 9211
HIT, MISS = "vetrina; hit", "vetrina; fwd=miss"


class Replies(NamedTuple):
    """Answers one request: with what was sent before, else with what is computed."""

    admission: AdmissionControl
    answers: AnswerCache
    arrival: Arrival

    async def to(self, query: Query) -> Response[Any]:
        """Return the response to a query."""
        engine, stage = self.admission.opened(), Stage.RANKING
        key = None
        if not self._may_carry_ads(query):
            key = self.answers.key(self.arrival.kind, query, stage, engine, self.arrival.after)
        body, status = self.answers.get(key), HIT
        if body is None:
            slate = await self.admission.answer(query, stage, self.arrival)
            body, status = msgspec.json.encode(slate), MISS
            self.answers.keep(key, slate, body)
        headers = {} if key is None else {CACHE_STATUS: status}
        return Response(body, media_type=MediaType.JSON, headers=headers)

    def _may_carry_ads(self, query: Query) -> bool:
        """Tell whether an answer is for one shopper alone: each showing of an ad has its price."""
        ads = self.admission.ads
        return ads is not None and ads.sells and query.candidates is None


def replies_of(
    request: AnyRequest, state: State, after: After = 0, x_deadline_ms: DeadlineHeader = None
) -> Replies:
    """Return what answers a request.

    One dependency a route: of several each would be resolved in a task of its own.
    """
    admission: AdmissionControl = state.admission
    arrival = query_arrival(request, admission, after, x_deadline_ms)
    return Replies(admission, state.answers, arrival)


RequestReplies = NamedDependency[Replies]


@query_route("/v1/search")
async def search(
    data: JSONBody[Query], replies: RequestReplies, explain: Explain = False
) -> Response[Slate]:
    """Find products for a text, a picture, or both, in the order that fits the shopper."""
    return await replies.to(bodies.explained(bodies.for_search(data), explain=explain))


@query_route("/v1/recommend")
async def recommend(
    data: JSONBody[Query], replies: RequestReplies, explain: Explain = False
) -> Response[Slate]:
    """Fill a window for a shopper who has not asked for anything; `user` may be left out."""
    return await replies.to(bodies.explained(bodies.for_recommendation(data), explain=explain))


@query_route("/v1/candidates")
async def candidates(data: JSONBody[Query], replies: RequestReplies) -> bodies.CandidateList:
    """Propose products for a system that ranks on its own: ids and scores, best first."""
    query = bodies.explained(bodies.for_retrieval(data), explain=True)
    slate = await replies.admission.answer(query, Stage.RETRIEVAL, replies.arrival)
    return bodies.candidate_list(slate)


@query_route("/v1/rank")
async def rank(
    data: JSONBody[Query], replies: RequestReplies, explain: Explain = False
) -> Response[Slate]:
    """Put `candidates` in order for this shopper, in this scene, and return the `k` best."""
    return await replies.to(bodies.explained(bodies.for_ranking(data), explain=explain))


ROUTES = (search, recommend, candidates, rank)
KINDS = {path: route.handler_name for route in ROUTES for path in route.paths}
