"""Declares routes: the bodies they read, the errors they document, the arguments they share."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.exceptions import InternalServerException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter
from litestar.types import AnyCallable

from pipelines.engine import decoding
from pipelines.serving import bodies
from pipelines.serving.admission import AdmissionControl
from pipelines.serving.error_responses import (
    CHANGE_ERRORS,
    QUERY_ERRORS,
    changes_disabled,
    incomplete_body,
    unsupported,
)

LINES = "application/x-ndjson"

AnyRequest = Request[Any, Any, Any]
RouteDecorator = Callable[[AnyCallable], HTTPRouteHandler]
Admission = NamedDependency[AdmissionControl]
Explain = Annotated[
    bool, QueryParameter(description="Tell scores and features, as `explain` does.")
]


class JsonRequest(AnyRequest):
    """A request whose body is a Query in JSON, read strictly."""

    expected: str = MediaType.JSON.value

    async def body(self) -> bytes:
        """Return the body, if its headers say that we can read it and it has arrived whole."""
        media_type, _ = self.content_type
        if media_type != self.expected:
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
        return decoding.read_query(await self.body())


class ProductRequest(JsonRequest):
    """A request whose body is a Product."""

    async def json(self) -> Any:
        """Return the product, or a RequestError with the field's name."""
        return bodies.read_product(await self.body())


class ValuesRequest(JsonRequest):
    """A request whose body is a new price, a new availability or both."""

    async def json(self) -> Any:
        """Return the values, or a RequestError with the field's name."""
        return bodies.read_values(await self.body())


class LinesRequest(JsonRequest):
    """A request whose body has a JSON object a line."""

    expected = LINES


def admission_of(state: State) -> AdmissionControl:
    """Return the admission control of the application."""
    admission: AdmissionControl = state.admission
    return admission


def query_route(path: str) -> RouteDecorator:
    """Return the decorator of a route whose body is a Query."""
    return post(
        path,
        status_code=200,
        request_class=JsonRequest,
        responses=QUERY_ERRORS,
        operation_id=_operation_id,
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
        operation_id=_operation_id,
        guards=[_allow_changes],
    )


def read_route(
    path: str,
    errors: dict[int, ResponseSpec],
    *,
    media_type: str | None = None,
    in_thread: bool = True,
) -> RouteDecorator:
    """Return the decorator of a route that has no body and changes nothing."""
    return get(
        path,
        media_type=media_type,
        sync_to_thread=in_thread,
        responses=errors,
        operation_id=_operation_id,
    )


def last_part(request: AnyRequest, start: str) -> str:
    """Return what follows `start`, with its slashes as they were sent (Litestar joins `//`).

    Bytes that are not UTF-8 become halves of letters, which no id has, so that two stay two.
    """
    path, *_ = request.scope["raw_path"].decode("latin-1").partition("?")  # some servers leave it
    return unquote(path.removeprefix(start), errors="surrogateescape")


def _operation_id(handler: HTTPRouteHandler, *_: Any) -> str:
    return handler.handler_name


def _allow_changes(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse a change before its body is read, unless the server was started to take changes."""
    if not connection.app.state.admission.takes_changes:
        raise changes_disabled()
