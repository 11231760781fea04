"""Routes that a shop's page reads beside answers: pictures, completions, shoppers, the release."""

from typing import Annotated, Any

from litestar import Response
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter

from pipelines.errors import RequestError
from pipelines.serving.bodies import bodies
from pipelines.serving.error_responses import FIELD_ERRORS, PICTURE_ERRORS, READ_ERRORS
from pipelines.serving.routes.handlers import Admission, AnyRequest, last_part, read_route, small

PICTURES = "/v1/pictures/"
PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp")
Limit = Annotated[int, QueryParameter(ge=1, le=1_000, description="How many at most.")]
Few = Annotated[int, QueryParameter(ge=1, le=50, description="How many at most.")]
Beginning = Annotated[
    str, QueryParameter(max_length=200, description="The search as far as it is typed.")
]


@read_route(PICTURES + "{product_id:path}", PICTURE_ERRORS, media_type="image/*")
async def picture(
    product_id: FromPath[str], request: AnyRequest, admission: Admission
) -> Response[bytes]:
    """Return the picture of a product, as the release holds it."""
    try:
        name = last_part(request, PICTURES)
    except RequestError:  # no product has such an id
        record = None
    else:
        record = await admission.call(lambda engine: engine.picture(name), small(request))
    if record is None:
        raise NotFoundException(
            "this release holds no picture of this product", extra={"field": "product_id"}
        )
    content, media_type = record
    return Response(
        content,
        media_type=media_type if media_type in PICTURE_TYPES else "application/octet-stream",
        headers={
            "cache-control": "public, max-age=86400",
            "content-security-policy": "default-src 'none'; sandbox",
        },
    )


@read_route("/v1/about", READ_ERRORS)
async def about(request: AnyRequest, admission: Admission) -> dict[str, Any]:
    """Return the shop's name and size, the release, its last day and its measured quality.

    `events` tells whether this server takes events.
    """
    known = await admission.call(lambda engine: engine.about(), small(request))
    return known | {"events": admission.events is not None}


@read_route("/v1/shoppers", FIELD_ERRORS)
async def shoppers(
    request: AnyRequest, admission: Admission, limit: Limit = 100
) -> bodies.Shoppers:
    """Return some known shoppers, to try the window with."""
    known = await admission.call(lambda engine: engine.shoppers(limit), small(request))
    return bodies.Shoppers(shoppers=tuple(known))


@read_route("/v1/complete", FIELD_ERRORS)
async def complete(
    request: AnyRequest, admission: Admission, q: Beginning = "", k: Few = 8
) -> bodies.Completions:
    """Complete the beginning of a search: its last word, and what often comes after it."""
    text = bodies.prefix(q)
    completions = await admission.call(lambda engine: engine.complete(text, k), small(request))
    return bodies.Completions(completions=tuple(completions))


ROUTES = (picture, about, shoppers, complete)
