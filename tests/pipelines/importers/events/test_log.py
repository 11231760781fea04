"""What becomes of a log, from its file to the events of the shop."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.errors import ConfigError, ShopError
from pipelines.importers.events import duplicates
from pipelines.importers.mapping import Mapping, placed
from pipelines.importers.table import import_table
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop

PRODUCTS = "id,title,price\np1,Oat milk,2\np2,Whole milk,1\np3,Rye bread,3\n"
BASKETS = {"user": "u", "session": "o", "time": "t", "product": "p", "quantity": "n", "value": "v"}
ACTS = {"user": "u", "time": "t", "product": "p", "type": "e", "text": "q"}


def mapping_of(events: dict[str, Any]) -> Mapping:
    raw = {"columns": {"id": "id", "title": "title", "price": "price"}, "events": events}
    return msgspec.convert(raw, Mapping)


def imported(
    folder: Path,
    log: str,
    columns: dict[str, Any],
    *,
    products: str = PRODUCTS,
    name: str = "log.csv",
) -> tuple[list[dict[str, Any]], QualityReport]:
    (folder / "products.csv").write_text(products, encoding="utf-8")
    (folder / name).write_text(log, encoding="utf-8")
    source, mapping = folder / "products.csv", mapping_of(columns)
    report = import_table(source, folder / "shop", mapping, silent, events=folder / name)
    batches = Shop(folder / "shop").event_batches()
    return [row for batch in batches for row in batch.to_pylist()], report


def acts(*rows: str) -> str:
    return "\n".join(["u,t,p,e,q", *rows]) + "\n"


@pytest.mark.parametrize("mistakes", [0, 150])
def test_the_first_refused_event_is_named_whatever_is_wrong_with_products(
    tmp_path: Path, mistakes: int
) -> None:
    products = PRODUCTS + "".join(f"q{i},Cup {i},3\n" for i in range(200))
    products += "".join(f"q{i},Cup {i} again,3\n" for i in range(mistakes))
    log = "u,t,p\n" + "".join(f"u{i},the {i}th,p1\n" for i in range(20))

    with pytest.raises(ShopError, match=r"20 of 20 events were refused.*line 2: time 'the 0th'"):
        imported(tmp_path, log, {"user": "u", "time": "t", "product": "p"}, products=products)


def test_the_mistake_of_an_event_is_named_where_products_are_the_same_file(tmp_path: Path) -> None:
    lines = [f"50{i},A{i % 6},Candle,1,12-01-10 8:2{i % 10},2.5,77{i}" for i in range(12)]
    source = tmp_path / "one.csv"
    source.write_text("order,sku,name,qty,when,price,customer\n" + "\n".join(lines) + "\n")
    events = {"user": "customer", "time": "when", "product": "sku", "quantity": "qty"}
    raw = {"columns": {"id": "sku", "title": "name"}, "events": events}

    with pytest.raises(ShopError, match=r"12 of 12 events were refused.*time '12-01-10 8:20'"):
        import_table(
            source, tmp_path / "shop", msgspec.convert(raw, Mapping), silent, events=source
        )


def test_the_names_of_acts_in_exports_of_the_field_are_known(tmp_path: Path) -> None:
    names = {
        "view": "view", "addtocart": "add_to_cart", "transaction": "purchase",  # RetailRocket
        "clicks": "click", "carts": "add_to_cart", "orders": "purchase", "buy": "purchase",  # OTTO
        "Order Completed": "purchase", "Product Viewed": "view", "Product Added": "add_to_cart",
        "Product Removed": "remove_from_cart", "Product Added to Wishlist": "add_to_wishlist",
        "view_item": "view", "add_to_cart": "add_to_cart", "select_item": "click",
        "remove_from_cart": "remove_from_cart", "add_to_wishlist": "add_to_wishlist",  # GA4
        "view_item_list": "impression", "refund": "refund", "detail": "view", "add": "add_to_cart",
        "remove": "remove_from_cart", "Viewed Product": "view", "Placed Order": "purchase",
        "Added to Cart": "add_to_cart", "product_viewed": "view", "checkout_completed": "purchase",
        "product_added_to_cart": "add_to_cart", "ViewContent": "view", "AddToCart": "add_to_cart",
        "prodView": "view", "scAdd": "add_to_cart", "scRemove": "remove_from_cart",
        "trackEcommerceOrder": "purchase", "trackTransaction": "purchase", "pv": "view",
        "fav": "add_to_wishlist", "detail-page-view": "view", "BuyAction": "purchase",
        "commerce.productViews": "view", "Ecommerce: Add to Cart": "add_to_cart",  # Adobe, GTM
        "ecommerce_remove_from_cart": "remove_from_cart", "event_purchase": "purchase",
        "quick view": "view", "Product Quick Viewed": "view", "eec.detail": "view",
        "eec.impressionView": "impression", "In den Warenkorb": "add_to_cart", "Kauf": "purchase",
        "achat": "purchase", "vue": "view", "añadir al carrito": "add_to_cart", "zakup": "purchase",
        "Zamówienie": "purchase", "покупка": "purchase", "возврат": "refund", "购买": "purchase",
        "加入购物车": "add_to_cart", "カートに入れる": "add_to_cart", "구매": "purchase",
        "Sepete ekle": "add_to_cart", "sipariş": "purchase",
        "returned": "refund", "Order Cancelled": "refund", "rating": "rating", "review": "rating",
    }  # fmt: skip
    rows = [f"u{i},2024-03-01T10:00:00,p1,{name}," for i, name in enumerate(names)]

    events, report = imported(tmp_path, acts(*rows), ACTS)

    assert [event["type"] for event in events] == list(names.values())
    assert not report.refused


def test_a_mapping_names_acts_that_nobody_else_has(tmp_path: Path) -> None:
    types = {"1": "view", "Kauf": "purchase", "view": "click"}
    rows = [f"u1,2024-03-01T10:0{i}:00,p1,{name}," for i, name in enumerate(types)]

    events, _ = imported(tmp_path, acts(*rows), ACTS | {"types": types})

    assert [event["type"] for event in events] == ["view", "purchase", "click"]


def test_acts_of_other_kinds_are_left_out_and_counted(tmp_path: Path) -> None:
    others = [
        f"u1,2024-03-01T10:{i:02}:00,,{'scroll' if i % 3 else 'session_start'}," for i in range(30)
    ]
    rows = ["u1,2024-03-01T09:00:00,p1,view_item,", *others]

    events, report = imported(tmp_path, acts(*rows), ACTS)

    assert len(events) == 1
    assert report.refused == {}
    assert report.events_ignored == {"scroll": 20, "session_start": 10}
    assert "30: scroll 20, session_start 10" in report.table()


def test_acts_of_other_names_are_left_out_and_counted(tmp_path: Path) -> None:
    others = [f"u1,2024-03-01T10:{i:02}:00,,{'erblickt' if i % 3 else 'weg'}," for i in range(30)]

    events, report = imported(tmp_path, acts("u1,2024-03-01T09:00:00,p1,view,", *others), ACTS)

    assert len(events) == 1
    assert report.refused == {"event: unknown type": 30}
    assert "events of other types are left out: 'erblickt' 20, 'weg' 10" in report.notes


def test_a_log_of_nothing_but_other_acts_is_refused_with_their_names(tmp_path: Path) -> None:
    rows = ["u1,2024-03-01T09:00:00,p1,erblickt,", "u1,2024-03-01T09:00:00,p1,genommen,"]

    with pytest.raises(ShopError, match=r"'erblickt' 1, 'genommen' 1; say in the mapping"):
        imported(tmp_path, acts(*rows), ACTS)


def test_a_search_has_no_product_and_is_kept(tmp_path: Path) -> None:
    searches = [f"u{i},2024-03-02T10:00:00,,search,barista oat drink" for i in range(5)]
    purchases = [f"u{i},2024-03-02T10:01:00,p1,purchase," for i in range(8)]

    events, report = imported(tmp_path, acts(*searches, *purchases), ACTS)

    found = [(event["type"], event["product"], event["text"]) for event in events]
    assert found.count(("search", None, "barista oat drink")) == 5
    assert (report.events_read, report.events_kept) == (13, 13)
    assert report.popularity is not None
    assert report.popularity.products_with_events == 1


def test_a_return_is_an_act_of_its_own_and_no_mistake(tmp_path: Path) -> None:
    log = (
        "u,o,t,p,n,v\n"
        "u1,1001,2024-03-01T10:00:00,p1,6,12.00\n"
        "u1,C1001,2024-03-03T10:00:00,p1,-6,-12.00\n"
        "u2,1002,2024-03-01T10:00:00,p2,2,2.00\n"
        "u2,1003,2024-03-05T10:00:00,p3,1,-3.00\n"
    )

    events, report = imported(tmp_path, log, BASKETS)

    found = {(event["user"], event["product"], event["type"], event["quantity"], event["value"])
             for event in events}  # fmt: skip
    assert found == {
        ("u1", "p1", "purchase", 6, 12), ("u1", "p1", "refund", 6, 12),
        ("u2", "p2", "purchase", 2, 2), ("u2", "p3", "refund", 1, 3),
    }  # fmt: skip
    assert not report.refused
    assert "events by type: purchase 2, refund 2" in report.notes


def test_orders_that_did_not_come_to_be_are_left_out(tmp_path: Path) -> None:
    statuses = ["wc-completed", "Cancelled", "refunded", "payment_failed", "Fully Returned", "paid"]
    log = "u,t,p,s\n" + "".join(f"u{i},2024-03-01,p1,{s}\n" for i, s in enumerate(statuses))
    columns = {"user": "u", "time": "t", "product": "p", "status": "s"}

    events, report = imported(tmp_path, log, columns)

    assert [event["user"] for event in events] == ["u0", "u5"]
    assert report.refused == {"event: undone order": 4}


def test_amounts_and_pieces_are_read_as_shops_write_them(tmp_path: Path) -> None:
    log = (
        "u,o,t,p,n,v\n"
        'u1,1001,2024-03-01T10:00:00,p1,6,"12,00 €"\n'
        'u2,1002,2024-03-01T10:00:00,p2,"1,5","$2.00"\n'
        "u2,1003,2024-03-05T10:00:00,p3,1.000,3.00 EUR\n"
        'u3,1004,2024-03-05T10:00:01,p3,2 pcs,"1,203.50"\n'
    )

    events, report = imported(tmp_path, log, BASKETS)

    found = [(event["quantity"], event["value"]) for event in events]
    assert found == [(6, 12), (1.5, 2), (1, 3), (2, 1203.5)]
    assert not report.refused


def test_the_price_of_one_piece_makes_the_value_of_all(tmp_path: Path) -> None:
    columns = BASKETS | {"value": "", "unit_price": "v"}

    events, _ = imported(tmp_path, "u,o,t,p,n,v\nu1,1,2024-03-01,p1,3,2.50\n", columns)

    assert events[0]["value"] == 7.5


def test_who_is_not_known_is_a_session_or_somebody_else(tmp_path: Path) -> None:
    log = (
        "u,c,o,t,p\n,c1,s1,2024-03-01,p1\nu1,c1,s1,2024-03-02,p1\n"
        ",,s2,2024-03-03,p1\n,,,2024-03-04,p1\n,,,2024-03-05,p1\n"
    )
    columns = {"user": ["u", "c"], "session": "o", "time": "t", "product": "p"}

    events, report = imported(tmp_path, log, columns)

    assert [event["user"] for event in events] == ["c1", "u1", "s2", "anonymous:5", "anonymous:6"]
    assert any("2 events name neither a user nor a session" in note for note in report.notes)


def test_searches_of_nobody_do_not_count_as_those_of_many(tmp_path: Path) -> None:
    rows = [f",2024-03-0{i}T10:00:00,,search,my own secret" for i in range(1, 6)]

    events, _ = imported(tmp_path, acts(*rows), ACTS)

    assert {event["user"] for event in events} == {""}


def test_a_look_at_a_page_without_a_product_is_no_mistake(tmp_path: Path) -> None:
    rows = ["u1,2024-03-01,p1,purchase,", *[f"u{i},2024-03-01,,page_view," for i in range(9)]]

    events, report = imported(tmp_path, acts(*rows), ACTS)

    assert len(events) == 1
    assert (report.refused, report.events_ignored) == ({}, {"page_view": 9})


@pytest.mark.parametrize(
    ("times", "days"),
    [
        (["01.03.2024 10:00", "02.03.2024 10:00"], [1, 2]),
        (["3/1/2024 10:00 AM", "3/2/2024 10:00 AM", "3/13/2024 1:00 PM"], [1, 2, 13]),
        (["1/3/2024 10:00", "2/3/2024 10:00", "13/3/2024 10:00"], [1, 2, 13]),
        (["20240301", "20240302"], [1, 2]),
        (["2024-03-01 10:00:00.123456 UTC", "1709287200123456"], [1, 1]),
    ],
)
def test_times_are_read_as_the_file_as_a_whole_writes_them(
    tmp_path: Path, times: list[str], days: list[int]
) -> None:
    log = "u,t,p\n" + "".join(f'u1,"{time}",p1\n' for time in times)

    events, _ = imported(tmp_path, log, {"user": "u", "time": "t", "product": "p"})

    assert [(event["time"].month, event["time"].day) for event in events] == [(3, d) for d in days]


def test_a_session_of_many_acts_in_one_object_is_read_act_by_act(tmp_path: Path) -> None:
    session = {"session": 7, "events": [
        {"aid": "p1", "ts": 1709287200000, "type": "clicks"},
        {"aid": "p2", "ts": 1709287260000, "type": "orders"}]}  # fmt: skip
    columns = {"user": "session", "time": "ts", "product": "aid", "type": "type", "each": "events"}

    events, _ = imported(tmp_path, msgspec.json.encode(session).decode(), columns, name="log.jsonl")

    assert [(e["user"], e["type"], e["product"]) for e in events] == [
        ("7", "click", "p1"), ("7", "purchase", "p2"),
    ]  # fmt: skip


def test_an_export_of_google_analytics_from_bigquery_is_read(tmp_path: Path) -> None:
    item = {"item_id": "p1", "quantity": 2, "price": 2.0}
    bought = {
        "event_name": "purchase", "event_timestamp": "1709287200123456", "user_pseudo_id": "1.2",
        "event_params": [{"key": "transaction_id", "value": {"string_value": "T1"}}],
        "user_id": None, "items": [item, {**item, "item_id": "p2"}],
    }  # fmt: skip
    searched = {
        "event_name": "view_search_results", "event_timestamp": "1709287200123456",
        "user_pseudo_id": "1.2", "items": [],
        "event_params": [
            {"key": "ga_session_id", "value": {"int_value": 5}},
            {"key": "search_term", "value": {"string_value": "oat milk", "int_value": None}},
        ],
    }  # fmt: skip
    columns = {
        "user": ["user_id", "user_pseudo_id"], "time": "event_timestamp", "type": "event_name",
        "product": "item_id", "quantity": "quantity", "unit_price": "price", "each": "items",
        "session": "event_params.transaction_id", "text": "event_params.search_term",
    }  # fmt: skip
    lines = "\n".join(msgspec.json.encode(row).decode() for row in (bought, searched))

    events, report = imported(tmp_path, lines, columns, name="log.jsonl")

    assert [(e["type"], e["product"], e["session"], e["value"], e["text"]) for e in events] == [
        ("purchase", "p1", "T1", 4.0, ""), ("purchase", "p2", "T1", 4.0, ""),
        ("search", None, "", None, "oat milk"),
    ]  # fmt: skip
    assert not report.refused


def test_the_state_of_an_order_in_other_words(tmp_path: Path) -> None:
    undone = ["wc-cancelled", "Retourniert", "Abgebrochen", "remboursée", "checkout-draft"]
    done = ["partially_refunded", "teilweise erstattet", "2", "10", "Versendet"]
    log = "u,t,p,s\n" + "".join(f"{s},2024-03-01,p1,{s}\n" for s in (*undone, *done))
    columns = {"user": "u", "time": "t", "product": "p", "status": "s"}

    events, report = imported(tmp_path, log, columns)

    assert [event["user"] for event in events] == done
    assert report.refused == {"event: undone order": len(undone)}
    assert any("3 events are of orders that were cancelled or refunded" in n for n in report.notes)


UNDONE = {"user": "u", "session": "o", "time": "t", "product": "p", "status": "s"}


def test_an_order_that_was_undone_later_was_a_purchase_until_then(tmp_path: Path) -> None:
    log = (
        "u,o,t,p,s,d\n"
        "a,1,2024-03-01 10:00,p1,2024-03-05 12:00,\n"  # a status that is the date of the end
        "b,2,2024-03-01 10:00,p2,refunded,2024-03-06 12:00\n"
        "b,2,,p3,,\n"  # of the same order
        "c,3,2024-03-01 10:00,p1,partially_refunded,2024-03-06 12:00\n"
        "d,4,2024-03-01 10:00,p1,failed,2024-03-06 12:00\n"
        "e,5,2024-03-01 10:00,p1,completed,\n"
        "f,6,2024-03-07 10:00,p1,cancelled,2024-03-06 12:00\n"  # clocks that differ
    )

    events, _ = imported(tmp_path, log, UNDONE | {"undone_at": "d"})

    found = {(e["user"], e["product"], e["type"], e["time"].day) for e in events}
    assert found == {
        ("a", "p1", "purchase", 1), ("a", "p1", "refund", 5),
        ("b", "p2", "purchase", 1), ("b", "p2", "refund", 6),
        ("b", "p3", "purchase", 1), ("b", "p3", "refund", 6),
        ("c", "p1", "purchase", 1), ("e", "p1", "purchase", 1),
        ("f", "p1", "purchase", 7), ("f", "p1", "refund", 7),
    }  # fmt: skip


@pytest.mark.parametrize(("day", "bought"), [(5, 1), (7, 0)])
def test_a_build_until_before_the_refund_knows_the_purchase(
    tmp_path: Path, day: int, bought: int
) -> None:
    log = "u,o,t,p,s,d\na,1,2024-03-01 10:00,p1,refunded,2024-03-06 12:00\n"
    imported(tmp_path, log, UNDONE | {"undone_at": "d"})

    known = list(Shop(tmp_path / "shop").event_batches(datetime(2024, 3, day), ["type", "product"]))

    types = [row["type"] for batch in known for row in batch.to_pylist()]
    assert types == ["purchase", "refund"][: 2 - bought]


@pytest.mark.parametrize(
    "guest", ["0", "guest", "Guest", "anonymous", "null", "NULL", "n/a", "-", "Not logged in", "-1"]
)
def test_guests_are_no_one_shopper(tmp_path: Path, guest: str) -> None:
    log = f"u,o,t,p\n{guest},,2024-03-01,p1\n{guest},,2024-03-01,p2\n{guest},7,2024-03-01,p3\n"

    events, report = imported(
        tmp_path, log, {"user": "u", "session": "o", "time": "t", "product": "p"}
    )

    assert [event["user"] for event in events] == ["anonymous:2", "anonymous:3", "7"]
    said = any("3 events are of guests" in note for note in report.notes)
    assert said == (guest not in ("null", "NULL"))  # which is how databases write nothing


def test_a_guest_as_a_number_is_no_shopper(tmp_path: Path) -> None:
    rows = '{"u": 0, "t": "2024-03-01", "p": "p1"}\n{"u": 10, "t": "2024-03-01", "p": "p1"}\n'

    events, _ = imported(
        tmp_path, rows, {"user": "u", "time": "t", "product": "p"}, name="log.jsonl"
    )

    assert sorted(event["user"] for event in events) == ["10", "anonymous:1"]


TWICE = "u,o,t,p\na,{order},2024-03-01,p1\na,{order},2024-03-01,p1\na,{order},2024-03-02,p1\n"


@pytest.mark.parametrize(
    ("order", "rule", "kept"),
    [("7", "", 2), ("", "", 3), ("7", "keep", 3), ("", "drop", 2), ("NULL", "", 3)],
)
def test_a_line_that_comes_again_counts_once_where_it_has_an_id_or_the_mapping_says_so(
    tmp_path: Path, order: str, rule: str, kept: int
) -> None:
    columns = {"user": "u", "session": "o", "time": "t", "product": "p", "duplicates": rule}

    events, report = imported(tmp_path, TWICE.format(order=order), columns)

    assert len(events) == kept
    [note] = [note for note in report.notes if "word for word" in note]
    assert note.startswith("1 lines stand there again")
    assert ("count once" in note) == (kept == 2)


@pytest.mark.parametrize(
    ("user", "time", "kept"),
    [
        ("a", "2024-03-01 10:00:07", 1),
        ("a", "1709287207", 1),
        ("a", "1709287207.0", 1),
        ("a", "20240301100007", 1),
        ("a", "2024-03-01T10:00:07Z", 1),
        ("a", "3/13/2024 10:00:07 AM", 1),
        ("a", "2024-03-01 10:00", 2),  # to the minute: two pieces may be two lines
        ("a", "2024-03-01", 2),
        ("a", "2024-03-01 10:00:00", 2),  # rounded, as all times of the log
        ("a", "2024-03-01 00:00:00", 2),  # a day, as databases write it
        ("a", "1709251200", 2),
        ("guest", "2024-03-01 10:00:07", 2),  # who may be two people
        ("", "2024-03-01 10:00:07", 2),
    ],
)
def test_a_line_of_a_user_that_comes_again_within_a_second_counts_once(
    tmp_path: Path, user: str, time: str, kept: int
) -> None:
    log = f"u,t,p\n{user},{time},p1\n{user},{time},p1\n"
    columns = {"user": "u", "time": "t", "product": "p", "default_type": "view"}

    events, report = imported(tmp_path, log, columns)

    assert len(events) == kept
    assert any("1 lines stand there again, word for word" in note for note in report.notes)


def test_whether_times_are_to_the_second_is_known_before_the_first_row(tmp_path: Path) -> None:
    log = "u,t,p\n" + "a,2024-03-01 10:00:00,p1\n" * 2 + "a,2024-03-01 10:00:00.250,p2\n" * 2
    columns = {"user": "u", "time": "t", "product": "p", "default_type": "view"}

    events, _ = imported(tmp_path, log, columns)

    assert [event["product"] for event in events] == ["p1", "p2"]


def test_a_midnight_with_microseconds_is_no_day(tmp_path: Path) -> None:
    log = "u,t,p\n" + "a,2024-03-01 00:00:00.000250,p1\n" * 2
    columns = {"user": "u", "time": "t", "product": "p", "default_type": "view"}

    assert len(imported(tmp_path, log, columns)[0]) == 1


def test_numbers_in_another_unit_than_their_column_are_refused_with_examples(
    tmp_path: Path,
) -> None:
    log = "u,t,p\n" + "".join(f"u{i},{1709287200000 + i},p1\n" for i in range(8))
    log += "u8,1709287200,p1\nu9,0,p1\n"

    events, report = imported(tmp_path, log, TIMES)

    assert len(events) == 8
    assert report.refused == {"event: unreadable time": 2}
    assert any("count milliseconds since 1970" in example.reason for example in report.examples)
    assert any("numbers of milliseconds since 1970, as 8 of the first" in n for n in report.notes)


def test_equal_lines_of_a_receipt_without_an_id_are_two_pieces(tmp_path: Path) -> None:
    log = "u,t,p,e\n" + "a,2024-03-01 10:00:07,p1,view\n" * 2
    log += "a,2024-03-01 10:00:07,p1,purchase\n" * 2

    events, report = imported(
        tmp_path, log, {"user": "u", "time": "t", "product": "p", "type": "e"}
    )

    assert [event["type"] for event in events] == ["view", "purchase", "purchase"]
    assert sum("1 lines stand there again" in note for note in report.notes) == 2


@pytest.mark.parametrize(("rule", "kept"), [("", 2), ("drop", 2), ("keep", 3)])
def test_an_event_that_comes_again_under_its_id_counts_once_whatever_else_its_line_has(
    tmp_path: Path, rule: str, kept: int
) -> None:
    log = "i,u,t,p,received\n1,a,2024-03-01,p1,x\n1,a,2024-03-01,p1,y\n1,a,2024-03-01,p2,y\n"
    columns = {"id": "i", "user": "u", "time": "t", "product": "p", "duplicates": rule}

    events, report = imported(tmp_path, log, columns)

    assert len(events) == kept
    told = [note for note in report.notes if "tell an event again that has the same id" in note]
    assert len(told) == 3 - kept


def test_equal_products_of_one_event_with_an_id_are_each_bought(tmp_path: Path) -> None:
    row = '{"i": 1, "u": "a", "t": "2024-03-01", "n": [{"p": "p1", "s": 1}, {"p": "p1", "s": 2}]}\n'
    columns = {"id": "i", "user": "u", "time": "t", "product": "p", "each": "n"}

    events, _ = imported(tmp_path, row * 2, columns, name="log.jsonl")

    assert len(events) == 2


def test_equal_products_of_one_order_in_json_are_two_lines_where_their_ids_differ(
    tmp_path: Path,
) -> None:
    row = '{"u": "a", "o": 1, "t": "2024-03-01", "lines": [{"p": "p1", "n": 1}, {"p": "p1"}]}\n'
    columns = {"user": "u", "session": "o", "time": "t", "product": "p", "each": "lines"}

    events, _ = imported(tmp_path, row * 2, columns, name="log.jsonl")

    assert len(events) == 2


def test_the_newest_lines_are_remembered_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duplicates, "MOST_REMEMBERED", 2)
    found = duplicates.Duplicates("drop")

    again = [found.is_again({"n": n}, line) for line, n in enumerate((1, 2, 2, 3, 1), 2)]

    assert again == [False, False, True, False, False]


def test_ids_of_events_take_no_room_from_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_REMEMBERED", 2)
    found = duplicates.Duplicates("drop")

    again = []
    for line, n in enumerate((1, 2, 1), 2):
        again.append(found.is_again({"n": n}, line))
        found.drops_event(n, {}, line)

    assert again == [False, False, True]


def test_a_log_of_undone_orders_alone_says_so(tmp_path: Path) -> None:
    columns = {"user": "u", "time": "t", "product": "p", "status": "s"}

    with pytest.raises(ShopError, match="all 1 events are left out; the first: line 2: status"):
        imported(tmp_path, "u,t,p,s\nu1,2024-03-01,p1,cancelled\n", columns)


@pytest.mark.parametrize("nothing", ["NULL", r"\N", "nan", "(not set)", " "])
def test_a_user_that_is_none_is_its_session(tmp_path: Path, nothing: str) -> None:
    log = f"u,o,t,p\n{nothing},s1,2024-03-01,p1\nu1,{nothing},2024-03-02,p2\n"
    columns = {"user": "u", "session": "o", "time": "t", "product": "p"}

    events, report = imported(tmp_path, log, columns)

    assert [(event["user"], event["session"]) for event in events] == [("s1", "s1"), ("u1", "")]
    assert not report.refused


def test_an_event_in_the_future_is_refused_with_its_line(tmp_path: Path) -> None:
    log = "u,t,p\nu1,2024-03-01,p1\nu1,2099-03-01,p1\n"

    events, report = imported(tmp_path, log, {"user": "u", "time": "t", "product": "p"})

    assert [event["time"].year for event in events] == [2024]
    assert report.refused == {"event: future time": 1}
    [example] = report.examples
    assert (example.line, example.reason) == (3, "time '2099-03-01' lies in the future")


TIMES = {"user": "u", "time": "t", "product": "p"}
TWO = "u,t,p\na,2024-05-01T00:30:00-04:00,p1\nb,1714537800,p2\n"


def placed_import(folder: Path, log: str, **place: str) -> tuple[list[datetime], QualityReport]:
    (folder / "products.csv").write_text(PRODUCTS)
    (folder / "log.csv").write_text(log)
    mapping = placed(mapping_of(TIMES), **place)
    report = import_table(
        folder / "products.csv", folder / "shop", mapping, silent, events=folder / "log.csv"
    )
    batches = Shop(folder / "shop").event_batches()
    return [row["time"] for batch in batches for row in batch.to_pylist()], report


def test_an_offset_and_the_same_instant_as_a_number_are_one_local_moment(tmp_path: Path) -> None:
    times, report = placed_import(tmp_path, TWO, timezone="America/New_York", country="CA")

    assert times == [datetime(2024, 5, 1, 0, 30)] * 2
    assert "2 times name a zone or count from 1970, and are converted to America/New_York" in (
        report.notes
    )
    meta = Shop(tmp_path / "shop").meta
    assert (meta.timezone, meta.country) == ("America/New_York", "CA")


def test_where_nobody_says_the_zone_instants_become_utc_and_the_folder_says_so(
    tmp_path: Path,
) -> None:
    times, report = placed_import(tmp_path, TWO)

    assert times == [datetime(2024, 5, 1, 4, 30)] * 2
    assert any("converted to UTC; --timezone names the shop's" in note for note in report.notes)
    assert Shop(tmp_path / "shop").meta.timezone == "UTC"


def test_of_times_that_name_no_zone_nobody_says_which_it_is(tmp_path: Path) -> None:
    times, _ = placed_import(tmp_path, "u,t,p\na,2024-05-01T00:30:00,p1\n")

    assert times == [datetime(2024, 5, 1, 0, 30)]
    assert Shop(tmp_path / "shop").meta.timezone == ""


def test_letters_of_a_zone_that_is_not_known_are_counted(tmp_path: Path) -> None:
    times, report = placed_import(tmp_path, "u,t,p\na,2024-05-01 10:00:00 IST,p1\n")

    assert times == [datetime(2024, 5, 1, 10)]
    assert "1 times end in letters of a zone that is not known, and count as local" in report.notes


def test_the_two_keys_of_a_zone_are_one() -> None:
    log = placed(mapping_of(TIMES | {"zone": "Europe/Rome"}))
    whole = placed(mapping_of(TIMES), timezone="Europe/Rome")

    assert log == whole


def test_a_zone_that_there_is_not_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match=r"--timezone 'Rome' .* such as Europe/Rome"):
        placed(mapping_of(TIMES), timezone="Rome")
    with pytest.raises(ConfigError, match="--country 'Germany'"):
        placed(mapping_of(TIMES), country="Germany")
