"""The door: which path asks what of the engine (Litestar)."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Litestar, Request, Response, delete, get, patch, post, put
from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders, State
from litestar.di import NamedDependency, Provide
from litestar.enums import MediaType
from litestar.exceptions import InternalServerException, NotFoundException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import AnyCallable, Message, Scope

from pipelines.config import Config
from pipelines.engine import decoding
from pipelines.errors import RequestError
from pipelines.live.change_log import Outcome
from pipelines.live.changes import Change, Delete, Edit, NewValues, RejectedChange, Upsert
from pipelines.serving import bodies
from pipelines.serving.admission import AdmissionControl, Answers
from pipelines.serving.error_responses import (
    ASKING,
    BAD,
    HANDLERS,
    LARGEST_BODY,
    MISSING,
    TAKING,
    UNREADY,
    cut_off,
    not_taken,
    takes_no_changes,
    unsupported,
)
from retrieval import Product, Query, Slate, Stage

PAGE = Path(__file__).parent / "page"
PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/docs.js": ("docs.js", "text/javascript"),
}
PICTURES = "/v1/pictures/"
PRODUCTS = "/v1/products/"
LINES = "application/x-ndjson"
LINES_AT_ONCE = 1_000  # of a bulk, so that others' changes come in between
PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp")
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
AnyRequest = Request[Any, Any, Any]
Handle = Callable[[AnyCallable], HTTPRouteHandler]
AtDesk = NamedDependency[AdmissionControl]
Explain = Annotated[
    bool, QueryParameter(description="Tell scores and features, as `explain` does.")
]
Limit = Annotated[int, QueryParameter(ge=1, le=1_000, description="How many at most.")]

Few = Annotated[int, QueryParameter(ge=1, le=50, description="How many at most.")]
Beginning = Annotated[
    str, QueryParameter(max_length=200, description="The search as far as it is typed.")
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
            raise cut_off() from None

    async def json(self) -> Any:
        """Return the body as a Query, or refuse it with the field's name."""
        return decoding.read_query(await self.body())


class ProductRequest(JsonRequest):
    """A request whose body is a Product."""

    async def json(self) -> Any:
        """Return the product, or refuse it with the field's name."""
        return bodies.read_product(await self.body())


class ValuesRequest(JsonRequest):
    """A request whose body is a new price, a new availability or both."""

    async def json(self) -> Any:
        """Return the values, or refuse them with the field's name."""
        return bodies.read_values(await self.body())


class LinesRequest(JsonRequest):
    """A request whose body has a JSON object a line."""

    expected = LINES


def name_of(handler: HTTPRouteHandler, *_: Any) -> str:
    """Return what OpenAPI calls this operation."""
    return handler.handler_name


def ask(path: str) -> Handle:
    """Return the decorator of a path that takes a Query."""
    return post(
        path,
        status_code=200,
        request_class=JsonRequest,
        responses=ASKING,
        operation_id=name_of,
    )


def take(
    method: Callable[..., Handle],
    path: str,
    request_class: type[AnyRequest],
    media_type: str | None = None,
) -> Handle:
    """Return the decorator of a path that takes changes, where the server was told to."""
    return method(
        path,
        status_code=200,
        request_class=request_class,
        media_type=media_type,
        responses=TAKING,
        operation_id=name_of,
        guards=[takes_changes],
    )


def takes_changes(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse a change before its body is read, unless the server was told to take changes."""
    if not connection.app.state.desk.takes_changes:
        raise takes_no_changes()


def tell(
    path: str,
    refusals: dict[int, ResponseSpec],
    *,
    media_type: str | None = None,
    in_thread: bool = True,
) -> Handle:
    """Return the decorator of a path that only tells something."""
    return get(
        path,
        media_type=media_type,
        sync_to_thread=in_thread,
        responses=refusals,
        operation_id=name_of,
    )


@ask("/v1/search")
async def search(data: JSONBody[Query], desk: AtDesk, explain: Explain = False) -> Slate:
    """Find products for a text, a picture, or both, in the order that fits the shopper."""
    return await desk.answer(bodies.explained(bodies.for_search(data), explain=explain))


@ask("/v1/recommend")
async def recommend(data: JSONBody[Query], desk: AtDesk, explain: Explain = False) -> Slate:
    """Fill a window for a shopper who has not asked for anything; `user` may be left out."""
    return await desk.answer(bodies.explained(bodies.for_recommendation(data), explain=explain))


@ask("/v1/candidates")
async def candidates(data: JSONBody[Query], desk: AtDesk) -> bodies.CandidateList:
    """Propose products for a system that ranks on its own: ids and scores, best first."""
    query = bodies.explained(bodies.for_retrieval(data), explain=True)
    return bodies.candidate_list(await desk.answer(query, Stage.RETRIEVAL))


@ask("/v1/rank")
async def rank(data: JSONBody[Query], desk: AtDesk, explain: Explain = False) -> Slate:
    """Put `candidates` in order for this shopper, in this scene, and return the `k` best."""
    return await desk.answer(bodies.explained(bodies.for_ranking(data), explain=explain))


@take(put, PRODUCTS + "{product_id:path}", ProductRequest)
async def put_product(
    product_id: FromPath[str], data: JSONBody[Product], request: AnyRequest, desk: AtDesk
) -> bodies.Taken:
    """Put a whole product in the place of the one with its id, or beside the others."""
    name = _product_named(request)
    if data.id != name:
        raise RequestError("id", f"is {data.id!r}, and the path says {name!r}; send one id")
    return await _change(desk, Upsert(product=data))


@take(delete, PRODUCTS + "{product_id:path}", Request)
async def delete_product(
    product_id: FromPath[str], request: AnyRequest, desk: AtDesk
) -> bodies.Taken:
    """Take a product out of every answer."""
    return await _change(desk, Delete(id=_product_named(request)))


@take(patch, PRODUCTS + "{product_id:path}", ValuesRequest)
async def edit_product(
    product_id: FromPath[str], data: JSONBody[NewValues], request: AnyRequest, desk: AtDesk
) -> bodies.Taken:
    """Change the price of a product, its availability, or both."""
    return await _change(desk, Edit.to(_product_named(request), data))


@take(post, "/v1/products:bulk", LinesRequest, media_type=LINES)
async def change_products(request: AnyRequest, desk: AtDesk) -> Response[bytes]:
    """Make a change a line: upsert, delete or edit; the answer has a line for each, in order.

    A line is `{"type": "upsert", "product": {...}}`, `{"type": "delete", "id": "..."}` or
    `{"type": "edit", "id": "...", "price": 2.5, "availability": "OUT_OF_STOCK"}`.
    """
    body = await request.body()
    lines = await asyncio.to_thread(bodies.read_lines, body)
    changes = [line for line in lines if not isinstance(line, RejectedChange)]
    outcomes: list[Outcome] = []
    for start in range(0, len(changes), LINES_AT_ONCE):
        outcomes += await desk.change(changes[start : start + LINES_AT_ONCE])
    return Response(bodies.line_statuses(lines, outcomes), media_type=LINES)


@tell(PICTURES + "{product_id:path}", MISSING, media_type="image/*")
def picture(product_id: FromPath[str], request: AnyRequest, desk: AtDesk) -> Response[bytes]:
    """Return the picture of a product, as the release holds it."""
    found = desk.opened().picture(_last_part(request.scope["raw_path"], PICTURES))
    if found is None:
        raise NotFoundException(
            "this release holds no picture of this product", extra={"field": "product_id"}
        )
    content, media_type = found
    return Response(
        content,
        media_type=media_type if media_type in PICTURE_TYPES else "application/octet-stream",
        headers={
            "cache-control": "public, max-age=86400",
            "content-security-policy": "default-src 'none'; sandbox",
        },
    )


@tell("/v1/about", UNREADY)
def about(desk: AtDesk) -> dict[str, Any]:
    """Return the shop's name and size, the release, its last day and its measured quality."""
    return desk.opened().about()


@tell("/v1/shoppers", BAD)
def shoppers(desk: AtDesk, limit: Limit = 100) -> bodies.Shoppers:
    """Return some known shoppers, to try the window with."""
    return bodies.Shoppers(shoppers=tuple(desk.opened().shoppers(limit)))


@tell("/v1/complete", BAD)
def complete(desk: AtDesk, q: Beginning = "", k: Few = 8) -> bodies.Completions:
    """Complete the beginning of a search: its last word, and what often comes after it."""
    return bodies.Completions(completions=tuple(desk.opened().complete(bodies.prefix(q), k)))


@tell("/healthz", {}, in_thread=False)
def healthz() -> bodies.Health:
    """Answer 200 while the process lives."""
    return bodies.Health()


@tell("/readyz", UNREADY, in_thread=False)
def readyz(desk: AtDesk) -> bodies.Readiness:
    """Answer 200 with the release that is open; 503 until one is."""
    return bodies.Readiness(release=desk.opened().release)


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi(request: AnyRequest) -> dict[str, Any]:
    """Return the description of this interface, made from the nouns."""
    return request.app.openapi_schema.to_schema()


class DocsPage(OpenAPIRenderPlugin):
    """A page of our own: it reads /openapi.json, and loads nothing from elsewhere."""

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:
        """Return the page."""
        return (PAGE / "docs.html").read_bytes()


def create_app(engine: Answers | None, config: Config) -> Litestar:
    """Return the application; while `engine` is None, set `app.state.desk.engine` to open it."""
    desk = AdmissionControl(engine, config.serve)
    return Litestar(
        [search, recommend, candidates, rank, picture, about, shoppers, complete]
        + [healthz, readyz, openapi]
        + [put_product, delete_product, edit_product, change_products]
        + [_page_file(path, *file) for path, file in PAGE_FILES.items()],
        state=State({"desk": desk}),
        dependencies={"desk": Provide(_desk, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        before_send=[_add_headers],
        on_shutdown=[desk.close],
        request_max_body_size=LARGEST_BODY,
        openapi_config=OpenAPIConfig(
            title="Vetrina",
            version="1",
            description="Search and recommendation for one shop, from one release.",
            path="/docs",
            render_plugins=[DocsPage(path="/")],
            use_handler_docstrings=True,
        ),
        logging_config=None,
        debug=False,
    )


def _last_part(raw_path: bytes, start: str) -> str:
    """Return what follows `start`, with its slashes as they were sent (Litestar joins `//`)."""
    path, *_ = raw_path.decode("latin-1").partition("?")  # some servers leave the query string in
    return unquote(path.removeprefix(start))


def _product_named(request: AnyRequest) -> str:
    return bodies.product_id(_last_part(request.scope["raw_path"], PRODUCTS))


async def _change(desk: AdmissionControl, change: Change) -> bodies.Taken:
    [outcome] = await desk.change([change])
    if isinstance(outcome, RejectedChange):
        raise not_taken(outcome)
    return bodies.Taken(id=change.id, sequence=outcome)


def _desk(state: State) -> AdmissionControl:
    desk: AdmissionControl = state.desk
    return desk


def _page_file(path: str, name: str, media_type: str) -> HTTPRouteHandler:
    content = (PAGE / name).read_bytes()

    @get(path, media_type=media_type, include_in_schema=False, sync_to_thread=False)
    def page_file() -> bytes:
        return content

    return page_file


def _add_headers(message: Message, scope: Scope) -> None:
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders(message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
