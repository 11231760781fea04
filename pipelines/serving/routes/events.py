"""The route that takes events: what shoppers do, one at a time or one a line."""

import asyncio
from datetime import UTC, datetime

import msgspec
from litestar import Response, post

from pipelines.events.event_log import UnwrittenAct
from pipelines.events.kept_act import kept_act, pseudonymous
from pipelines.serving.admission import AdmissionControl
from pipelines.serving.bodies import event_bodies
from pipelines.serving.bodies.event_bodies import TakenEvent, taken_event
from pipelines.serving.error_responses import EVENT_ERRORS, not_written
from pipelines.serving.routes.handlers import (
    LINES,
    Admission,
    AnyRequest,
    EventsRequest,
    allow_events,
    operation_id,
)
from retrieval.types import Act

AT_ONCE = 500  # of a body with many, so that others' come in between


@post(
    "/v1/events",
    status_code=200,
    request_class=EventsRequest,
    responses=EVENT_ERRORS,
    operation_id=operation_id,
    guards=[allow_events],
)
async def take_events(request: AnyRequest, admission: Admission) -> Response[bytes]:
    """Take what a shopper did: one JSON object, or with `application/x-ndjson` one a line.

    The answer says under which number each is on the disk; of many it has a line for each, in
    their order. A request with this number as `after` is answered with the event in mind.
    """
    body = await request.body()
    if request.content_type[0] == LINES:
        return Response(await _take_lines(body, admission), media_type=LINES)
    [taken] = await _take([event_bodies.read_event(body)], admission)
    if isinstance(taken, UnwrittenAct):
        raise not_written(taken)
    return Response(msgspec.json.encode(taken), media_type="application/json")


ROUTES = (take_events,)


async def _take_lines(body: bytes, admission: AdmissionControl) -> bytes:
    lines = await asyncio.to_thread(event_bodies.read_event_lines, body)
    acts = [line.act for line in lines if line.act is not None]
    taken: list[TakenEvent | UnwrittenAct] = []
    for start in range(0, len(acts), AT_ONCE):
        taken += await _take(acts[start : start + AT_ONCE], admission)
    return event_bodies.event_statuses(lines, iter(taken))


async def _take(acts: list[Act], admission: AdmissionControl) -> list[TakenEvent | UnwrittenAct]:
    """Write the acts that may be kept, under the names of their shoppers."""
    zone, received_at = admission.opened().place.zone, datetime.now(UTC)
    names, unset = admission.taking_events().people.names, admission.unset_consent
    kept = [kept_act(pseudonymous(act, names), received_at, zone, unset) for act in acts]
    if any(act.agent for act in acts):
        robots = await asyncio.to_thread(admission.robot_names.are, [act.agent for act in acts])
        kept = [
            msgspec.structs.replace(one, robot=is_robot)
            for one, is_robot in zip(kept, robots, strict=True)
        ]
    outcomes = await admission.take(kept)
    return [taken_event(*one) for one in zip(kept, outcomes, strict=True)]
