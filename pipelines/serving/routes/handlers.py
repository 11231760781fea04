"""Declares routes: the bodies they read, the errors they document, the arguments they share."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

from litestar import Request, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.exceptions import InternalServerException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import AnyCallable

from pipelines.engine import decoding
from pipelines.errors import RequestError
from pipelines.events.event_log import FIRST
from pipelines.serving.admission import DEADLINE_HEADER, AdmissionControl, Arrival
from pipelines.serving.bodies import bodies
from pipelines.serving.error_responses import (
    CHANGE_ERRORS,
    QUERY_ERRORS,
    changes_disabled,
    events_disabled,
    incomplete_body,
    unsupported,
)
from pipelines.serving.query_pictures import refuse_heavy

LINES = "application/x-ndjson"
T = TypeVar("T")

AnyRequest = Request[Any, Any, Any]
RouteDecorator = Callable[[AnyCallable], HTTPRouteHandler]
Admission = NamedDependency[AdmissionControl]
After = Annotated[
    int,
    QueryParameter(
        ge=0,
        lt=2**62,
        description="Number of a change or an event that the answer knows, if it must.",
    ),
]
DeadlineHeader = Annotated[
    int | None,
    HeaderParameter(
        name=DEADLINE_HEADER,
        ge=1,
        le=60_000,
        description="Milliseconds, as `deadline_ms`; known before the body is read.",
    ),
]
Explain = Annotated[
    bool, QueryParameter(description="Tell scores and features, as `explain` does.")
]


class JsonRequest(AnyRequest):
    """A request whose body is a Query in JSON, read strictly."""

    expected: str = MediaType.JSON.value
    others: tuple[str, ...] = ()

    async def body(self) -> bytes:
        """Return the body, if its headers say that we can read it and it has arrived whole."""
        media_type, _ = self.content_type
        if media_type != self.expected and media_type not in self.others:
            raise unsupported("content-type", media_type, self.expected)
        encoding = self.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise unsupported("content-encoding", encoding, "identity")
        try:
            return await super().body()
        except InternalServerException:  # so Litestar calls a connection that ends too early
            raise incomplete_body() from None

    async def json(self) -> Any:
        """Return the body as a Query, or a RequestError with the field's name."""
        query = self.read(decoding.read_query, await self.body())
        if query.image:
            refuse_heavy(query.image)
        return query

    def read(self, reader: Callable[[bytes], T], body: bytes) -> T:
        """Return what `reader` reads, or a RequestError where an object names a field twice."""
        read = reader(body)
        bodies.refuse_repeated_keys(body)
        return read


class ProductRequest(JsonRequest):
    """A request whose body is a Product."""

    async def json(self) -> Any:
        """Return the product, or a RequestError with the field's name."""
        return self.read(bodies.read_product, await self.body())


class ValuesRequest(JsonRequest):
    """A request whose body is a new price, a new availability or both."""

    async def json(self) -> Any:
        """Return the values, or a RequestError with the field's name."""
        return self.read(bodies.read_values, await self.body())


class LinesRequest(JsonRequest):
    """A request whose body has a JSON object a line."""

    expected = LINES


class EventsRequest(JsonRequest):
    """A request whose body is one JSON object, or one a line."""

    others = (LINES,)


def admission_of(state: State) -> AdmissionControl:
    """Return the admission control of the application."""
    admission: AdmissionControl = state.admission
    return admission


def query_arrival(
    request: AnyRequest, admission: AdmissionControl, after: int, deadline_ms: int | None
) -> Arrival:
    """Return what is known of a query beside its body; RequestError where `after` is unfit."""
    if after and not admission.takes_changes:
        raise RequestError("after", "this server takes no changes; leave it out")
    if after >= FIRST and admission.events is None:
        raise RequestError("after", "this server takes no events; leave it out")
    return Arrival(request.route_handler.handler_name, deadline_ms, after, request.receive)


def small(request: AnyRequest) -> Arrival:
    """Return what is known of a request without a body."""
    return Arrival(request.route_handler.handler_name, receive=request.receive)


def query_route(path: str) -> RouteDecorator:
    """Return the decorator of a route whose body is a Query."""
    return post(
        path,
        status_code=200,
        request_class=JsonRequest,
        responses=QUERY_ERRORS,
        operation_id=operation_id,
    )


def change_route(
    method: Callable[..., RouteDecorator],
    path: str,
    request_class: type[AnyRequest],
    media_type: str | None = None,
) -> RouteDecorator:
    """Return the decorator of a route that changes products, on a server that allows it."""
    return method(
        path,
        status_code=200,
        request_class=request_class,
        media_type=media_type,
        responses=CHANGE_ERRORS,
        operation_id=operation_id,
        guards=[_allow_changes],
    )


def read_route(
    path: str,
    errors: dict[int, ResponseSpec],
    *,
    media_type: str | None = None,
) -> RouteDecorator:
    """Return the decorator of a route that has no body and changes nothing."""
    return get(
        path,
        media_type=media_type,
        responses=errors,
        operation_id=operation_id,
    )


def last_part(request: AnyRequest, start: str, end: str = "") -> str:
    """Return what follows `start`, before `end`, as it was sent (Litestar joins `//`).

    Bytes that are not UTF-8 are a RequestError: replaced, two ids would be one.
    """
    path, *_ = request.scope["raw_path"].decode("latin-1").partition("?")  # some servers leave it
    try:
        return unquote(path.removeprefix(start).removesuffix(end), errors="strict")
    except UnicodeDecodeError:
        raise RequestError("id", bodies.NOT_UTF8) from None


def operation_id(handler: HTTPRouteHandler, *_: Any) -> str:
    """Return what a route is called in the OpenAPI document."""
    return handler.handler_name


def allow_events(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse a body before it is read, unless the server was started to take events."""
    if connection.app.state.admission.events is None:
        raise events_disabled()


def _allow_changes(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse a change before its body is read, unless the server was started to take changes."""
    if not connection.app.state.admission.takes_changes:
        raise changes_disabled()
