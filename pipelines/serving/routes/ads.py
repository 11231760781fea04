"""Routes by which a page tells what became of an ad: that it was drawn, seen or clicked."""

from typing import Any

from litestar import Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import FromPath

from pipelines.ads.click_tokens import LONGEST_TOKEN
from pipelines.ads.ledger.records import AdAct, ToldAct, UnwrittenAd
from pipelines.errors import RequestError
from pipelines.serving.admission import AdmissionControl
from pipelines.serving.bodies.campaign_bodies import CountedAnswer
from pipelines.serving.error_responses import AD_ERRORS, ads_disabled, not_written
from pipelines.serving.routes.handlers import Admission, operation_id

PATHS = {
    AdAct.IMPRESSION: "/v1/impressions/{token:str}",
    AdAct.VIEW: "/v1/views/{token:str}",
    AdAct.CLICK: "/v1/clicks/{token:str}",
}
NO_STORE = {"cache-control": "no-store"}  # each address is told of once


def allow_ads(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse what is about ads, unless the server was started to take changes."""
    if connection.app.state.admission.ads is None:
        raise ads_disabled()


def _route(method: Any, act: AdAct, name: str) -> HTTPRouteHandler:
    async def told(token: FromPath[str], admission: Admission) -> Response[CountedAnswer]:
        return await _tell(admission, act, token)

    told.__name__ = name
    told.__doc__ = (
        f"Tell of the {act} of a sponsored product, once, with the token of its `ad`.\n\n"
        "Told again it is not counted again; a token that is forged or has expired is refused."
    )
    decorated: HTTPRouteHandler = method(
        PATHS[act],
        status_code=200,
        responses=AD_ERRORS,
        operation_id=operation_id,
        guards=[allow_ads],
    )(told)
    return decorated


async def _tell(admission: AdmissionControl, act: AdAct, token: str) -> Response[CountedAnswer]:
    admission.opened()
    ads = admission.ads
    showing = None if ads is None or len(token) > LONGEST_TOKEN else ads.intake.tokens.read(token)
    if showing is None:
        raise RequestError("token", "was not given out by this shop, or is cut; send it whole")
    [outcome] = await admission.sell([ToldAct(act=act, showing=showing)])
    if isinstance(outcome, UnwrittenAd) and outcome.status != 200:
        raise not_written(outcome)
    return Response(CountedAnswer(counted=isinstance(outcome, int)), headers=NO_STORE)


ROUTES = tuple(
    _route(method, act, f"{verb}_{act}")
    for act in AdAct
    for method, verb in ((post, "tell"), (get, "follow"))
    if method is post or act is AdAct.CLICK
)
