"""Error responses: for each exception a status and one JSON body, never a traceback."""

import logging
from typing import Any
from uuid import uuid4

from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.openapi import ResponseSpec
from litestar.types import ExceptionHandlersMap

from index import Unreachable
from pipelines.ads.ledger.records import UnwrittenAd
from pipelines.engine.decoding import HINTS
from pipelines.errors import RequestError, StaleCursor
from pipelines.events.event_log import UnwrittenAct
from pipelines.events.people import Receipt
from pipelines.events.profiles.cart import ShopperProfile
from pipelines.live.changes import RejectedChange
from pipelines.serving.admission import ClientLeft, Overloaded, StageTimeout, Unavailable
from pipelines.serving.bodies.bodies import Failure, FailureBody
from pipelines.serving.bodies.event_bodies import TakenEvent

LARGEST_BODY = 16_000_000  # bytes: a picture of 10 MB is 13.4 MB of base64
LONGEST_REPEATED = 80  # characters of a foreign value that a message repeats
MESSAGES = {  # field and message, where Litestar only names the status
    404: ("", "there is nothing at this path; /docs lists what there is"),
    413: ("body", f"has more than {LARGEST_BODY:,} bytes; a picture in it may have 10 MB"),
}


def _spec(description: str) -> ResponseSpec:
    return ResponseSpec(FailureBody, generate_examples=False, description=description)


UNREADY = {503: _spec("Still opening the release, or ending; try again after a second.")}
BUSY = {429: _spec("Too busy; try again after the seconds in `retry-after`.")}
STUCK = {504: _spec("A stage did not end; the message names it.")}
READ_ERRORS = UNREADY | BUSY | STUCK
FIELD_ERRORS = READ_ERRORS | {400: _spec("A field cannot be used; the error names it.")}
PICTURE_ERRORS = FIELD_ERRORS | {404: _spec("This release holds no picture of this product.")}
BODY_ERRORS = FIELD_ERRORS | {
    408: _spec("A body that took too long to arrive."),
    413: _spec(f"A body of more than {LARGEST_BODY:,} bytes."),
    415: _spec("A body that is not application/json."),
}
QUERY_ERRORS = BODY_ERRORS | {
    409: _spec("A cursor of a list that cannot go on; begin the list again.")
}
CHANGE_ERRORS = BODY_ERRORS | {
    403: _spec("This server takes no changes."),
    404: _spec("There is no such product."),
    507: _spec("No more changes can be kept before a build folds them in."),
}
EVENT_ERRORS = BODY_ERRORS | {
    200: ResponseSpec(TakenEvent, generate_examples=False, description="The event is kept."),
    403: _spec("This server takes no events."),
}
PEOPLE_ERRORS = BODY_ERRORS | {403: _spec("This server exports and erases nobody over HTTP.")}
ERASURE_ERRORS = PEOPLE_ERRORS | {
    200: ResponseSpec(Receipt, generate_examples=False, description="Done, with the receipt."),
}
AD_ERRORS = FIELD_ERRORS | {
    403: _spec("This server has no ads."),
    410: _spec("The token has expired."),
}
CAMPAIGN_READ_ERRORS = FIELD_ERRORS | {
    403: _spec("This server has no ads."),
    404: _spec("There is no such campaign."),
}
CAMPAIGN_ERRORS = (BODY_ERRORS | CAMPAIGN_READ_ERRORS) | {
    507: _spec("There are too many campaigns."),
}
PROFILE_ERRORS = BODY_ERRORS | {
    200: ResponseSpec(ShopperProfile, generate_examples=False, description="The profile."),
    403: _spec("This server takes no events."),
}
ErrorResponse = Response[FailureBody]
AnyRequest = Request[Any, Any, Any]

log = logging.getLogger(__name__)


def unsupported(header: str, got: str, expected: str) -> HTTPException:
    """Return the error of a body that is sent in a form we do not read."""
    return HTTPException(
        f"is {got[:LONGEST_REPEATED]!r}; send the header `{header}: {expected}`",
        status_code=415,
        extra={"field": header},
    )


def incomplete_body() -> HTTPException:
    """Return the error of a body that ended before its end; hardly anyone will read it."""
    return HTTPException(
        "ended early, or its chunks are not well-formed; send it whole",
        status_code=400,
        extra={"field": "body"},
    )


def body_too_slow() -> HTTPException:
    """Return the error of a body that takes too long; the connection ends with it."""
    return HTTPException(
        "took too long to arrive; send it at once",
        status_code=408,
        headers={"connection": "close"},
        extra={"field": "body"},
    )


def too_many_bodies() -> HTTPException:
    """Return the error of a body for which there is no room beside the others."""
    return HTTPException(
        "has no room beside those of other requests; try again in a second",
        status_code=429,
        headers={"connection": "close", "retry-after": "1"},
        extra={"field": "body"},
    )


def changes_disabled() -> HTTPException:
    """Return the error of a change on a server that was not started to take any."""
    return HTTPException(
        "this server takes no changes; start it with --live FOLDER, and keep strangers from it",
        status_code=403,
        extra={"field": ""},
    )


def events_disabled() -> HTTPException:
    """Return the error of an event on a server that was not started to take any."""
    return HTTPException(
        "this server takes no events; start it with --live FOLDER",
        status_code=403,
        extra={"field": ""},
    )


def not_written(outcome: UnwrittenAct | UnwrittenAd) -> HTTPException:
    """Return the error of an act or a campaign that was not written: its field, and what to do."""
    return HTTPException(
        outcome.message, status_code=outcome.status, extra={"field": outcome.field}
    )


def ads_disabled() -> HTTPException:
    """Return the error of a campaign or an ad on a server that was not started to have any."""
    return HTTPException(
        "this server has no ads; start it with --live FOLDER, and keep strangers from it",
        status_code=403,
        extra={"field": ""},
    )


def rejected(change: RejectedChange) -> HTTPException:
    """Return the error of one change."""
    return HTTPException(change.message, status_code=change.status, extra={"field": change.field})


def _response(
    status: int, message: str, field: str = "", headers: dict[str, str] | None = None
) -> ErrorResponse:
    failure = Failure(field=field, message=message, status=status)
    return Response(
        FailureBody(error=failure),
        status_code=status,
        media_type=MediaType.JSON,
        headers=headers,
    )


def _on_request_error(_: Any, error: RequestError) -> ErrorResponse:
    return _response(400, error.message, error.field)


def _on_stale_cursor(_: Any, error: StaleCursor) -> ErrorResponse:
    return _response(409, error.message, error.field)


def _on_unavailable(_: Any, error: Unavailable) -> ErrorResponse:
    return _response(503, str(error), headers={"retry-after": "1"})


def _on_overloaded(_: Any, error: Overloaded) -> ErrorResponse:
    return _response(429, str(error), headers={"retry-after": str(error.retry_seconds)})


def _on_stage_timeout(_: Any, error: StageTimeout) -> ErrorResponse:
    log.error("%s", error)
    return _response(504, str(error))


def _on_client_left(_: Any, error: ClientLeft) -> ErrorResponse:
    """Return what nobody reads; the status is the one that nginx uses in its log."""
    return _response(499, "the client has left")


def _on_unreachable(_: Any, error: Unreachable) -> ErrorResponse:
    log.error("%s", error)
    return _response(503, "the index does not answer", headers={"retry-after": "5"})


def _on_validation(_: Any, error: ValidationException) -> ErrorResponse:
    """Answer an error that Litestar found: in the query string, or a body that is missing."""
    extra = error.extra if isinstance(error.extra, list) else []
    first = extra[0] if extra else {}
    field, message = str(first.get("key", "")), str(first.get("message", error.detail))
    if field == "data":
        return _response(400, f"is empty; {HINTS['body']}", "body")
    if first.get("source") == "header":
        field = field.replace("_", "-")  # Litestar names the argument
    return _response(400, message, field)


def _on_http_exception(request: AnyRequest, error: HTTPException) -> ErrorResponse:
    if isinstance(error.extra, dict):  # raised by us: it names the field
        return _response(error.status_code, error.detail, error.extra["field"], error.headers)
    headers = error.headers or {}
    field, message = MESSAGES.get(error.status_code, ("", error.detail))
    if "allow" in headers:
        message = f"this path takes {headers['allow']}, not {request.method}"
    return _response(error.status_code, message, field, headers)


def _on_fault(request: AnyRequest, error: Exception) -> ErrorResponse:
    """Tell the log everything, and the client where in the log."""
    reference = uuid4().hex[:12]
    log.error("%s %s failed [%s]", request.method, request.url.path, reference, exc_info=error)
    return _response(500, f"the server failed on this request; its log says why under {reference}")


HANDLERS: ExceptionHandlersMap = {
    RequestError: _on_request_error,
    StaleCursor: _on_stale_cursor,
    Unavailable: _on_unavailable,
    Overloaded: _on_overloaded,
    StageTimeout: _on_stage_timeout,
    ClientLeft: _on_client_left,
    Unreachable: _on_unreachable,
    ValidationException: _on_validation,
    InternalServerException: _on_fault,
    HTTPException: _on_http_exception,
    Exception: _on_fault,
}
