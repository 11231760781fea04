"""Routes that answer a Query: search, recommendation, candidates and ranking."""

from typing import Any

import msgspec
from litestar import Response
from litestar.enums import MediaType
from litestar.params import JSONBody

from pipelines.serving import bodies
from pipelines.serving.routes.handlers import (
    Admission,
    Answers,
    Explain,
    RequestArrival,
    query_route,
)
from retrieval import Query, Slate, Stage

CACHE_STATUS = "cache-status"  # RFC 9211
HIT, MISS = "vetrina; hit", "vetrina; fwd=miss"


@query_route("/v1/search")
async def search(
    data: JSONBody[Query],
    admission: Admission,
    answers: Answers,
    arrival: RequestArrival,
    explain: Explain = False,
) -> Response[Slate]:
    """Find products for a text, a picture, or both, in the order that fits the shopper."""
    query = bodies.explained(bodies.for_search(data), explain=explain)
    return await _answer(admission, answers, arrival, query)


@query_route("/v1/recommend")
async def recommend(
    data: JSONBody[Query],
    admission: Admission,
    answers: Answers,
    arrival: RequestArrival,
    explain: Explain = False,
) -> Response[Slate]:
    """Fill a window for a shopper who has not asked for anything; `user` may be left out."""
    query = bodies.explained(bodies.for_recommendation(data), explain=explain)
    return await _answer(admission, answers, arrival, query)


@query_route("/v1/candidates")
async def candidates(
    data: JSONBody[Query], admission: Admission, arrival: RequestArrival
) -> bodies.CandidateList:
    """Propose products for a system that ranks on its own: ids and scores, best first."""
    query = bodies.explained(bodies.for_retrieval(data), explain=True)
    return bodies.candidate_list(await admission.answer(query, Stage.RETRIEVAL, arrival))


@query_route("/v1/rank")
async def rank(
    data: JSONBody[Query],
    admission: Admission,
    answers: Answers,
    arrival: RequestArrival,
    explain: Explain = False,
) -> Response[Slate]:
    """Put `candidates` in order for this shopper, in this scene, and return the `k` best."""
    query = bodies.explained(bodies.for_ranking(data), explain=explain)
    return await _answer(admission, answers, arrival, query)


async def _answer(
    admission: Admission, answers: Answers, arrival: RequestArrival, query: Query
) -> Response[Any]:
    """Return the answer to a request: one that was sent before, else one that is computed."""
    engine, stage = admission.opened(), Stage.RANKING
    key = answers.key(arrival.kind, query, stage, engine, arrival.after)
    body, status = answers.get(key), HIT
    if body is None:
        slate = await admission.answer(query, stage, arrival)
        body, status = msgspec.json.encode(slate), MISS
        answers.keep(key, slate, body)
    headers = {} if key is None else {CACHE_STATUS: status}
    return Response(body, media_type=MediaType.JSON, headers=headers)


ROUTES = (search, recommend, candidates, rank)
KINDS = {path: route.handler_name for route in ROUTES for path in route.paths}
