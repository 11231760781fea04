"""One act in the shapes of several kinds of analytics, for tests that ask all of them."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, NamedTuple

import msgspec

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Line(NamedTuple):
    product: Any
    quantity: Any = 1
    price: Any = None


class Told(NamedTuple):
    """An act before it has a shape; `seconds` are after noon."""

    type: str
    seconds: float = 0
    lines: tuple[Line, ...] = ()
    user: Any = None
    visitor: Any = "v1"
    order: Any = None
    text: str | None = None
    currency: str | None = None
    total: Any = None
    more: dict[str, Any] = {}  # of the shape itself  # noqa: RUF012

    @property
    def at(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


GA4 = {"search": "view_search_results", "view": "view_item", "impression": "view_item_list",
       "click": "select_item"}  # fmt: skip
SEGMENT = {
    "search": "Products Searched", "view": "Product Viewed", "impression": "Product List Viewed",
    "click": "Product Clicked", "add_to_cart": "Product Added", "purchase": "Order Completed",
    "remove_from_cart": "Product Removed", "refund": "Order Refunded",
    "begin_checkout": "Checkout Started", "page_view": None,
}  # fmt: skip
GOOGLE = {"view": "detail-page-view", "add_to_cart": "add-to-cart", "purchase": "purchase-complete",
          "remove_from_cart": "remove-from-cart", "page_view": "home-page-view",
          "begin_checkout": "shopping-cart-page-view"}  # fmt: skip
SNOWPLOW = {"view": "product_view", "impression": "list_view", "click": "list_click",
            "purchase": "transaction", "begin_checkout": "checkout_step"}  # fmt: skip
ECOMMERCE = "com_snowplowanalytics_snowplow_ecommerce"


def ga4(act: Told) -> dict[str, Any]:
    said = {"ga_session_id": {"int_value": 77}}
    said |= {"search_term": {"string_value": act.text}} if act.text else {}
    said |= {"currency": {"string_value": act.currency}} if act.currency else {}
    return {
        "event_name": GA4.get(act.type, act.type), "event_date": "20240301",
        "event_timestamp": str(round(act.at.timestamp() * 1e6)),
        "user_id": act.user, "user_pseudo_id": act.visitor,
        "event_params": [{"key": key, "value": value} for key, value in said.items()],
        "ecommerce": {"transaction_id": act.order, "purchase_revenue": act.total},
        "items": [
            {"item_id": one.product, "quantity": one.quantity, "price": one.price}
            for one in act.lines
        ],
    } | act.more  # fmt: skip


def segment(act: Told) -> dict[str, Any]:
    products = [
        {"product_id": one.product, "quantity": one.quantity, "price": one.price}
        for one in act.lines
    ]
    return {
        "event": SEGMENT[act.type], "type": "track", "userId": act.user,
        "anonymousId": act.visitor, "timestamp": act.at.isoformat(), "context": {},
        "receivedAt": None,
        "properties": {
            "order_id": act.order, "query": act.text, "currency": act.currency,
            "total": act.total, "products": products,
        },
    } | act.more  # fmt: skip


def google(act: Told) -> dict[str, Any]:
    bought = {"id": act.order, "revenue": act.total, "currencyCode": act.currency}
    return {
        "eventType": GOOGLE.get(act.type, act.type), "visitorId": act.visitor,
        "eventTime": act.at.isoformat(), "userInfo": {"userId": act.user},
        "searchQuery": act.text, "purchaseTransaction": bought,
        "productDetails": [
            {"product": {"id": one.product, "priceInfo": {"price": one.price}},
             "quantity": one.quantity}
            for one in act.lines
        ],
    } | act.more  # fmt: skip


def snowplow(act: Told) -> dict[str, Any]:
    time = act.at.isoformat()
    bought = {"transaction_id": act.order, "revenue": act.total, "currency": act.currency}
    entity = "refund" if act.type == "refund" else "transaction"
    return {
        "derived_tstamp": time, "collector_tstamp": None, "domain_userid": act.visitor,
        "domain_sessionid": "77", "user_id": act.user, "event_name": act.type,
        f"unstruct_event_{ECOMMERCE}_snowplow_ecommerce_action_1": {
            "type": SNOWPLOW.get(act.type, act.type)},
        f"contexts_{ECOMMERCE}_{entity}_1": [bought],
        f"contexts_{ECOMMERCE}_product_1": [
            {"id": one.product, "quantity": one.quantity, "price": one.price}
            for one in act.lines
        ],
    } | act.more  # fmt: skip


def table(acts: list[Told]) -> str:
    """Return acts as a table with a row for each line."""
    out = StringIO()
    names = ["event", "timestamp", "user", "visitor", "order", "product", "quantity", "price",
             "query", "currency"]  # fmt: skip
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    for act in acts:
        for line in act.lines or (Line(None, None),):
            writer.writerow({
                "event": act.type, "timestamp": act.at.isoformat(), "user": act.user,
                "visitor": act.visitor, "order": act.order, "product": line.product,
                "quantity": line.quantity, "price": line.price, "query": act.text,
                "currency": act.currency,
            })  # fmt: skip
    return out.getvalue()


JSON_SHAPES: dict[str, Callable[[Told], dict[str, Any]]] = {
    "Google Analytics": ga4, "Segment": segment, "Google retail": google, "Snowplow": snowplow,
}  # fmt: skip
TABLE = "a table"
COLUMNS = {
    "user": "user", "visitor": "visitor", "order": "order", "time": "timestamp", "type": "event",
    "product": "product", "quantity": "quantity", "unit_price": "price", "text": "query",
    "currency": "currency",
}  # fmt: skip


def written(acts: list[Told], shape: str) -> tuple[str, bytes]:
    """Return the name and the bytes of a log of acts in a shape."""
    if shape == TABLE:
        return "log.csv", table(acts).encode()
    return "log.jsonl", b"\n".join(msgspec.json.encode(JSON_SHAPES[shape](act)) for act in acts)
