"""Routes that answer a Query: search, recommendation, candidates and ranking."""

from litestar.params import JSONBody

from pipelines.serving import bodies
from pipelines.serving.routes.handlers import Admission, Explain, RequestArrival, query_route
from retrieval import Query, Slate, Stage


@query_route("/v1/search")
async def search(
    data: JSONBody[Query], admission: Admission, arrival: RequestArrival, explain: Explain = False
) -> Slate:
    """Find products for a text, a picture, or both, in the order that fits the shopper."""
    return await admission.answer(
        bodies.explained(bodies.for_search(data), explain=explain), arrival=arrival
    )


@query_route("/v1/recommend")
async def recommend(
    data: JSONBody[Query], admission: Admission, arrival: RequestArrival, explain: Explain = False
) -> Slate:
    """Fill a window for a shopper who has not asked for anything; `user` may be left out."""
    query = bodies.explained(bodies.for_recommendation(data), explain=explain)
    return await admission.answer(query, arrival=arrival)


@query_route("/v1/candidates")
async def candidates(
    data: JSONBody[Query], admission: Admission, arrival: RequestArrival
) -> bodies.CandidateList:
    """Propose products for a system that ranks on its own: ids and scores, best first."""
    query = bodies.explained(bodies.for_retrieval(data), explain=True)
    return bodies.candidate_list(await admission.answer(query, Stage.RETRIEVAL, arrival))


@query_route("/v1/rank")
async def rank(
    data: JSONBody[Query], admission: Admission, arrival: RequestArrival, explain: Explain = False
) -> Slate:
    """Put `candidates` in order for this shopper, in this scene, and return the `k` best."""
    return await admission.answer(
        bodies.explained(bodies.for_ranking(data), explain=explain), arrival=arrival
    )


ROUTES = (search, recommend, candidates, rank)
KINDS = {path: route.handler_name for route in ROUTES for path in route.paths}
