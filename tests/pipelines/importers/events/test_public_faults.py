"""Faults that others met in public with logs of analytics, each in several shapes, read right.

Numbers are those of the collection that they were taken from; where a repository had the fault,
its name is given.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from index import Columns
from pipelines.importers.exports.auto import plan
from pipelines.importers.mapping import Mapping
from pipelines.importers.table import import_table
from pipelines.progress import silent
from pipelines.shop.purchases.log import read_purchases
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop
from tests.assertions import every
from tests.pipelines.importers.events.shapes import (
    COLUMNS,
    JSON_SHAPES,
    NOON,
    TABLE,
    Line,
    Told,
    ga4,
    written,
)
from tests.pipelines.importers.exports.analytics import acts_of, kept_of, told

SHAPES = (*JSON_SHAPES, TABLE)
THREE = ("Google Analytics", "Segment", "Snowplow")
PRODUCTS = [
    {"id": f"p{n}", "title": f"Cup {n}", "sku": f"A{n}", "gtin": f"401234500{n:04}",
     "group": f"g{n // 3}"} for n in range(1, 7)
]  # fmt: skip
COLUMNS_OF_PRODUCTS = {
    "columns": {"id": "id", "title": "title", "item_group_id": "group"},
    "attributes": {"sku": "sku", "gtin": "gtin"},
}


def kept(
    folder: Path, acts: list[Told], shape: str, match: str = "", **mapping: Any
) -> tuple[list[dict[str, Any]], QualityReport]:
    """Import acts in a shape, as `vetrina import auto` recognises it."""
    name, content = written(acts, shape)
    (folder / "products.json").write_bytes(msgspec.json.encode(PRODUCTS))
    (folder / name).write_bytes(content)
    columns: Any = COLUMNS
    if shape != TABLE:
        columns = plan(folder / "products.json", folder / name).raw["events"]
    raw = COLUMNS_OF_PRODUCTS | {"events": columns | {"match": match}} | mapping
    report = import_table(
        folder / "products.json",
        folder / "shop",
        msgspec.convert(raw, Mapping),
        silent,
        events=folder / name,
    )
    return acts_of(folder / "shop"), report


def buy(seconds: float = 0, order: Any = "T1", *lines: Line, **fields: Any) -> Told:
    what = lines or (Line("p1", 2, 1.5), Line("p2", 1, 2.0))
    return Told("purchase", seconds, what, order=order, currency="EUR", **fields)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("later", [5, 86_400 * 200])
def test_1_a_page_of_thanks_that_is_opened_again_sells_nothing(
    tmp_path: Path, shape: str, later: int
) -> None:
    """Velir/dbt-ga4 #193: the same transaction again after seconds, or after months by a robot."""
    acts, report = kept(tmp_path, [buy(0), buy(later), buy(later + 1, visitor="robot")], shape)

    assert told(acts, "type", "product", "order") == [
        ("purchase", "p1", "T1"), ("purchase", "p2", "T1")
    ]  # fmt: skip
    assert any("lines tell an order again" in note for note in report.notes)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("nothing", [None, "(not set)", "null", "undefined"])
def test_1_purchases_without_an_order_are_each_bought(
    tmp_path: Path, shape: str, nothing: str | None
) -> None:
    acts, _ = kept(tmp_path, [buy(0, nothing), buy(60, nothing)], shape)

    assert told(acts, "product", "order") == [("p1", ""), ("p2", "")] * 2


@pytest.mark.parametrize("shape", JSON_SHAPES)
def test_2_two_taggings_of_one_act_that_differ_in_counters_are_one(
    tmp_path: Path, shape: str
) -> None:
    """Velir/dbt-ga4 #335: fields of the batch defeat a comparison of whole rows."""
    view = Told("view", 7.25, (Line("p1"),))
    twice = [view._replace(more={"batch_ordering_id": n, "batch_page_id": n}) for n in (1, 2)]

    acts, report = kept(tmp_path, [*twice, view._replace(seconds=7.75)], shape)

    assert len(acts) == 2
    assert any("1 lines tell an act again in other words" in note for note in report.notes)


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
def test_3_items_that_gain_a_list_overnight_are_read_as_before(tmp_path: Path, name: str) -> None:
    """Velir/dbt-ga4 #280 and #289: `items` gained the repeated `item_params`."""
    old, new = ga4(buy(0, "T1")), ga4(buy(60, "T2"))
    for one in new["items"]:
        one["item_params"] = [{"key": "colour", "value": {"string_value": "red"}}]

    acts, _ = kept_of(tmp_path, [old, new], name)

    assert told(acts, "product", "order") == [
        ("p1", "T1"), ("p2", "T1"), ("p1", "T2"), ("p2", "T2")
    ]  # fmt: skip


def test_4_the_day_of_an_event_is_that_of_its_instant_in_the_shop_s_zone(tmp_path: Path) -> None:
    """Velir/dbt-ga4 #144: `event_date` is of the property's zone, `event_timestamp` of UTC."""
    row = ga4(buy(12 * 3_600)) | {"event_date": "20240301"}  # midnight in UTC

    acts, _ = kept_of(tmp_path, [row], timezone="America/New_York")

    assert {str(act["time"]) for act in acts} == {"2024-03-01 19:00:00"}
    assert {act["at"].isoformat() for act in acts} == {"2024-03-02T00:00:00+00:00"}


@pytest.mark.parametrize("shape", SHAPES)
def test_5_acts_of_nobody_are_kept_as_those_of_nobody_else(tmp_path: Path, shape: str) -> None:
    """google_analytics_flattener_ga4 #22: a key column that was null made ids null."""
    acts, report = kept(tmp_path, [buy(0, None, visitor=None), buy(9, None, visitor=None)], shape)

    assert len(acts) == 4
    assert every(act["user"] and act["visitor"] == "" for act in acts)
    assert report.refused == {}


@pytest.mark.parametrize("shape", SHAPES)
def test_6_events_that_a_library_sends_twice_count_once(tmp_path: Path, shape: str) -> None:
    """firebase-unity-sdk #425."""
    acts = [Told("view", 7, (Line("p1"),)), buy(8), Told("view", 9, (Line("p1"),))]

    found, _ = kept(tmp_path, [act for act in acts for _ in range(3)], shape)

    assert told(found, "type") == [("view",), ("purchase",), ("purchase",), ("view",)]


@pytest.mark.parametrize("shape", SHAPES)
def test_7_a_purchase_of_the_parent_is_named_where_the_feed_has_variants(
    tmp_path: Path, shape: str
) -> None:
    """google-listings-and-ads #3290: every purchase was of a product that the feed lacks."""
    _, report = kept(tmp_path, [buy(0, "T1", Line("g1"), Line("g2"))], shape)

    assert report.id_match is not None
    best = report.id_match.best
    assert best is not None
    assert (best.field, best.events, best.one_to_one) == ("group", 2, False)


@pytest.mark.parametrize("shape", SHAPES)
def test_8_a_mixture_of_barcodes_and_ids_is_mended(tmp_path: Path, shape: str) -> None:
    """odoo #285010 and #287152: an id is the barcode or the number."""
    lines = (Line("4012345000001"), Line("4012345000002"), Line("p3"))

    acts, _ = kept(tmp_path, [buy(0, "T1", *lines)], shape, "auto")

    assert told(acts, "product") == [("p1",), ("p2",), ("p3",)]


@pytest.mark.parametrize("shape", SHAPES)
def test_9_10_a_log_of_article_numbers_finds_products_by_them(tmp_path: Path, shape: str) -> None:
    """shopware #13875 and Smartstore #1576: the log has the number, the feed the internal id."""
    acts, report = kept(tmp_path, [buy(0, "T1", Line("A1"), Line("A2"))], shape, "sku")

    assert told(acts, "product") == [("p1",), ("p2",)]
    assert report.id_match is not None
    assert [one.field for one in report.id_match.taken] == ["sku"]


@pytest.mark.parametrize("shape", THREE)
def test_11_14_acts_that_name_a_product_in_two_ways_find_one(tmp_path: Path, shape: str) -> None:
    """cornerstone #1523 and facebook-for-woocommerce #2018: each kind of act has its own id."""
    shown = Told("impression", 0, (Line("p1"), Line("p2")))
    acts, _ = kept(tmp_path, [shown, buy(5, "T1", Line("A1"), Line("A2"))], shape, "auto")

    assert told(acts, "product") == [("p1",), ("p2",), ("p1",), ("p2",)]


def test_12_the_parent_of_a_variant_is_found_in_its_own_column(tmp_path: Path) -> None:
    """gtm4wp #327: the view has the variant, and what the feed lists is the parent."""
    data = {"productVariant": {"id": "991", "sku": "none", "product": {"id": "p1"}}}
    rows = [
        {"id": f"e{n}", "name": "product_viewed", "clientId": "c1", "type": "standard", "seq": n,
         "timestamp": f"2024-03-01T12:00:{n:02}Z", "data": data, "context": {}}
        for n in range(3)
    ]  # fmt: skip

    _, report = kept_of(tmp_path, rows)

    assert report.id_match is not None
    best = report.id_match.best
    assert best is not None
    assert (best.column, best.field) == ("data.productVariant.product.id", "id")


@pytest.mark.parametrize("shape", SHAPES)
def test_15_a_parent_and_its_variant_in_one_purchase_are_two_lines(
    tmp_path: Path, shape: str
) -> None:
    """Yireo_GoogleTagManager2 #118."""
    acts, report = kept(tmp_path, [buy(0, "T1", Line("g1", 1, 2.0), Line("p3", 1, 2.0))], shape)

    assert told(acts, "product", "order") == [("g1", "T1"), ("p3", "T1")]
    assert report.id_match is not None
    assert [(by.field, by.events) for by in report.id_match.found] == [("id", 1), ("group", 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_17_one_order_with_a_global_id_and_a_number_is_one(tmp_path: Path, shape: str) -> None:
    """Shopify/cli #1630."""
    twice = [buy(0, "gid://shopify/OrderIdentity/1001"), buy(60, "1001")]

    acts, _ = kept(tmp_path, twice, shape)

    assert told(acts, "order") == [("1001",), ("1001",)]


@pytest.mark.parametrize("shape", SHAPES)
def test_18_19_prices_and_quantities_that_are_texts_are_read(tmp_path: Path, shape: str) -> None:
    """checkout-sheet-kit-react-native #109 and gaectk #29: analytics drop what is a text."""
    acts, _ = kept(tmp_path, [buy(0, "T1", Line("p1", "2", "1299.50"), Line("p2"))], shape)

    assert told(acts, "quantity", "price_micros", "value") == [
        (2, 1_299_500_000, 2_599.0), (1, None, None)
    ]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_20_21_acts_that_two_tags_send_are_told_in_the_report(tmp_path: Path, shape: str) -> None:
    """gtm-datalayer-for-shopify #1, liquid-ajax-cart #64: a cart twice within half a second."""
    carts = [Told("add_to_cart", 7 + n / 3, (Line("p1"),)) for n in range(2)]

    acts, report = kept(tmp_path, [*carts, Told("add_to_cart", 60, (Line("p1"),))], shape)

    assert len(acts) == 3
    assert any("1 acts repeat the last one" in note for note in report.notes)


@pytest.mark.parametrize("shape", SHAPES)
def test_22_23_a_checkout_is_no_purchase_however_often_it_begins(
    tmp_path: Path, shape: str
) -> None:
    """Yireo_GoogleTagManager2 #308, gtm4wp #424."""
    begun = [Told("begin_checkout", n, (Line("p1"),)) for n in range(3)]

    acts, report = kept(tmp_path, [*begun, Told("view", 9, (Line("p1"),))], shape)

    assert told(acts, "type") == [("view",)]
    assert sum(report.events_ignored.values()) == 3
    assert report.refused == {}


@pytest.mark.parametrize("shape", THREE)
def test_22_a_payment_that_was_cancelled_is_taken_back(tmp_path: Path, shape: str) -> None:
    cancelled = Told("refund", 60, (Line("p1", 2, 1.5),), order="T1", visitor="server")

    acts, _ = kept(tmp_path, [buy(0), cancelled], shape)

    assert told(acts, "type", "user", "order")[-1] == ("refund", "visitor/v1", "T1")


def test_24_25_26_each_act_has_the_consent_that_it_was_sent_with(tmp_path: Path) -> None:
    """gtm4wp #380, woocommerce-google-analytics-integration #399, weaverse #459."""
    rows = [
        ga4(Told("view", n, (Line("p1"),))) | {"privacy_info": {
            "analytics_storage": said, "ads_storage": said, "uses_transient_token": "No"}}
        for n, said in enumerate(["Unset", "No", "Yes", "whatever", None])
    ]  # fmt: skip

    acts, report = kept_of(tmp_path, rows)

    assert [act["consent"]["train"] for act in acts] == [None, False, True, False, None]
    assert any("consent that says neither" in one.kind for one in report.remarks)


def test_24_who_is_known_for_one_visit_alone_is_nobody(tmp_path: Path) -> None:
    info = {"analytics_storage": None, "ads_storage": None, "uses_transient_token": "Yes"}
    row = ga4(Told("view", 0, (Line("p1"),), user="u1")) | {"privacy_info": info}

    [act], _ = kept_of(tmp_path, [row])

    assert (act["user"], act["visitor"]) == ("anonymous:1", "")
    assert act["consent"] == {"search": None, "recommend": False, "ads": None, "train": False}


def clocks(shape: str, created: float, sent: float, received: float, n: int) -> dict[str, Any]:
    """Return an act whose clocks say so many seconds after noon."""
    at = [Told("", one).at.isoformat() for one in (created, sent, received)]
    view = Told("view", received - (sent - created), (Line(f"p{n}"),))
    names = ("dvce_created_tstamp", "dvce_sent_tstamp", "collector_tstamp")
    if shape == "Segment":
        names = ("originalTimestamp", "sentAt", "receivedAt")
    return JSON_SHAPES[shape](view) | dict(zip(names, at, strict=True))


@pytest.mark.parametrize("shape", ["Segment", "Snowplow"])
def test_27_the_way_of_a_message_does_not_reorder_one_device(tmp_path: Path, shape: str) -> None:
    """PostHog #98250: acts were moved by the 15 and 32 seconds that messages took."""
    rows = [clocks(shape, 0, 1, 33, 1), clocks(shape, 10, 11, 26, 2)]

    acts, _ = kept_of(tmp_path, rows)

    assert [(act["product"], act["at"]) for act in acts] == [
        ("p1", NOON), ("p2", Told("", 10).at)
    ]  # fmt: skip


@pytest.mark.parametrize("shape", ["Segment", "Snowplow"])
def test_28_what_waited_offline_was_when_its_device_says(tmp_path: Path, shape: str) -> None:
    """snowplow #3921."""
    [act], _ = kept_of(tmp_path, [clocks(shape, 0, 7_200, 7_201, 1)])

    assert act["at"] == NOON


@pytest.mark.parametrize("shape", ["Segment", "Snowplow"])
def test_31_a_clock_that_is_a_day_behind_is_put_right_and_keeps_the_order(
    tmp_path: Path, shape: str
) -> None:
    """logtide #282: a host 27 hours behind."""
    behind = -27 * 3_600
    rows = [clocks(shape, behind, behind + 1, 1, 1), clocks(shape, behind + 1, behind + 2, 40, 2)]

    acts, report = kept_of(tmp_path, rows)

    assert [act["product"] for act in acts] == ["p1", "p2"]
    assert 0 <= (acts[0]["at"] - NOON).total_seconds() <= 40
    assert (acts[1]["at"] - acts[0]["at"]).total_seconds() == 1
    assert any("2 times are corrected" in note for note in report.notes)


@pytest.mark.parametrize("shape", SHAPES)
def test_29_an_event_of_the_future_pulls_nothing(tmp_path: Path, shape: str) -> None:
    """laminardb #388: one event two hours ahead stopped all that came after it."""
    future = Told("view", 86_400 * 365 * 60, (Line("p1"),))

    acts, report = kept(tmp_path, [buy(0), future, buy(60, "T2")], shape)

    assert len(acts) == 4
    assert report.refused == {"event: future time": 1}
    assert "lies in the future" in report.examples[0].reason


@pytest.mark.parametrize("shape", ["Segment", "Snowplow"])
def test_29_a_time_after_its_arrival_is_that_of_the_arrival(tmp_path: Path, shape: str) -> None:
    name = "receivedAt" if shape == "Segment" else "collector_tstamp"
    act = Told("view", 7_200, (Line("p1"),), more={name: NOON.isoformat()})

    [found], report = kept_of(tmp_path, [JSON_SHAPES[shape](act)])

    assert found["at"] == NOON
    assert any("1 times lay after the event was taken" in note for note in report.notes)


@pytest.mark.parametrize("shape", ["Segment", "Snowplow"])
def test_30_the_time_of_the_client_counts_and_not_the_arrival(tmp_path: Path, shape: str) -> None:
    """opslane #62."""
    [act], _ = kept_of(tmp_path, [clocks(shape, 0, 1, 20, 1)])

    assert act["at"] == NOON


def net(acts: list[dict[str, Any]]) -> dict[str, float]:
    """Return the pieces of each product that were bought less those that were paid back."""
    pieces: Counter[str] = Counter()
    for act in acts:
        sign = {"purchase": 1, "refund": -1}.get(act["type"], 0)
        pieces[act["product"]] += sign * act["quantity"]
    return dict(pieces)


@pytest.mark.parametrize("shape", THREE)
def test_32_a_part_and_then_the_whole_paid_back_leave_other_orders_whole(
    tmp_path: Path, shape: str
) -> None:
    """woocommerce #66505."""
    line = Line("p1", 2, 1.5)
    kept(
        tmp_path,
        [
            buy(0, "T0", Line("p1", 1, 1.5)),
            buy(10, "T1", line),
            Told("refund", 20, (Line("p1", 1, 1.5),), order="T1"),
            Told("refund", 30, (line,), order="T1"),
        ],
        shape,
    )

    columns = Columns(pa.table({"id": [one["id"] for one in PRODUCTS]}))
    log = read_purchases(Shop(tmp_path / "shop"), columns, None)

    start = int(NOON.timestamp())
    assert np.array_equal(log.purchases.seconds, [start])


@pytest.mark.parametrize("shape", THREE)
def test_33_34_a_refund_has_positive_pieces_and_is_none_bought(tmp_path: Path, shape: str) -> None:
    """woocommerce-admin #6628, odoo #25380: returned pieces were sold, or fewer than none were."""
    back = Told("refund", 60, (Line("p1", 2, 1.5),), order="T1")
    negative = Told("refund", 60, (Line("p1", -2, -1.5),), order="T9")

    acts, report = kept(tmp_path, [buy(0), back, negative], shape)

    refunds = [act for act in acts if act["type"] == "refund"]
    assert told(refunds, "quantity", "value", "order") == [(2, 3.0, "T1"), (2, 3.0, "T9")]
    assert net(acts) == {"p1": -2, "p2": 1}
    assert report.refused == {}


QUERIES = ["43b15df305339e827f0ac0bdc5ebcaa7", "0123456789abcdef0123456789abcdef"]


def algolia(**fields: Any) -> dict[str, Any]:
    same = {"eventName": "x", "index": "products", "timestamp": 1_709_294_400_000}
    return (
        same | {"eventType": "conversion", "eventSubtype": "purchase", "userToken": "v1"} | fields
    )


def test_35_each_line_of_a_purchase_has_its_own_search(tmp_path: Path) -> None:
    """algoliasearch-client-csharp #868."""
    data = [{"queryID": one, "price": 1, "quantity": 1} for one in QUERIES]
    rows = [algolia(objectIDs=["p1", "p2", "p3"], objectData=data, queryID="c" * 32)]

    acts, _ = kept_of(tmp_path, rows)

    assert told(acts, "product", "answer") == [
        ("p1", QUERIES[0]), ("p2", QUERIES[1]), ("p3", "c" * 32)
    ]  # fmt: skip


def test_36_tokens_that_are_numbers_and_ids_with_backslashes_stay(tmp_path: Path) -> None:
    """vue-instantsearch #914."""
    rows = [algolia(userToken=12345, objectIDs=["a\\b", 'c"d'])]

    acts, report = kept_of(tmp_path, rows)

    assert told(acts, "user", "product") == [("visitor/12345", "a\\b"), ("visitor/12345", 'c"d')]
    assert report.refused == {}


def ubi(n: int = 0, **fields: Any) -> dict[str, Any]:
    return {"action_name": "click", "query_id": "q1", "client_id": "c1", "message_type": "CLICK",
            "timestamp": f"2024-03-01T12:00:{n:02}Z",
            "event_attributes": {"object": {"object_id": "p1"}}} | fields  # fmt: skip


def test_39_attributes_without_bound_do_not_grow_what_is_kept(tmp_path: Path) -> None:
    """documentation-website #7284: each event brought new names, and the index had all."""
    shown = {"object": {"object_id": "p1"}}
    rows = [ubi(n, event_attributes=shown | {f"k{n}_{i}": i for i in range(99)}) for n in range(50)]

    acts, _ = kept_of(tmp_path, rows)

    assert len(acts) == 50
    assert len(acts[0]) == 24


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("nothing", ["(not set)", "undefined", "null", "", None])
def test_words_for_nothing_are_no_products(tmp_path: Path, shape: str, nothing: str | None) -> None:
    acts, report = kept(tmp_path, [buy(0, "T1", Line("p1"), Line(nothing))], shape)

    assert told(acts, "product") == [("p1",)]
    assert report.refused == {"event: no product": 1}


@pytest.mark.parametrize("shape", JSON_SHAPES)
def test_two_hundred_and_one_lines_are_all_bought(tmp_path: Path, shape: str) -> None:
    lines = [Line("p1", n + 1) for n in range(201)]

    acts, _ = kept(tmp_path, [buy(0, "T1", *lines)], shape)

    assert [act["quantity"] for act in acts] == list(range(1, 202))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("currency", "price", "micros"), [
    ("JPY", 1_980, 1_980_000_000), ("KWD", "1.255", 1_255_000), ("EUR", 0.1, 100_000),
    ("EUR", 167_772.17, 167_772_170_000),
])  # fmt: skip
def test_money_is_exact_in_every_currency(
    tmp_path: Path, shape: str, currency: str, price: Any, micros: int
) -> None:
    act = buy(0, "T1", Line("p1", 1, price), Line("p2", 1, price))._replace(currency=currency)

    acts, _ = kept(tmp_path, [act], shape, currency=currency)

    assert told(acts, "price_micros", "currency") == [(micros, currency)] * 2


@pytest.mark.parametrize("shape", SHAPES)
def test_an_amount_without_a_currency_is_counted(tmp_path: Path, shape: str) -> None:
    acts, report = kept(tmp_path, [buy(0)._replace(currency=None)], shape)

    assert told(acts, "value", "currency") == [(3.0, ""), (2.0, "")]
    assert any("2 amounts name no currency" in note for note in report.notes)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pieces", [0, 10**9, "many", True, [1]])
def test_pieces_that_cannot_be_are_refused_with_their_line(
    tmp_path: Path, shape: str, pieces: Any
) -> None:
    acts, report = kept(tmp_path, [buy(0, "T1", Line("p1", pieces), Line("p2"))], shape)

    assert told(acts, "product") == [("p2",)]
    assert report.refused == {"event: impossible quantity": 1}
    assert report.examples[0].reason.startswith("quantity ")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_negative_price_of_a_cart_is_refused_and_of_a_purchase_a_refund(
    tmp_path: Path, shape: str
) -> None:
    cart = Told("add_to_cart", 0, (Line("p1", 1, -2.0), Line("p2", 1, 2.0)))

    acts, report = kept(tmp_path, [cart, buy(5, "T1", Line("p1", 1, -2.0))], shape)

    assert told(acts, "type", "product", "value") == [
        ("add_to_cart", "p2", 2.0), ("refund", "p1", 2.0)
    ]  # fmt: skip
    assert report.refused == {"event: impossible price": 1}


@pytest.mark.parametrize("shape", SHAPES)
def test_ids_in_other_forms_of_letters_find_their_product(tmp_path: Path, shape: str) -> None:
    acts, _ = kept(tmp_path, [buy(0, "T1", Line("ｐ1"), Line("Ｐ２"))], shape, "auto")

    assert told(acts, "product") == [("p1",), ("p2",)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_visitor_who_logs_in_keeps_both_names(tmp_path: Path, shape: str) -> None:
    before = Told("add_to_cart", 0, (Line("p1"),))
    after = Told("add_to_cart", 9, (Line("p2"),), user="u1")

    acts, _ = kept(tmp_path, [before, after], shape)

    assert told(acts, "user", "visitor") == [("visitor/v1", "v1"), ("u1", "v1")]


@pytest.mark.parametrize("shape", SHAPES)
def test_empty_lists_of_products_are_left_out_and_counted(tmp_path: Path, shape: str) -> None:
    acts, report = kept(tmp_path, [buy(0), Told("view", 5), Told("view", 6)], shape)

    assert told(acts, "type") == [("purchase",)] * 2
    assert report.refused == {"event: no product": 2}


def test_a_refund_of_a_whole_order_names_no_product(tmp_path: Path) -> None:
    back = Told("refund", 60, order="T1", total=5.0, currency="EUR")

    acts, _ = kept(tmp_path, [buy(0), back], "Snowplow")

    [refund] = told(acts, "type", "product", "order", "user")[2:]
    assert refund == ("refund", None, "T1", "visitor/v1")
