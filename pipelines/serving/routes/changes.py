"""Routes that change products: one at a time, or a change a line."""

import asyncio

from litestar import Request, Response, delete, patch, post, put
from litestar.params import FromPath, JSONBody

from pipelines.errors import RequestError
from pipelines.live.change_log import Outcome
from pipelines.live.changes import Change, Delete, Edit, NewValues, RejectedChange, Upsert
from pipelines.serving.admission import AdmissionControl
from pipelines.serving.bodies import bodies
from pipelines.serving.error_responses import rejected
from pipelines.serving.routes.handlers import (
    LINES,
    Admission,
    AnyRequest,
    LinesRequest,
    ProductRequest,
    ValuesRequest,
    change_route,
    last_part,
)
from retrieval import Product

PRODUCTS = "/v1/products/"
LINES_AT_ONCE = 250  # of a bulk, so that others' changes come in between


@change_route(put, PRODUCTS + "{product_id:path}", ProductRequest)
async def put_product(
    product_id: FromPath[str], data: JSONBody[Product], request: AnyRequest, admission: Admission
) -> bodies.Taken:
    """Put a whole product in the place of the one with its id, or beside the others."""
    name = _product_id(request)
    if data.id != name:
        raise RequestError("id", f"is {data.id!r}, and the path says {name!r}; send one id")
    return await _change(admission, Upsert(product=data))


@change_route(delete, PRODUCTS + "{product_id:path}", Request)
async def delete_product(
    product_id: FromPath[str], request: AnyRequest, admission: Admission
) -> bodies.Taken:
    """Take a product out of every answer."""
    return await _change(admission, Delete(id=_product_id(request)))


@change_route(patch, PRODUCTS + "{product_id:path}", ValuesRequest)
async def edit_product(
    product_id: FromPath[str], data: JSONBody[NewValues], request: AnyRequest, admission: Admission
) -> bodies.Taken:
    """Change the price of a product, its availability, or both."""
    return await _change(admission, Edit.to(_product_id(request), data))


@change_route(post, "/v1/products:bulk", LinesRequest, media_type=LINES)
async def change_products(request: AnyRequest, admission: Admission) -> Response[bytes]:
    """Make a change a line: upsert, delete or edit; the answer has a line for each, in order.

    A line is `{"type": "upsert", "product": {...}}`, `{"type": "delete", "id": "..."}` or
    `{"type": "edit", "id": "...", "price": 2.5, "availability": "OUT_OF_STOCK"}`.
    """
    body = await request.body()
    lines = await asyncio.to_thread(bodies.read_lines, body)
    changes = [line for line in lines if not isinstance(line, RejectedChange)]
    outcomes: list[Outcome] = []
    async with admission.bulk():
        for start in range(0, len(changes), LINES_AT_ONCE):
            outcomes += await admission.change_part(changes[start : start + LINES_AT_ONCE])
    return Response(bodies.line_statuses(lines, outcomes), media_type=LINES)


ROUTES = (put_product, delete_product, edit_product, change_products)


def _product_id(request: AnyRequest) -> str:
    return bodies.product_id(last_part(request, PRODUCTS))


async def _change(admission: AdmissionControl, change: Change) -> bodies.Taken:
    [outcome] = await admission.change([change])
    if isinstance(outcome, RejectedChange):
        raise rejected(outcome)
    return bodies.Taken(id=change.id, sequence=outcome)
