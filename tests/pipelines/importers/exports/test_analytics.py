"""Logs of analytics in their own shapes, recognised and kept as the acts that a server takes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipelines.importers.exports.analytics import PRODUCTS, kept_of, told

WHAT = ("type", "product")
WHO = ("user", "visitor", "session", "order")
MONEY = ("quantity", "value", "price_micros", "discount_micros", "value_micros", "currency")
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MICROS = 1_709_294_400_000_000  # of noon


def param(key: str, **value: Any) -> dict[str, Any]:
    none = {"string_value": None, "int_value": None, "float_value": None, "double_value": None}
    return {"key": key, "value": none | value}


def ga4(name: str, seconds: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_date": "20240301", "event_timestamp": MICROS + seconds * 1_000_000 + 123_456,
        "event_name": name, "event_params": [param("ga_session_id", int_value=77)],
        "user_id": None, "user_pseudo_id": "1.2",
        "privacy_info": {
            "analytics_storage": "Yes", "ads_storage": "No", "uses_transient_token": "No"},
        "ecommerce": {"transaction_id": None, "purchase_revenue": None, "refund_value": None},
        "items": [],
    } | fields  # fmt: skip


def item(item_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "item_id": item_id, "item_name": "x", "price": None, "quantity": None,
        "item_list_id": "(not set)", "item_list_index": "(not set)",
        "item_params": [param("colour", string_value="red")],
    } | fields  # fmt: skip


GA4 = [
    ga4("page_view", 0),
    ga4("scroll", 1),
    ga4("view_search_results", 2, event_params=[param("search_term", string_value="oat milk")]),
    ga4("view_item_list", 3, items=[
        item("p1", item_list_id="best", item_list_index="0"),
        item("p2", item_list_id="best", item_list_index="1")]),
    ga4("select_item", 4, items=[item("p2", item_list_id="best", item_list_index="1")]),
    ga4("view_item", 5, items=[item("p2", price=1.0)]),
    ga4("add_to_cart", 6, items=[item("p2", price=1.0, quantity=2)]),
    ga4("begin_checkout", 7, items=[item("p2", price=1.0, quantity=2)]),
    ga4("purchase", 8, user_id="u1",
        event_params=[param("ga_session_id", int_value=77), param("currency", string_value="EUR")],
        ecommerce={"transaction_id": "T-1", "purchase_revenue": 4.99, "refund_value": None},
        items=[item("p2", price=1.0, quantity=2), item("p3", price=2.99, quantity=1)]),
    ga4("refund", 9, user_id="u1",
        event_params=[param("currency", string_value="EUR")],
        ecommerce={"transaction_id": "T-1", "purchase_revenue": None, "refund_value": 2.99},
        items=[item("p3", price=2.99, quantity=1)]),
]  # fmt: skip


@pytest.mark.parametrize("name", ["log.jsonl", "log.json", "log.parquet"])
def test_the_export_of_google_analytics(tmp_path: Path, name: str) -> None:
    acts, report = kept_of(tmp_path, GA4, name)

    assert told(acts, *WHAT, "position", "list") == [
        ("search", None, None, ""),
        ("impression", "p1", 1, "best"), ("impression", "p2", 2, "best"),
        ("click", "p2", 2, "best"), ("view", "p2", None, ""), ("add_to_cart", "p2", None, ""),
        ("purchase", "p2", None, ""), ("purchase", "p3", None, ""), ("refund", "p3", None, ""),
    ]  # fmt: skip
    assert told(acts[6:8], *WHO) == [("u1", "1.2", "T-1", "T-1")] * 2
    assert told(acts[:1], *WHO, "text") == [("visitor/1.2", "1.2", "", "", "oat milk")]
    assert told(acts[3:4], *WHO) == [("visitor/1.2", "1.2", "77", "")]
    assert told(acts[6:], *MONEY) == [
        (2, 2.0, 1_000_000, None, 4_990_000, "EUR"), (1, 2.99, 2_990_000, None, 4_990_000, "EUR"),
        (1, 2.99, 2_990_000, None, 2_990_000, "EUR"),
    ]  # fmt: skip
    assert acts[0]["at"] == NOON.replace(second=2, microsecond=123_456)
    assert acts[0]["consent"] == {"search": None, "recommend": True, "ads": False, "train": True}
    assert report.events_ignored == {"page_view": 1, "scroll": 1, "begin_checkout": 1}
    assert report.refused == {}
    assert "the export of Google Analytics 4 to BigQuery" in report.notes[1]


def test_parquet_as_tools_write_it_that_know_no_lists(tmp_path: Path) -> None:
    rows = [
        row | {
            "items": {"list": [{"element": one} for one in row["items"]]},
            "event_params": row["event_params"],
        }
        for row in GA4
        if row["items"]
    ]  # fmt: skip

    acts, _ = kept_of(tmp_path, rows, "log.parquet")

    assert told(acts, *WHAT)[-3:] == [("purchase", "p2"), ("purchase", "p3"), ("refund", "p3")]


GOOGLE = [
    {"eventType": "home-page-view", "visitorId": "v1", "eventTime": "2024-03-01T12:00:00Z"},
    {"eventType": "search", "visitorId": "v1", "eventTime": "2024-03-01T12:00:01.5Z",
     "searchQuery": "oat milk", "attributionToken": "tok", "filter": "brand: ANY(\"x\")",
     "pageCategories": ["Food > Milk"], "experimentIds": ["a", "b"],
     "productDetails": [{"product": {"id": "p1"}}, {"product": {"id": "p2"}}]},
    {"eventType": "detail-page-view", "visitorId": "v1", "eventTime": "2024-03-01T13:00:02+01:00",
     "sessionId": "s1", "productDetails": [{"product": {"id": "p2"}}]},
    {"eventType": "add-to-cart", "visitorId": "v1", "eventTime": "2024-03-01T12:00:03Z",
     "productDetails": [{"product": {"id": "p2"}, "quantity": 2}]},
    {"eventType": "purchase-complete", "visitorId": "v1", "eventTime": "2024-03-01T12:00:04Z",
     "sessionId": "s1", "userInfo": {"userId": "u1", "userAgent": "Mozilla/5.0 Chrome/126"},
     "productDetails": [{"product": {"id": "p2"}, "quantity": 2},
                        {"product": {"id": "p3"}, "quantity": 1}],
     "purchaseTransaction": {"id": "T1", "revenue": 167772.17, "currencyCode": "EUR"}},
]  # fmt: skip


def test_user_events_of_google_retail(tmp_path: Path) -> None:
    acts, report = kept_of(tmp_path, GOOGLE)

    assert told(acts, *WHAT, "position", "text") == [
        ("search", None, None, "oat milk"), ("impression", "p1", 1, "oat milk"),
        ("impression", "p2", 2, "oat milk"), ("view", "p2", None, ""),
        ("add_to_cart", "p2", None, ""), ("purchase", "p2", None, ""), ("purchase", "p3", None, ""),
    ]  # fmt: skip
    assert (
        told(acts[:2], "answer", "list", "filter", "experiment")
        == [("tok", "Food > Milk", 'brand: ANY("x")', "a, b")] * 2
    )
    assert told(acts[3:], *WHO)[0] == ("visitor/v1", "v1", "s1", "")
    assert (
        told(acts[5:], *WHO, "value_micros", "currency")
        == [("u1", "v1", "T1", "T1", 167_772_170_000, "EUR")] * 2
    )
    assert acts[3]["at"] == NOON.replace(second=2)
    assert report.events_ignored == {"home-page-view": 1}
    assert "user events of Google's Vertex AI Search" in report.notes[1]


def test_user_events_of_google_as_bigquery_has_them(tmp_path: Path) -> None:
    rows = [
        {"event_type": "purchase-complete", "visitor_id": "v1",
         "event_time": datetime(2024, 3, 1, 12, tzinfo=UTC),
         "user_info": {"user_id": "u1"}, "page_view_id": "x", "attribution_token": "tok",
         "product_details": [{"product": {"id": "p2"}, "quantity": 2}],
         "purchase_transaction": {"id": "T1", "revenue": 2.0, "currency_code": "EUR"}},
    ]  # fmt: skip

    acts, _ = kept_of(tmp_path, rows, "log.parquet")

    assert told(acts, *WHAT, *WHO, "quantity", "answer", "currency") == [
        ("purchase", "p2", "u1", "v1", "T1", "T1", 2, "tok", "EUR")
    ]


QUERY = "43b15df305339e827f0ac0bdc5ebcaa7"
ALGOLIA = [
    {"eventType": "view", "eventName": "Shown", "index": "products", "userToken": "anon-1",
     "timestamp": 1_709_294_400_123, "objectIDs": ["p1", "p2"]},
    {"eventType": "click", "eventName": "Clicked", "index": "products", "userToken": "anon-1",
     "timestamp": 1_709_294_401_000, "objectIDs": ["p2"], "positions": [2], "queryID": QUERY},
    {"eventType": "conversion", "eventSubtype": "addToCart", "eventName": "Added",
     "index": "products", "userToken": "anon-1", "timestamp": 1_709_294_402_000,
     "objectIDs": ["p2"], "objectData": [{"price": "1.00", "quantity": 2, "discount": 0.5}],
     "value": "2.00", "currency": "EUR"},
    {"eventType": "conversion", "eventSubtype": "purchase", "eventName": "Bought",
     "index": "products", "userToken": "anon-1", "authenticatedUserToken": "u1",
     "timestamp": 1_709_294_403_000, "objectIDs": ["p2", "p3"], "currency": "EUR", "value": 4.99,
     "objectData": [{"price": 1, "quantity": 2, "queryID": QUERY},
                    {"price": "2.99", "quantity": "1", "queryID": QUERY[::-1]}]},
    {"eventType": "click", "eventName": "Filtered", "index": "products", "userToken": "anon-1",
     "timestamp": 1_709_294_404_000, "filters": ["brand%3Ax"]},
    {"eventType": "conversion", "eventName": "Signed up", "index": "products",
     "userToken": "anon-1", "timestamp": 1_709_294_405_000, "objectIDs": ["p1"]},
]  # fmt: skip


def test_events_of_algolia_insights(tmp_path: Path) -> None:
    acts, report = kept_of(tmp_path, ALGOLIA)

    assert told(acts, *WHAT, "position", "answer", "list") == [
        ("view", "p1", None, "", "products"), ("view", "p2", None, "", "products"),
        ("click", "p2", 2, QUERY, "products"), ("add_to_cart", "p2", None, "", "products"),
        ("purchase", "p2", None, QUERY, "products"),
        ("purchase", "p3", None, QUERY[::-1], "products"),
    ]  # fmt: skip
    assert told(acts[3:], *MONEY) == [
        (2, 2.0, 1_500_000, 1_000_000, 2_000_000, "EUR"),
        (2, 2.0, 1_000_000, None, 4_990_000, "EUR"), (1, 2.99, 2_990_000, None, 4_990_000, "EUR"),
    ]  # fmt: skip
    assert told(acts[2:5:2], "user", "visitor") == [("visitor/anon-1", "anon-1"), ("u1", "anon-1")]
    assert acts[0]["at"] == NOON.replace(microsecond=123_000)
    assert report.events_ignored == {"conversion": 1}
    assert report.refused == {"event: no product": 1}


def test_a_body_of_algolia_insights(tmp_path: Path) -> None:
    import msgspec

    body = msgspec.json.encode({"events": ALGOLIA})

    acts, _ = kept_of(tmp_path, body, "log.json")

    assert len(acts) == 6


UBI = [
    {"action_name": "item_click", "application": "shop", "query_id": "q1", "session_id": "s1",
     "client_id": "c1", "timestamp": "2024-03-01T12:00:00.500Z", "message_type": "CLICK",
     "message": "x", "user_query": "oat milk",
     "event_attributes": {"object": {"object_id": "p1", "object_id_field": "id"},
                          "position": {"ordinal": 3}}},
    {"action_name": "product_hover", "client_id": "c1", "timestamp": "2024-03-01T12:00:01Z",
     "query_id": "q1", "event_attributes": {"object": {"object_id": "p1"}}},
    {"action_name": "add_to_cart", "client_id": "c1", "timestamp": "2024-03-01T12:00:02",
     "query_id": "q1", "session_id": "s1",
     "event_attributes": {"object": {"object_id": "p1"}, "quantity": 2}},
    {"action_name": "purchase", "client_id": "c1", "timestamp": "2024-03-01T12:00:03Z",
     "query_id": "q1", "session_id": "s1",
     "event_attributes": {"object": {"object_id": "p1"}, "order_id": "T1", "price": 2,
                          "currency": "EUR"}},
]  # fmt: skip


def test_events_of_user_behavior_insights(tmp_path: Path) -> None:
    acts, report = kept_of(tmp_path, UBI)

    assert told(acts, *WHAT, *WHO, "answer", "list") == [
        ("click", "p1", "visitor/c1", "c1", "s1", "", "q1", "shop"),
        ("add_to_cart", "p1", "visitor/c1", "c1", "s1", "", "q1", ""),
        ("purchase", "p1", "visitor/c1", "c1", "T1", "T1", "q1", ""),
    ]
    assert told(acts, "position", "quantity", "value", "text") == [
        (3, 1, None, "oat milk"), (None, 2, None, ""), (None, 1, 2.0, ""),
    ]  # fmt: skip
    assert report.events_ignored == {"product_hover": 1}


@pytest.mark.parametrize("name", ["query_response_object_ids", "query_response_hit_ids"])
def test_queries_of_user_behavior_insights(tmp_path: Path, name: str) -> None:
    rows = [
        {"query_id": "q1", "user_query": "oat milk", "client_id": "c1", "application": "shop",
         "query_response_id": "r1", "timestamp": "2024-03-01T12:00:00Z", name: ["p1", "p2"]},
        {"query_id": "q2", "user_query": "nothing", "client_id": "c1", "application": "shop",
         "query_response_id": "r2", "timestamp": "2024-03-01T12:00:10Z", name: []},
    ]  # fmt: skip

    acts, _ = kept_of(tmp_path, rows)

    assert told(acts, *WHAT, "position", "text", "answer") == [
        ("search", None, None, "oat milk", "q1"), ("impression", "p1", 1, "oat milk", "q1"),
        ("impression", "p2", 2, "oat milk", "q1"), ("search", None, None, "nothing", "q2"),
    ]  # fmt: skip


SNOWPLOW = "com_snowplowanalytics_snowplow_ecommerce"


def snowplow(kind: str, seconds: int, **fields: Any) -> dict[str, Any]:
    time = f"2024-03-01T12:00:{seconds:02}.000Z"
    return {
        "app_id": "shop", "event_id": f"e{seconds}", "event_name": "snowplow_ecommerce_action",
        "collector_tstamp": time, "dvce_created_tstamp": time, "dvce_sent_tstamp": time,
        "derived_tstamp": time, "domain_userid": "d1", "domain_sessionid": "s1", "user_id": None,
        "useragent": "Mozilla/5.0 Chrome/126",
        f"unstruct_event_{SNOWPLOW}_snowplow_ecommerce_action_1": {"type": kind, "name": "best"},
    } | fields  # fmt: skip


def entity(name: str, *values: dict[str, Any]) -> dict[str, Any]:
    return {f"contexts_{SNOWPLOW}_{name}_1": list(values)}


def sold(name: str, price: float, **fields: Any) -> dict[str, Any]:
    return {"id": name, "category": "milk", "price": price, "currency": "EUR"} | fields


def test_events_of_snowplow(tmp_path: Path) -> None:
    rows = [
        snowplow("page", 0, event_name="page_view"),
        snowplow("list_view", 1, **entity(
            "product", sold("p1", 2, position=1), sold("p2", 1, position=2))),
        snowplow("product_view", 2, **entity("product", sold("p2", 1))),
        snowplow("add_to_cart", 3, **entity("product", sold("p2", 1, quantity=2))),
        snowplow("checkout_step", 4),
        snowplow("transaction", 5, user_id="u1", **entity(
            "product", sold("p2", 1, quantity=2), sold("p3", 2.99, quantity=1)),
            **entity("transaction", {"transaction_id": "T1", "revenue": 4.99, "currency": "EUR"})),
        snowplow("refund", 6, user_id="u1", **entity(
            "refund", {"transaction_id": "T1", "refund_amount": 4.99, "currency": "EUR"})),
    ]  # fmt: skip
    rows[0][f"unstruct_event_{SNOWPLOW}_snowplow_ecommerce_action_1"] = None

    acts, report = kept_of(tmp_path, rows)

    assert told(acts, *WHAT, "position", "quantity") == [
        ("impression", "p1", 1, 1), ("impression", "p2", 2, 1), ("view", "p2", None, 1),
        ("add_to_cart", "p2", None, 2), ("purchase", "p2", None, 2), ("purchase", "p3", None, 1),
        ("refund", None, None, 1),
    ]  # fmt: skip
    assert told(acts[4:], *WHO, "value", "value_micros", "currency") == [
        ("u1", "d1", "T1", "T1", 2.0, 4_990_000, "EUR"),
        ("u1", "d1", "T1", "T1", 2.99, 4_990_000, "EUR"),
        ("u1", "d1", "T1", "T1", 4.99, 4_990_000, "EUR"),
    ]
    assert report.events_ignored == {"page_view": 1, "checkout_step": 1}


def segment(event: str | None, seconds: int, **properties: Any) -> dict[str, Any]:
    time = f"2024-03-01T12:00:{seconds:02}.000Z"
    return {
        "type": "track" if event else "page", "event": event, "messageId": f"m{seconds}",
        "anonymousId": "a1", "userId": None, "timestamp": time, "originalTimestamp": time,
        "sentAt": time, "receivedAt": time, "properties": properties,
        "context": {"userAgent": "Mozilla/5.0 Chrome/126", "consent": {
            "categoryPreferences": {"Analytics": True, "Advertising": False}}},
    }  # fmt: skip


def test_events_of_segment(tmp_path: Path) -> None:
    two = [
        {"product_id": "p2", "sku": "A2", "price": 1.0, "quantity": 2, "position": 1},
        {"product_id": "p3", "sku": "A3", "price": 2.99, "quantity": 1, "position": 2},
    ]
    rows = [
        segment(None, 0, url="/"),
        segment("Products Searched", 1, query="oat milk"),
        segment("Product List Viewed", 2, list_id="best", products=two),
        segment("Product Viewed", 3, product_id="p2", price=1.0, currency="EUR"),
        segment("Checkout Started", 4, order_id="T1", products=two),
        segment("Order Completed", 5, order_id="T1", total=4.99, currency="EUR", products=two),
        segment("Order Cancelled", 6, order_id="T1", total=4.99, currency="EUR", products=two),
        segment("Product Reviewed", 7, product_id="p2", rating="4.5"),
    ]
    rows[5]["userId"] = rows[6]["userId"] = "u1"

    acts, report = kept_of(tmp_path, rows)

    assert told(acts, *WHAT, "position", "value", "order") == [
        ("search", None, None, None, ""),
        ("impression", "p2", 1, 2.0, ""), ("impression", "p3", 2, 2.99, ""),
        ("view", "p2", None, 1.0, ""),
        ("purchase", "p2", 1, 2.0, "T1"), ("purchase", "p3", 2, 2.99, "T1"),
        ("refund", "p2", 1, 2.0, "T1"), ("refund", "p3", 2, 2.99, "T1"),
        ("rating", "p2", None, 4.5, ""),
    ]  # fmt: skip
    assert told(acts[4:5], *WHO) == [("u1", "a1", "T1", "T1")]
    assert acts[0]["consent"] == {"search": None, "recommend": True, "ads": False, "train": True}
    assert report.events_ignored == {"page": 1, "Checkout Started": 1}


def variant(name: str, amount: Any) -> dict[str, Any]:
    return {"id": name, "sku": f"S{name}", "title": "x", "product": {"id": f"9{name}"},
            "price": {"amount": amount, "currencyCode": "EUR"}}  # fmt: skip


def pixel(name: str, seconds: int, **data: Any) -> dict[str, Any]:
    return {
        "id": f"sh-{seconds}", "name": name, "clientId": "c1", "type": "standard", "seq": seconds,
        "timestamp": f"2024-03-01T12:00:{seconds:02}.000Z", "data": data,
        "context": {"navigator": {"userAgent": "Mozilla/5.0 Chrome/126"}},
    }  # fmt: skip


def test_events_of_a_shopify_pixel(tmp_path: Path) -> None:
    lines = [
        {"id": "l1", "quantity": 2, "variant": variant("p2", 1.0),
         "finalLinePrice": {"amount": 2.0, "currencyCode": "EUR"}},
        {"id": "l2", "quantity": 1, "variant": variant("p3", "2.99")},
    ]  # fmt: skip
    cart_line = {"quantity": 2, "merchandise": variant("p2", 1.0),
                 "cost": {"totalAmount": {"amount": 2.0, "currencyCode": "EUR"}}}  # fmt: skip
    rows = [
        pixel("page_viewed", 0),
        pixel("search_submitted", 1, searchResult={
            "query": "oat milk", "productVariants": [variant("p1", 2.0)]}),
        pixel("collection_viewed", 2, collection={
            "id": "best", "productVariants": [variant("p1", 2.0), variant("p2", 1.0)]}),
        pixel("product_viewed", 3, productVariant=variant("p2", 1.0)),
        pixel("product_added_to_cart", 4, cartLine=cart_line),
        pixel("checkout_started", 5, checkout={"token": "k", "lineItems": lines}),
        pixel("checkout_completed", 6, checkout={
            "order": {"id": "gid://shopify/OrderIdentity/1001?x=1", "customer": {"id": "u1"}},
            "currencyCode": "EUR", "token": "k", "lineItems": lines,
            "totalPrice": {"amount": 4.99, "currencyCode": "EUR"}}),
    ]  # fmt: skip

    acts, report = kept_of(tmp_path, rows)

    assert told(acts, *WHAT, "position", "text", "list") == [
        ("search", None, None, "oat milk", ""), ("impression", "p1", 1, "oat milk", ""),
        ("impression", "p1", 1, "", "best"), ("impression", "p2", 2, "", "best"),
        ("view", "p2", None, "", ""), ("add_to_cart", "p2", None, "", ""),
        ("purchase", "p2", None, "", ""), ("purchase", "p3", None, "", ""),
    ]  # fmt: skip
    assert told(acts[5:], *WHO[:2], "order", "quantity", "value", "price_micros", "currency") == [
        ("visitor/c1", "c1", "", 2, 2.0, 1_000_000, "EUR"),
        ("u1", "c1", "1001", 2, 2.0, 1_000_000, "EUR"),
        ("u1", "c1", "1001", 1, 2.99, 2_990_000, "EUR"),
    ]
    assert report.events_ignored == {"page_viewed": 1, "checkout_started": 1}


def test_events_of_metarank(tmp_path: Path) -> None:
    same = {"timestamp": "1709294400123", "user": "u1", "session": "s1"}
    query = [{"name": "query", "value": "oat milk"}, {"name": "source", "value": "search"}]
    rows = [
        {"event": "item", "id": "m1", "item": "p1", "timestamp": "1709294300000",
         "fields": [{"name": "price", "value": 2}]},
        {"event": "ranking", "id": "r1", "fields": query,
         "items": [{"id": "p1", "fields": [{"name": "relevancy", "value": 2.0}]}, {"id": "p2"}],
         **same},
        {"event": "interaction", "id": "i1", "ranking": "r1", "type": "click", "item": "p2",
         "fields": [], **same},
        {"event": "interaction", "id": "i2", "ranking": "r1", "type": "purchase", "item": "p2",
         "fields": [{"name": "quantity", "value": 2}], **same},
    ]  # fmt: skip

    acts, report = kept_of(tmp_path, rows)

    found = told(acts, *WHAT, "position", "quantity", "text", "answer")
    assert sorted(found, key=str) == sorted([
        ("impression", "p1", 1, 1, "oat milk", ""), ("impression", "p2", 2, 1, "oat milk", ""),
        ("click", "p2", None, 1, "", "r1"), ("purchase", "p2", None, 2, "", "r1"),
    ], key=str)  # fmt: skip
    assert {act["at"] for act in acts} == {NOON.replace(microsecond=123_000)}
    assert report.events_ignored == {"item": 1}


@pytest.mark.parametrize("name", ["log.json", "log.csv"])
def test_feedback_of_gorse(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, Any]] = [
        {"FeedbackType": "read", "UserId": "u1", "ItemId": "p1", "Value": 0,
         "Timestamp": "2024-03-01T12:00:00Z", "Comment": ""},
        {"FeedbackType": "purchase", "UserId": "u1", "ItemId": "p1", "Value": 0,
         "Timestamp": "2024-03-01T12:00:01Z", "Comment": ""},
        {"FeedbackType": "purchase", "UserId": "u1", "ItemId": "p1", "Value": 0,
         "Timestamp": "2024-03-02T12:00:01Z", "Comment": ""},
        {"FeedbackType": "rating", "UserId": "u1", "ItemId": "p2", "Value": 4.5,
         "Timestamp": "2024-03-01T12:00:02Z", "Comment": ""},
    ]  # fmt: skip
    table = "feedback_type,user_id,item_id,time_stamp,value\n" + "".join(
        f"{row['FeedbackType']},{row['UserId']},{row['ItemId']},{row['Timestamp']},{row['Value']}\n"
        for row in rows
    )

    acts, _ = kept_of(tmp_path, rows if name == "log.json" else table, name)

    assert told(acts, *WHAT, "quantity", "value") == [
        ("view", "p1", 1, None), ("purchase", "p1", 1, None), ("rating", "p2", 1, 4.5),
        ("purchase", "p1", 1, None),
    ]  # fmt: skip


def test_lists_as_old_writers_of_parquet_name_them(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text(PRODUCTS)
    table = pa.Table.from_pylist(GA4)
    pq.write_table(table, tmp_path / "x.parquet", use_compliant_nested_type=False)

    acts, _ = kept_of(tmp_path, (tmp_path / "x.parquet").read_bytes(), "log.parquet")

    assert len(acts) == 9


def test_a_log_in_which_the_first_hundred_acts_show_no_product_is_recognised(
    tmp_path: Path,
) -> None:
    look = GOOGLE[0] | {"sessionId": "s", "userInfo": {"userId": "u1"}}
    looks = [look | {"eventTime": f"2024-03-01T11:{n // 60:02}:{n % 60:02}Z"} for n in range(150)]

    acts, report = kept_of(tmp_path, [*looks, *GOOGLE])

    assert len(acts) == 7
    assert report.events_ignored == {"home-page-view": 151}
