"""Routes of campaigns: put, read and deleted, why one is not shown, and what became of it."""

from typing import Annotated, Any

from litestar import delete, get, put
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from pipelines.ads.ad_serving import AdServing
from pipelines.ads.campaigns.campaign import AdCampaign, fault_of, placed_in_time
from pipelines.ads.campaigns.eligibility import reasons_against
from pipelines.ads.ledger.accounting import day_of
from pipelines.ads.ledger.records import AdItem, DeleteCampaign, PutCampaign, UnwrittenAd
from pipelines.ads.ledger.report import CampaignReport, report_of
from pipelines.engine.sponsoring.occasions import occasion_of
from pipelines.errors import RequestError
from pipelines.serving.admission import AdmissionControl
from pipelines.serving.bodies import bodies
from pipelines.serving.bodies.campaign_bodies import (
    EXAMPLE,
    CampaignList,
    ProductReasons,
    WhyNot,
    read_campaign,
    refused,
)
from pipelines.serving.error_responses import (
    CAMPAIGN_ERRORS,
    CAMPAIGN_READ_ERRORS,
    ads_disabled,
    not_written,
)
from pipelines.serving.routes.ads import allow_ads
from pipelines.serving.routes.handlers import (
    Admission,
    AnyRequest,
    JsonRequest,
    last_part,
    operation_id,
    small,
)
from retrieval import Placement, Query, Scene
from retrieval.types import ConsentState

CAMPAIGNS = "/v1/campaigns"
ONE = CAMPAIGNS + "/"
WHY_NOT, REPORT = "/why-not", "/report"
Searched = Annotated[str, QueryParameter(max_length=2_000, description="The words of a search.")]
Category = Annotated[str, QueryParameter(max_length=200, description="A path it is about.")]
Liked = Annotated[str, QueryParameter(max_length=128, description="The product of the page.")]
Word = Annotated[str, QueryParameter(max_length=128)]


class CampaignRequest(JsonRequest):
    """A request whose body is a campaign."""

    async def body(self) -> bytes:
        """Return the body; RequestError with a campaign to send where there is none."""
        body = await super().body()
        if not body:
            raise RequestError("body", f"is empty; {EXAMPLE}")
        return body

    async def json(self) -> Any:
        """Return the campaign, or a RequestError with the field's name."""
        return read_campaign(await self.body())


@get(CAMPAIGNS, responses=CAMPAIGN_READ_ERRORS, operation_id=operation_id, guards=[allow_ads])
async def list_campaigns(admission: Admission) -> CampaignList:
    """Return all campaigns, by id."""
    campaigns = _serving(admission).ledger.books.campaigns
    return CampaignList(campaigns=tuple(campaigns[name] for name in sorted(campaigns)))


@put(
    ONE + "{campaign_id:str}",
    status_code=200,
    request_class=CampaignRequest,
    responses=CAMPAIGN_ERRORS,
    operation_id=operation_id,
    guards=[allow_ads],
)
async def put_campaign(
    campaign_id: FromPath[str],
    data: JSONBody[AdCampaign],
    request: AnyRequest,
    admission: Admission,
) -> bodies.Taken:
    """Put a campaign, new or in the place of the one with its id; the next auction knows it."""
    name = _campaign_id(request, "")
    if data.id != name:
        raise RequestError("id", f"is {data.id!r}, and the path says {name!r}; send one id")
    campaign = placed_in_time(data, admission.opened().place.zone)
    if fault := fault_of(campaign):
        raise refused(fault)
    await _refuse_unknown(campaign, request, admission)
    return await _change(admission, name, PutCampaign(campaign=campaign))


@get(
    ONE + "{campaign_id:str}",
    responses=CAMPAIGN_READ_ERRORS,
    operation_id=operation_id,
    guards=[allow_ads],
)
async def get_campaign(
    campaign_id: FromPath[str], request: AnyRequest, admission: Admission
) -> AdCampaign:
    """Return a campaign as it is now."""
    return _known(admission, _campaign_id(request, ""))


@delete(
    ONE + "{campaign_id:str}",
    status_code=200,
    responses=CAMPAIGN_READ_ERRORS,
    operation_id=operation_id,
    guards=[allow_ads],
)
async def delete_campaign(
    campaign_id: FromPath[str], request: AnyRequest, admission: Admission
) -> bodies.Taken:
    """End a campaign; what it has spent stays known under its id."""
    name = _campaign_id(request, "")
    return await _change(admission, name, DeleteCampaign(id=name))


@get(
    ONE + "{campaign_id:str}" + REPORT,
    responses=CAMPAIGN_READ_ERRORS,
    operation_id=operation_id,
    guards=[allow_ads],
)
async def report_campaign(
    campaign_id: FromPath[str], request: AnyRequest, admission: Admission
) -> CampaignReport:
    """Return what a campaign spent, what for, what was given away, and why it lost auctions."""
    campaign, serving = _known(admission, _campaign_id(request, REPORT)), _serving(admission)
    now_ms = serving.now()
    day = day_of(now_ms, admission.opened().place.zone)
    return report_of(campaign, serving.ledger, day, now_ms)


@get(
    ONE + "{campaign_id:str}" + WHY_NOT,
    responses=CAMPAIGN_READ_ERRORS,
    operation_id=operation_id,
    guards=[allow_ads],
)
async def why_not(  # noqa: PLR0913 - what of a request decides
    campaign_id: FromPath[str],
    request: AnyRequest,
    admission: Admission,
    text: Searched = "",
    category: Category = "",
    liked: Liked = "",
    placement: FromQuery[Placement] = Placement.HOME,
    device: Word = "",
    channel: Word = "",
    country: Word = "",
    visitor: Word = "",
    user: Word = "",
    ads_consent: FromQuery[ConsentState] = ConsentState.UNSET,
) -> WhyNot:
    """Tell why a campaign may not show its products for such a request, before any auction."""
    campaign, serving = _known(admission, _campaign_id(request, WHY_NOT)), _serving(admission)
    query = Query(
        text=text,
        liked={liked: 1.0} if liked else {},
        visitor=visitor or None,
        user=user or None,
        ads_consent=ads_consent,
        scene=Scene(placement=placement, device=device, channel=channel, country=country),
    )
    place = admission.opened().place
    categories = (category,) if category else ()
    occasion, shelves = await admission.call(
        lambda engine: (
            occasion_of(query, categories, serving, place),
            engine.shelves(campaign.products),
        ),
        small(request),
    )
    day = day_of(occasion.now_ms, place.zone)
    name = serving.visitor(query, consents=occasion.consents)
    standings = serving.ledger.standings([campaign.id], day, occasion.now_ms, name)
    if campaign.id not in standings:
        raise _unknown()
    return WhyNot(
        campaign=campaign.id,
        products=tuple(
            ProductReasons(
                product=name,
                reasons=reasons_against(campaign, standings[campaign.id], shelves[name], occasion),
            )
            for name in campaign.products
        ),
    )


ROUTES = (
    list_campaigns,
    put_campaign,
    get_campaign,
    delete_campaign,
    report_campaign,
    why_not,
)


def _campaign_id(request: AnyRequest, end: str) -> str:
    """Return the id of a path, as it was sent."""
    return bodies.product_id(last_part(request, ONE, end))


def _serving(admission: AdmissionControl) -> AdServing:
    if admission.ads is None:
        raise ads_disabled()
    admission.opened()  # before, not all that is in the journal is known
    return admission.ads


def _known(admission: AdmissionControl, name: str) -> AdCampaign:
    campaign = _serving(admission).ledger.books.campaigns.get(name)
    if campaign is None:
        raise _unknown()
    return campaign


def _unknown() -> HTTPException:
    return HTTPException(
        "is no campaign of this shop; look at its spelling", status_code=404, extra={"field": "id"}
    )


async def _refuse_unknown(
    campaign: AdCampaign, request: AnyRequest, admission: AdmissionControl
) -> None:
    """Refuse products that the shop does not have."""
    shelves = await admission.call(lambda engine: engine.shelves(campaign.products), small(request))
    for place, name in enumerate(campaign.products):
        if shelves[name].product is None:
            raise RequestError(f"products[{place}]", f"{name!r} is no product of this shop")


async def _change(admission: AdmissionControl, name: str, change: AdItem) -> bodies.Taken:
    [outcome] = await admission.sell([change])
    if isinstance(outcome, UnwrittenAd):
        raise not_written(outcome)
    return bodies.Taken(id=name, sequence=outcome)
