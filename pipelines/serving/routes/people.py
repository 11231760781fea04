"""The routes of people: what a shopper did last, what is kept of somebody, and its end."""

import asyncio
from typing import Any

import msgspec
from litestar import Response, post
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import ResponseSpec
from litestar.types import Guard

from pipelines.engine.decoding import read_noun, refuse_control_characters
from pipelines.errors import RequestError
from pipelines.events.people import Person
from pipelines.events.profiles.cart import profile_of
from pipelines.serving.error_responses import (
    ERASURE_ERRORS,
    PEOPLE_ERRORS,
    PROFILE_ERRORS,
)
from pipelines.serving.routes.handlers import (
    Admission,
    AnyRequest,
    JsonRequest,
    RouteDecorator,
    allow_events,
    operation_id,
)

EXAMPLE = 'send one JSON object in UTF-8, such as {"user": "u1"} or {"visitor": "v1"}'
CLOSED = "this server exports and erases nobody over HTTP; set people.http, and --live FOLDER"


class PersonRequest(JsonRequest):
    """A request whose body names a person."""

    async def person(self) -> Person:
        """Return the person, or a RequestError with the field's name."""
        return self.read(read_person, await self.body())


def read_person(body: bytes) -> Person:
    """Return the person of a body, or RequestError with the field's name."""
    person = read_noun(body, Person, {"": Person}, EXAMPLE)
    if person.user is None and person.visitor is None:
        raise RequestError("user", "is missing; name a user, a visitor or both")
    for field in ("user", "visitor"):
        refuse_control_characters(field, getattr(person, field) or "")
    return person


def _allow_people(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse a person before the body is read, unless the server was started to take any."""
    admission = connection.app.state.admission
    if admission.events is None or not connection.app.state.people_over_http:
        raise HTTPException(CLOSED, status_code=403, extra={"field": ""})


def _person_route(path: str, errors: dict[int, ResponseSpec], guard: Guard) -> RouteDecorator:
    """Return the decorator of a route whose body names a person."""
    return post(
        path,
        status_code=200,
        request_class=PersonRequest,
        responses=errors,
        operation_id=operation_id,
        guards=[guard],
    )


@_person_route("/v1/people/export", PEOPLE_ERRORS, _allow_people)
async def export_person(request: AnyRequest, admission: Admission) -> Response[bytes]:
    """Return everything that the log and the archive of events have of a person."""
    assert isinstance(request, PersonRequest)
    person, events = await request.person(), admission.taking_events()
    content = await asyncio.to_thread(events.export, person)
    return Response(msgspec.json.encode(content), media_type="application/json")


@_person_route("/v1/people/erase", ERASURE_ERRORS, _allow_people)
async def erase_person(request: AnyRequest, admission: Admission) -> Response[bytes]:
    """Erase a person from every answer at once, and from every file; return the receipt."""
    assert isinstance(request, PersonRequest)
    receipt = await admission.erase(await request.person())
    return Response(msgspec.json.encode(receipt), media_type="application/json")


@_person_route("/v1/profile", PROFILE_ERRORS, allow_events)
async def shopper_profile(request: AnyRequest, admission: Admission) -> Response[bytes]:
    """Return what a shopper did last, and what lies in the cart."""
    assert isinstance(request, PersonRequest)
    person, profiles = await request.person(), admission.taking_events().profiles
    content = await asyncio.to_thread(profile_of, person, profiles)
    return Response(msgspec.json.encode(content), media_type="application/json")


ROUTES = (export_person, erase_person, shopper_profile)
