"""Feeds, public data and logs in their own shapes, imported by one command each."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ConfigError, ShopError, UserError
from pipelines.importers.exports.auto import import_planned, plan
from pipelines.importers.mapping import load_mapping
from pipelines.importers.table import import_table
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop

NOON = datetime(2024, 6, 15, 12)
PRODUCTS = "sku,name,price\np1,Oat milk,2\np2,Whole milk,1\np3,Rye bread,3\n"
RSS = (
    '<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>'
    "<title>Shop</title><item><g:id>s1</g:id><title>Jacket</title><g:price>89.00 EUR</g:price>"
    "<g:sale_price>49.00 EUR</g:sale_price><g:availability>in_stock</g:availability>"
    "<g:link>https://x/1</g:link><g:image_link>https://x/1.jpg</g:image_link>"
    "<g:additional_image_link>https://x/2.jpg</g:additional_image_link>"
    "<g:additional_image_link>https://x/3.jpg</g:additional_image_link>"
    "<g:product_type>Clothing &gt; Jackets</g:product_type><g:gtin>4006381333931</g:gtin>"
    "<g:item_group_id>g1</g:item_group_id></item></channel></rss>"
)


def rows_of(*rows: dict[str, Any]) -> str:
    return "\n".join(msgspec.json.encode(row).decode() for row in rows)


def imported(
    folder: Path, name: str, text: str, log: str = "", log_name: str = "log.csv"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], QualityReport]:
    (folder / name).write_text(text, encoding="utf-8")
    if log:
        (folder / log_name).write_text(log, encoding="utf-8")
    planned = plan(folder / name, folder / log_name if log else None)
    report = import_planned(planned, folder / name, folder / "shop", silent, at=NOON)
    shop = Shop(folder / "shop")
    products = [row for batch in shop.product_batches() for row in batch.to_pylist()]
    return products, [r for b in shop.event_batches() for r in b.to_pylist()], report


def test_a_feed_of_google_in_xml_and_in_a_table(tmp_path: Path) -> None:
    table = (
        "id\ttitle\tprice\tsale price\tavailability\tlink\timage link\tadditional image link\t"
        "product type\tgtin\titem group id\n"
        "s1\tJacket\t89.00 EUR\t49.00 EUR\tin stock\thttps://x/1\thttps://x/1.jpg\t"
        "https://x/2.jpg,https://x/3.jpg\tClothing > Jackets\t4006381333931\tg1\n"
    )

    for name, text in (("feed.xml", RSS), ("feed.tsv", table)):
        [jacket], _, report = imported(tmp_path, name, text)
        assert (jacket["price"], jacket["currency"], jacket["item_group_id"]) == (49, "EUR", "g1")
        assert jacket["images"] == [f"https://x/{n}.jpg" for n in (1, 2, 3)]
        assert jacket["categories"] == ["Clothing > Jackets"]
        attributes = dict(jacket["attributes"])
        assert (attributes["gtin"], attributes["regular_price"]) == ("4006381333931", "89.00")
        assert "Google Merchant" in report.notes[0]


def test_a_catalogue_of_meta(tmp_path: Path) -> None:
    text = (
        "id,title,description,availability,condition,price,link,image_link,brand,"
        "fb_product_category,google_product_category,quantity_to_sell_on_facebook,sale_price,"
        "item_group_id,visibility,product_tags[0],product_tags[1],gtin\n"
        "m1,Cup,Nice,in stock,new,9.00 USD,https://x,https://x/1.jpg,Acme,"
        "Home > Kitchen,212,0,7.00 USD,,published,blue,gift,4006381333931\n"
        "m2,Jug,Nice,in stock,new,9.00 USD,https://x,https://x/1.jpg,Acme,,212,4,,,published,,,\n"
        "m3,Hid,Nice,in stock,new,9.00 USD,https://x,https://x/1.jpg,Acme,,212,4,,,hidden,,,\n"
    )

    [cup, jug], _, _ = imported(tmp_path, "catalog.csv", text)

    assert (cup["price"], cup["availability"], cup["tags"]) == (7, "OUT_OF_STOCK", ["blue", "gift"])
    assert (cup["categories"], jug["categories"]) == (["Home > Kitchen"], [])


def test_the_products_of_best_buy(tmp_path: Path) -> None:
    path = [{"id": "c1", "name": "Audio"}, {"id": "c2", "name": "Headphones"}]
    text = rows_of({
        "sku": 43900, "name": "Duracell AAA", "type": "HardGood", "salePrice": 5.49,
        "regularPrice": 6.99, "upc": "041333424019", "category": path, "manufacturer": "Duracell",
        "model": "MN2400B4Z", "image": "https://x/1.jpg", "description": "4-pack",
    })  # fmt: skip

    for name, content in (("products.jsonl", text), ("products.json", f"[{text}]")):
        [battery], _, _ = imported(tmp_path, name, content)
        assert (battery["id"], battery["price"], battery["currency"]) == ("43900", 5.49, "USD")
        assert battery["categories"] == ["Audio > Headphones"]
        assert {
            "gtin": "041333424019",
            "mpn": "MN2400B4Z",
            "regular_price": "6.99",
        }.items() <= dict(battery["attributes"]).items()


def test_open_food_facts_as_table_and_as_json(tmp_path: Path) -> None:
    row = {
        "code": "3017620422003", "creator": "me", "last_modified_t": 1, "product_name": "",
        "product_name_en": "Nutella", "brands": "Ferrero", "quantity": "400 g",
        "categories": "Spreads,Sweet spreads", "categories_tags": ["en:spreads"],
        "image_url": "https://x/1.jpg", "nutriscore_grade": "e",
    }  # fmt: skip
    flat = row | {"categories_tags": "en:spreads"}
    table = "\t".join(flat) + "\n" + "\t".join(map(str, flat.values())) + "\n"

    for name, text in (("off.jsonl", rows_of(row)), ("off.tsv", table)):
        [nutella], _, _ = imported(tmp_path, name, text)
        assert (nutella["id"], nutella["title"]) == ("3017620422003", "Nutella")
        assert nutella["brand"] == "Ferrero"
        attributes = dict(nutella["attributes"])
        assert (attributes["gtin"], attributes["quantity"]) == ("3017620422003", "400 g")
        assert nutella["images"] == ["https://x/1.jpg"]


LOGS = {
    "RetailRocket": (
        "log.csv",
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,p1,\n1433221400000,257597,transaction,p2,4000\n",
        [("257597", "view", "p1"), ("257597", "purchase", "p2")],
    ),
    "OTTO": (
        "log.jsonl",
        rows_of({"session": 7, "events": [
            {"aid": "p1", "ts": 1659304800025, "type": "clicks"},
            {"aid": "p2", "ts": 1659304904511, "type": "orders"}]}),
        [("7", "click", "p1"), ("7", "purchase", "p2")],
    ),
    "REES46": (
        "log.csv",
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,"
        "user_session\n"
        "2019-10-01 00:00:00 UTC,view,p1,1,,,35.79,541312140,72d7\n"
        "2019-10-01 00:00:01 UTC,cart,p1,1,,,35.79,541312140,72d7\n"
        "2019-10-01 00:00:02 UTC,purchase,p1,1,,,35.79,541312140,72d7\n",
        [("541312140", one, "p1") for one in ("view", "add_to_cart", "purchase")],
    ),
    "Segment": (
        "log.jsonl",
        rows_of(
            {"event": "Product Viewed", "userId": "u1", "anonymousId": "a", "messageId": "1",
             "timestamp": "2024-03-01T10:00:00.000Z", "properties": {"product_id": "p1"}},
            {"event": "Order Completed", "userId": None, "anonymousId": "a", "messageId": "2",
             "timestamp": "2024-03-01T10:01:00.000Z",
             "properties": {"order_id": "o1", "products": [
                 {"product_id": "p2", "quantity": 2, "price": 1.0}, {"product_id": "p3"}]}},
            {"event": "Products Searched", "userId": "u1", "anonymousId": "a", "messageId": "3",
             "timestamp": "2024-03-01T10:02:00.000Z", "properties": {"query": "milk"}},
        ),
        [("u1", "view", "p1"), ("visitor/a", "purchase", "p2"), ("visitor/a", "purchase", "p3"),
         ("u1", "search", None)],
    ),
    "Google Analytics 4": (
        "log.jsonl",
        rows_of(
            {"event_name": "view_item", "event_timestamp": "1709287200123456",
             "event_date": "20240301", "user_pseudo_id": "1.2", "event_params": [],
             "items": [{"item_id": "p1"}]},
            {"event_name": "scroll", "event_timestamp": "1709287201123456",
             "event_date": "20240301", "user_pseudo_id": "1.2", "event_params": [], "items": []},
        ),
        [("visitor/1.2", "view", "p1")],
    ),
    "Shopify's order export": (
        "orders.csv",
        "Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Created at,"
        "Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Cancelled at\n"
        "#1001,a@x.org,paid,2024-03-01 10:00:00 +0100,fulfilled,EUR,2024-03-01 10:00:00 +0100,2,"
        "Oat milk,2.00,p1,\n"
        "#1001,,,,,,,1,Rye bread,3.00,p3,\n"
        "#1002,b@x.org,refunded,,,EUR,2024-03-02 10:00:00 +0100,1,Oat milk,2.00,p1,\n"
        "#1003,c@x.org,paid,,,EUR,2024-03-03 10:00:00 +0100,1,Oat milk,2.00,p1,"
        "2024-03-03 11:00:00 +0100\n"
        "#1003,,,,,,,1,Rye bread,3.00,p3,\n",
        [
            ("a@x.org", "purchase", "p1"), ("c@x.org", "purchase", "p1"),
            ("c@x.org", "purchase", "p3"), ("c@x.org", "refund", "p1"),
            ("c@x.org", "refund", "p3"), ("a@x.org", "purchase", "p3"),
        ],
    ),
    "guessed by their names": (
        "log.csv",
        "Customer ID;Datum;Artikelnummer;Menge;Betrag\n"
        "7;01.03.2024 10:00;p1;2;4,00 €\n7;03.03.2024;p1;-2;-4,00 €\n",
        [("7", "purchase", "p1"), ("7", "refund", "p1")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LOGS)
def test_a_log_is_recognised_beside_its_products(tmp_path: Path, kind: str) -> None:
    name, text, expected = LOGS[kind]

    _, events, report = imported(tmp_path, "products.csv", PRODUCTS, text, name)

    found = [(e["user"], e["type"], e["product"]) for e in events]
    assert sorted(found) == sorted(expected)
    assert any(kind in note for note in report.notes)


def test_a_log_of_invoices_holds_its_products(tmp_path: Path) -> None:
    text = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,WHITE HEART,6,12/1/2010 8:26,2.55,17850,United Kingdom\n"
        "536365,71053,WHITE LANTERN,6,12/1/2010 8:26,3.39,17850,United Kingdom\n"
        "536366,85123A,WHITE HEART,2,12/1/2010 9:26,2.55,,United Kingdom\n"
        "C536379,85123A,WHITE HEART,-6,12/13/2010 9:41,2.55,17850,United Kingdom\n"
    )

    products, events, report = imported(tmp_path, "retail.csv", text)

    assert [one["id"] for one in products] == ["85123A", "71053"]
    assert [(e["type"], e["product"], e["quantity"], e["time"].day) for e in events] == [
        ("purchase", "85123A", 6, 1), ("purchase", "71053", 6, 1), ("purchase", "85123A", 2, 1),
        ("refund", "85123A", 6, 13),
    ]  # fmt: skip
    assert events[0]["value"] == pytest.approx(15.3)
    assert report.refused == {}


def test_an_unknown_header_is_guessed_and_the_report_says_so(tmp_path: Path) -> None:
    text = "Artikelnummer;Bezeichnung;Preis;Hersteller;Farbe;EAN\nA1;Becher;2,50;Acme;rot;40063\n"

    [cup], _, report = imported(tmp_path, "waren.csv", text)

    assert (cup["id"], cup["title"], cup["price"], cup["brand"]) == ("A1", "Becher", 2.5, "Acme")
    assert {"gtin": "40063", "color": "rot", "sku": "A1"}.items() <= dict(cup["attributes"]).items()
    assert "guessed by their names: id from 'Artikelnummer'" in report.notes[0]
    assert "--print-mapping" in report.notes[0]


@pytest.mark.parametrize(
    "header",
    [
        "Artikelnr;Benämning;Varumärke;Kategori;Pris;Lagersaldo",
        "Varenummer;Varenavn;Mærke;Kategori;Pris;Lager",
        "Kod produktu;Nazwa produktu;Producent;Kategoria;Cena brutto;Dostępność",
        "Артикул;Наименование;Бренд;Категория;Цена;Наличие",
        "Ürün kodu;Ürün adı;Marka;Kategori;Fiyat;Stok",
        "Κωδικός;Όνομα;Μάρκα;Κατηγορία;Τιμή;Απόθεμα",
        "商品コード;商品名;ブランド;カテゴリ;価格;在庫",
        "商品编号;商品名称;品牌;分类;售价;库存",
        "상품코드;상품명;브랜드;카테고리;판매가;재고",
        "מקט;שם מוצר;מותג;קטגוריה;מחיר;מלאי",
        "رمز المنتج;اسم المنتج;الماركة;القسم;السعر;المخزون",
        "รหัสสินค้า;ชื่อสินค้า;ยี่ห้อ;หมวดหมู่;ราคา;สต็อก",
        "Artikelnummer;Artikel;Marke;Warengruppe;Preis brutto;Menge",
        "Référence produit;Nom du produit;Marque;Rubrique;Prix TTC;Quantité",
    ],
)
def test_usual_names_of_columns_are_known_in_many_languages(tmp_path: Path, header: str) -> None:
    text = f"{header}\nA1;Cup;Acme;Home > Cups;12,50;3\nA2;Pot;Acme;Home;8,00;0\n"

    products, _, _ = imported(tmp_path, "goods.csv", text)

    assert [p["id"] for p in products] == ["A1", "A2"]
    assert {key: products[0][key] for key in ("title", "brand", "categories", "price")} == {
        "title": "Cup", "brand": "Acme", "categories": ["Home > Cups"], "price": 12.5,
    }  # fmt: skip
    assert [p["availability"] for p in products] == ["IN_STOCK", "OUT_OF_STOCK"]


def test_feeds_of_price_comparison_sites_are_read_by_usual_names(tmp_path: Path) -> None:
    heureka = (
        "<SHOP><SHOPITEM><ITEM_ID>1</ITEM_ID><PRODUCTNAME>Hrnek</PRODUCTNAME>"
        "<PRICE_VAT>149,90</PRICE_VAT><MANUFACTURER>Acme</MANUFACTURER></SHOPITEM></SHOP>"
    )
    yandex = (
        "<yml_catalog><shop><offers><offer id='1' available='false'><name>Hrnek</name>"
        "<vendor>Acme</vendor><price>149.90</price><currencyId>CZK</currencyId></offer>"
        "</offers></shop></yml_catalog>"
    )

    for name, text in (("heureka.xml", heureka), ("yandex.xml", yandex)):
        [product], _, _ = imported(tmp_path, name, text)

        assert (product["id"], product["title"]) == ("1", "Hrnek")
        assert (product["brand"], product["price"]) == ("Acme", 149.9)
        assert (product["availability"] == "OUT_OF_STOCK") == (name == "yandex.xml")


def test_a_catalogue_of_meta_is_told_from_a_feed_of_google(tmp_path: Path) -> None:
    text = (
        "id,title,description,availability,condition,price,link,image_link,brand,"
        "google_product_category,fb_product_category,status\n"
        "1,Shirt,x,in stock,new,9.00 USD,https://x,https://x/i.jpg,FB,1604,Clothing > Tops,active\n"
        "2,Old,x,in stock,new,10.00 USD,https://x,https://x/i.jpg,FB,1604,Clothing,archived\n"
    )

    products, _, report = imported(tmp_path, "catalog.csv", text)

    assert "a catalogue of Meta" in report.notes[0]
    assert [(p["id"], p["categories"]) for p in products] == [("1", ["Clothing > Tops"])]


def test_a_log_of_ratings_alone_holds_ratings(tmp_path: Path) -> None:
    log = "userId,itemId,stars,timestamp\n1,p1,4.5,1709287200\n2,p2,1.0,1709287201\n"

    _, events, report = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert [event["type"] for event in events] == ["rating", "rating"]
    note = next(note for note in report.notes if note.startswith("log.csv"))
    assert "ratings from 'stars'" in note
    assert "from 'rating'" not in note


@pytest.mark.parametrize(
    ("scores", "kind"),
    [
        (["0.5", "4.0", "5"], "rating"),
        (["1", "10", "", "7.5"], "rating"),
        (["4,5", "3"], "rating"),
        (["0.83", "4.0"], "purchase"),
        (["87", "5"], "purchase"),
        (["0", "1"], "purchase"),
        (["high", "low"], "purchase"),
        (["", ""], "purchase"),
    ],
)
def test_a_score_is_a_rating_where_all_are_half_stars_up_to_ten(
    tmp_path: Path, scores: list[str], kind: str
) -> None:
    log = "userId;itemId;score;timestamp\n"
    log += "".join(f"{i};p1;{score};{1709287200 + i}\n" for i, score in enumerate(scores))

    _, events, report = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert [event["type"] for event in events] == [kind] * len(scores)
    assert any("ratings from 'score'" in note for note in report.notes) == (kind == "rating")


@pytest.mark.parametrize("name", ["score", "star_rating", "Book-Rating", "overall", "points"])
def test_reviews_hold_ratings_and_no_searches(tmp_path: Path, name: str) -> None:
    row = {"customer_id": 7, "product_id": "p1", name: 4, "review_date": "2015-08-31"}
    text = {"text": "So good that I " + "love it " * 500, "title": "Love", "helpful_votes": 3}

    _, [event], _ = imported(tmp_path, "p.csv", PRODUCTS, rows_of(row | text), "reviews.jsonl")

    assert (event["type"], event["text"]) == ("rating", "")
    assert event["time"] == datetime(2015, 8, 31)


@pytest.mark.parametrize(
    ("name", "states", "kept"),
    [
        ("state", ["complete", "canceled", "processing", "closed"], [0, 2, 3]),  # Magento
        ("state", ["pending_payment", "holded", "canceled", "new"], [0, 1, 3]),
        ("order_state", ["Completed", "Cancelled", "Shipped", "Refunded"], [0, 2]),
        ("estado", ["pagado", "cancelado", "enviado", "devuelto"], [0, 2]),
        ("state", ["CA", "NY", "TX", "VA"], [0, 1, 2, 3]),
        ("state", ["California", "New York", "Texas", "Returned Hills"], [0, 1, 2, 3]),
        ("estado", ["Sonora", "Jalisco", "Puebla", "Oaxaca"], [0, 1, 2, 3]),
    ],
)
def test_a_state_is_that_of_an_order_where_its_values_are(
    tmp_path: Path, name: str, states: list[str], kept: list[int]
) -> None:
    log = f"order_id,customer_id,sku,created_at,{name}\n"
    log += "".join(f"{i},{i},p1,2024-03-01 10:00,{state}\n" for i, state in enumerate(states))

    _, events, report = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert [int(event["user"]) for event in events] == kept
    said = any(f"status from '{name}'" in note for note in report.notes)
    assert said == (len(kept) < len(states))


def test_beside_a_status_a_state_says_nothing(tmp_path: Path) -> None:
    log = "order_id,customer_id,sku,date,status,state\n1,1,p1,2024-03-01,complete,canceled\n"

    _, events, _ = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert len(events) == 1


def test_ratings_beside_orders_make_no_ratings_of_them(tmp_path: Path) -> None:
    log = "user_id,order_id,sku,rating,date\n1,9,p1,4.5,2024-03-01\n"

    _, events, _ = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert [event["type"] for event in events] == ["purchase"]


def test_what_a_known_log_has_beside_its_format_is_read_by_its_name(tmp_path: Path) -> None:
    log = (
        "visitor_id,timestamp,event,item_id,search_term\n"
        "v1,2024-03-01 10:00:00,search,,oat milk\nv1,2024-03-01 10:00:05,view,p1,oat milk\n"
    )

    _, events, report = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert [(event["type"], event["text"]) for event in events] == [
        ("search", "oat milk"), ("view", "oat milk"),
    ]  # fmt: skip
    assert "by its names also text from 'search_term'" in " ".join(report.notes)


ORDER = (
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,"
    "Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Shipping Method,"
    "Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem compare at price,"
    "Lineitem sku,Lineitem requires shipping,Lineitem taxable,Lineitem fulfillment status,"
    "Cancelled at,Payment Method,Refunded Amount,Vendor,Id,Tags,Source\n"
    "#1,a@x,paid,2024-03-01 10:00:00,fulfilled,,no,EUR,7.00,5.00,0.00,12.00,,0.00,Post,"
    "2024-03-01 10:00:00,2,Oat milk,2.00,,p1,true,true,fulfilled,,Card,0.00,Corner,99,,web\n"
    "#1,a@x,,,,,,,,,,,,,,2024-03-01 10:00:00,1,Rye bread,3.00,,p3,true,true,fulfilled,"
    ",,,Corner,,,\n"
)
RETAILROCKET = (
    "timestamp,visitorid,event,itemid,transactionid,total,quantity,state\n"
    "1709287200000,1,transaction,p1,7,99.00,3,cancelled\n"
)
REES46 = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session,"
    "quantity\n2024-03-01 10:00:00 UTC,purchase,p1,1,food,Corner,2.00,7,s1,3\n"
)


@pytest.mark.parametrize(
    ("log", "amounts"),
    [
        (ORDER, [("p1", 2, 4), ("p3", 1, 3)]),
        (RETAILROCKET, [("p1", 1, None)]),
        (REES46, [("p1", 1, 2)]),
    ],
)
def test_no_amount_of_a_known_log_is_guessed(
    tmp_path: Path, log: str, amounts: list[tuple[str, int, float | None]]
) -> None:
    _, events, _ = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert [(e["product"], e["quantity"], e["value"]) for e in events] == amounts


def test_columns_of_objects_are_known_by_their_inner_names(tmp_path: Path) -> None:
    log = (
        "event_timestamp,event_name,user_pseudo_id,items.item_id,items.quantity\n"
        "1709287200000000,view_item,1.2,p1,\n1709287300000000,purchase,1.2,p1,2\n"
        "1709287300000000,session_start,1.2,,\n"
    )

    _, events, _ = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert [(e["type"], e["product"], e["quantity"]) for e in events] == [
        ("view", "p1", 1.0), ("purchase", "p1", 2.0),
    ]  # fmt: skip


def test_a_guest_of_an_order_is_known_by_the_address_in_another_column(tmp_path: Path) -> None:
    log = (
        "Order ID,Order Date,Customer User ID,Billing Email Address,SKU,Quantity\n"
        "1,2024-03-01,5,a@x,p1,1\n2,2024-03-02,0,b@x,p1,1\n"
    )

    _, events, _ = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert [event["user"] for event in events] == ["5", "b@x"]


MUG = {"id": "a", "name": "Mug"}
INNER = [
    {"brand": {"id": 3, "name": "Acme"}, "category": {"id": 1, "name": "Kitchen"},
     "price": {"amount": "5.00", "currency": "EUR"}, "stock": {"quantity": 0},
     "images": [{"alt": "A mug", "url": "https://x/1.jpg"}], "color": {"name": "Red"}},
    {"@type": "Product", "brand": {"@type": "Brand", "name": "Acme"}, "category": "Kitchen",
     "offers": {"price": "5.00", "priceCurrency": "EUR", "availability": "https://schema.org/"
                "OutOfStock"}, "image": "https://x/1.jpg", "colour": "Red"},
    {"brand": None, "manufacturer": {"title": "Acme"}, "categories": [{"name": "Kitchen"}],
     "price": {"$numberDecimal": "5.00"}, "currency": "EUR", "availability": "out of stock",
     "images": [{"src": "https://x/1.jpg"}], "color": [{"label": "Red"}]},
]  # fmt: skip


@pytest.mark.parametrize("row", INNER)
def test_objects_of_json_say_by_their_names_and_amounts_what_a_field_holds(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    if row["brand"] is None:
        row = {key: value for key, value in row.items() if key != "brand"}

    [mug], _, report = imported(tmp_path, "goods.jsonl", rows_of(MUG | row))

    assert (mug["brand"], mug["categories"], mug["images"]) == (
        "Acme", ["Kitchen"], ["https://x/1.jpg"],
    )  # fmt: skip
    assert (mug["price"], mug["currency"], mug["availability"]) == (5, "EUR", "OUT_OF_STOCK")
    assert dict(mug["attributes"])["color"] == "Red"
    assert "price from 'price." in report.notes[0] or "from 'offers.price'" in report.notes[0]


def test_objects_in_a_log_say_by_their_ids_who_did_what(tmp_path: Path) -> None:
    row = {
        "event": "purchase", "timestamp": {"$date": "2024-03-01T10:00:00Z"}, "quantity": 2,
        "user": {"id": 7, "name": "Ann"}, "product": {"id": "p1", "name": "Oat"},
        "price": {"amount": 2, "currency": "EUR"},
    }  # fmt: skip

    _, [event], _ = imported(tmp_path, "p.csv", PRODUCTS, rows_of(row), "log.jsonl")

    assert (event["user"], event["product"], event["value"]) == ("7", "p1", 4)
    assert event["time"] == datetime(2024, 3, 1, 10)


@pytest.mark.parametrize(
    "header",
    [
        "id,name,category,price,stock,color,brand",
        "ID,Name,Kategorie,Preis,Bestand,Farbe,Marke",
        "id,title,categories,price,quantity,colour,manufacturer",
        "reference,name,category,price,qty,color,brand",
    ],
)
@pytest.mark.parametrize("more", ["", "status,active", "currency_code", "link,condition", "image"])
def test_columns_that_all_shops_have_are_of_no_exporter(
    tmp_path: Path, header: str, more: str
) -> None:
    columns = [header, *filter(None, [more])]
    cells = {"currency_code": "EUR", "status,active": "1,1", "link,condition": "https://x,new"}
    row = ["A1,Mug,Kitchen,5,0,Red,Acme", *filter(None, [cells.get(more, more and "i.jpg")])]

    [mug], _, report = imported(tmp_path, "g.csv", ",".join(columns) + "\n" + ",".join(row) + "\n")

    assert "of no exporter that is known" in report.notes[0]
    assert (mug["id"], mug["title"], mug["price"], mug["brand"]) == ("A1", "Mug", 5, "Acme")
    assert (mug["availability"], mug["categories"]) == ("OUT_OF_STOCK", ["Kitchen"])
    assert "color from" in report.notes[0]


@pytest.mark.parametrize(
    ("column", "sold", "not_sold"),
    [
        ("status", ["active", "", "in stock", "1"], ["Draft", "archived", "inaktiv"]),
        ("is_active", ["1", "yes", "TRUE"], ["0", "no", "FALSE"]),
        ("Archived", ["N", "0", ""], ["Y", "1", "true"]),
        ("visibility", ["visible", "catalog, search"], ["hidden", "Not visible"]),
        ("published", ["1", "2001", "2024-03-01"], ["0", "-1", "false"]),
    ],
)
def test_what_a_table_says_is_not_for_sale_is_left_out_and_counted(
    tmp_path: Path, column: str, sold: list[str], not_sold: list[str]
) -> None:
    rows = [f"{i};Mug {i};5;{cell}" for i, cell in enumerate((*sold, *not_sold))]

    products, _, report = imported(
        tmp_path, "g.csv", "\n".join([f"sku;name;price;{column}", *rows])
    )

    assert [product["id"] for product in products] == [str(i) for i in range(len(sold))]
    assert sum("rows are left out" in remark.kind for remark in report.remarks) == len(not_sold)


def test_a_status_is_the_availability_where_its_words_are(tmp_path: Path) -> None:
    words = ["available", "sold out", "preorder", "draft"]
    text = "sku,name,status\n" + "".join(f"{i},Mug {i},{one}\n" for i, one in enumerate(words))

    products, _, report = imported(tmp_path, "g.csv", text)

    assert [product["availability"] for product in products] == [
        "IN_STOCK", "OUT_OF_STOCK", "PREORDER",
    ]  # fmt: skip
    assert "availability from 'status'" in report.notes[0]


@pytest.mark.parametrize(
    "dates",
    [
        "sale_start;sale_end", "special_from_date;special_to_date", "Angebot von;Angebot bis",
        "date_on_sale_from;date_on_sale_to",
    ],
)  # fmt: skip
def test_a_sale_that_is_over_or_later_does_not_count_in_any_table(
    tmp_path: Path, dates: str
) -> None:
    text = (
        f"sku;name;price;sale_price;{dates}\n1;A;9;5;2024-06-01;2024-06-30\n"
        "2;B;9;5;2024-05-01;2024-05-31\n3;C;9;5;2024-07-01;2024-07-31\n4;D;9;5;;\n"
    )

    products, _, _ = imported(tmp_path, "g.csv", text)

    assert [product["price"] for product in products] == [5, 9, 9, 5]


EVENTS = {
    "Snowplow": (
        "log.tsv",
        "collector_tstamp\tevent_name\tdomain_userid\tdomain_sessionid\tproduct_id\tquantity\n"
        "2024-03-01 10:00:00.123\tadd_to_cart\tu1\ts1\tp1\t2\n",
    ),
    "Mixpanel": (
        "log.jsonl",
        rows_of({"event": "Product Added", "properties": {
            "time": 1709287200, "distinct_id": "u1", "product_id": "p1", "quantity": 2}}),
    ),
    "Amplitude": (
        "log.jsonl",
        rows_of({"event_type": "Product Added", "event_time": "2024-03-01 10:00:00.123000",
                 "user_id": "u1", "event_properties": {"product_id": "p1", "quantity": 2}}),
    ),
    "PostHog": (
        "log.jsonl",
        rows_of({"uuid": "1", "event": "product_added", "distinct_id": "u1",
                 "timestamp": "2024-03-01T10:00:00Z",
                 "properties": {"product_id": "p1", "quantity": 2}}),
    ),
    "a table with decimal commas": (
        "log.csv", "user_id;event;item;cnt;ts\nu1;cart;p1;2;1709287200,5\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", EVENTS)
def test_events_as_analytics_export_them(tmp_path: Path, kind: str) -> None:
    name, log = EVENTS[kind]

    _, [event], _ = imported(tmp_path, "p.csv", PRODUCTS, log, name)

    assert (event["user"], event["type"], event["product"]) == ("u1", "add_to_cart", "p1")
    assert (event["quantity"], event["time"]) == (2, datetime(2024, 3, 1, 10))


def test_customers_of_the_counter_are_no_one_shopper(tmp_path: Path) -> None:
    log = (
        "Receipt No,Date,Time,Item Code,Qty,Unit Price,Customer\n"
        "1,01/03/24,10:05 AM,p1,2,2.00,Walk-in\n2,13/03/24,1:05 PM,p3,1,3.00,Walk-in\n"
    )

    _, events, report = imported(tmp_path, "p.csv", PRODUCTS, log)

    assert [(e["user"], e["session"], e["time"].day) for e in events] == [
        ("1", "1", 1), ("2", "2", 13),
    ]  # fmt: skip
    assert any("2 events are of guests" in note for note in report.notes)


ORDERS = {
    "the plugins of WooCommerce": (
        "Order Number,Order Status,Order Date,Email (Billing),SKU,Item #,Item Name,"
        "Quantity (- Refund),Item Cost\n7,Completed,2024-03-01 10:00,a@x,p1,1,Oat milk,2,2.00\n"
    ),
    "PrestaShop": (
        "id_order;reference;current_state;date_add;id_customer;product_reference;"
        "product_quantity;unit_price_tax_incl\n"
        "7;XKB;Payment accepted;2024-03-01 10:00:00;a@x;p1;2;2.000000\n"
    ),
    "Magento": (
        "increment_id,state,customer_email,created_at,sku,qty_ordered,price\n"
        '7,complete,a@x,"Mar 1, 2024, 10:00:00 AM",p1,2.0000,2.0000\n'
    ),
    "Croatia": (
        "Broj narudžbe;Datum narudžbe;Kupac;Šifra;Količina;Cijena\n"
        "7;1. ožujka 2024. 10:00;a@x;p1;2;2,00 €\n"
    ),
}


@pytest.mark.parametrize("kind", ORDERS)
def test_orders_as_further_shops_write_them(tmp_path: Path, kind: str) -> None:
    _, [order], _ = imported(tmp_path, "p.csv", PRODUCTS, ORDERS[kind])

    assert (order["user"], order["session"], order["product"]) == ("a@x", "7", "p1")
    assert (order["quantity"], order["value"]) == (2, 4)
    assert order["time"] == datetime(2024, 3, 1, 10)


def test_a_header_that_says_nothing_is_refused_with_its_columns(tmp_path: Path) -> None:
    with pytest.raises(ShopError, match=r"no column is known to be `id` or `title`; it has a, b"):
        imported(tmp_path, "x.csv", "a,b\n1,2\n")


def test_a_printed_mapping_imports_the_same_shop(tmp_path: Path) -> None:
    (tmp_path / "waren.csv").write_text("Artikelnummer;Bezeichnung;Preis\nA1;Becher;2,50\n")
    planned = plan(tmp_path / "waren.csv", currency="eur")
    (tmp_path / "mapping.yaml").write_text(planned.yaml())

    mapping = load_mapping(tmp_path / "mapping.yaml")
    import_table(tmp_path / "waren.csv", tmp_path / "again", mapping, silent)

    [cup] = next(Shop(tmp_path / "again").product_batches()).to_pylist()
    assert (cup["id"], cup["price"], cup["currency"]) == ("A1", 2.5, "EUR")


def test_a_format_is_chosen_by_its_name_or_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("sku,name,price\na,Cup,1\n")

    with pytest.raises(ConfigError, match="there is no format 'shopfy'; choose one of akeneo"):
        plan(tmp_path / "x.csv", name="shopfy")
    with pytest.raises(ShopError, match="is not Shopify's product export: it lacks the columns of"):
        plan(tmp_path / "x.csv", name="shopify")
    assert plan(tmp_path / "x.csv", name="magento").raw["columns"]["id"] == "sku"


GUESSED = {
    "H&M": (
        "article_id,product_code,prod_name,product_type_name,colour_group_name,detail_desc\n"
        "0108775015,0108775,Strap top,Vest top,Black,Jersey top\n",
        ("0108775015", "Strap top", None, ["Vest top"]),
    ),
    "Flipkart": (
        "uniq_id,product_name,product_category_tree,retail_price,discounted_price,brand\n"
        'c2,Shorts,"Clothing >> Women >> Shorts",999,379,Alisha\n',
        ("c2", "Shorts", 379, ["Clothing > Women > Shorts"]),
    ),
    "ESCI": (
        "product_id,product_title,product_description,product_brand,product_color\n"
        "B07,Kettle,Nice,Acme,Red\n",
        ("B07", "Kettle", None, []),
    ),
    "French": (
        "Référence;Désignation;Prix;Catégorie\nR1;Tasse;2,50;Cuisine\n",
        ("R1", "Tasse", 2.5, ["Cuisine"]),
    ),
}


@pytest.mark.parametrize("name", GUESSED)
def test_public_tables_are_guessed_by_usual_names(tmp_path: Path, name: str) -> None:
    text, expected = GUESSED[name]

    [one], _, report = imported(tmp_path, "goods.csv", text)

    assert (one["id"], one["title"], one["price"], one["categories"]) == expected
    assert "guessed by their names" in report.notes[0]


@pytest.mark.parametrize("sold", ["VK-Preis", "VK Preis", "VK brutto", "Brutto-VK"])
@pytest.mark.parametrize("bought", ["EK-Preis", "cost", "Cost price"])
def test_what_the_shop_pays_is_no_price(tmp_path: Path, bought: str, sold: str) -> None:
    text = f"Artikelnummer;Bezeichnung;{bought};{sold}\n1;Tasse;2,00;5,00\n"

    [both], _, _ = imported(tmp_path, "both.csv", text)
    [one], _, _ = imported(tmp_path, "one.csv", text.replace(sold, "Lieferant"))

    assert (both["price"], one["price"]) == (5, None)


def test_a_day_and_a_time_of_day_in_two_columns_are_one_time(tmp_path: Path) -> None:
    log = "customer,date,time,sku\n7,3/1/2024,10:05,p1\n7,3/14/2024,9:30 PM,p2\n"

    _, events, _ = imported(tmp_path, "products.csv", PRODUCTS, log)

    assert [e["time"] for e in events] == [
        datetime(2024, 3, 1, 10, 5), datetime(2024, 3, 14, 21, 30),
    ]  # fmt: skip


def test_a_log_that_names_nobody_is_one_of_many(tmp_path: Path) -> None:
    log = "order_item,product_id,order_date\n1,p1,2024-03-01\n1,p2,2024-03-01\n"

    _, events, _ = imported(tmp_path, "products.csv", PRODUCTS, log)

    assert [e["user"] for e in events] == ["anonymous:2", "anonymous:3"]


def test_products_of_shops_as_json(tmp_path: Path) -> None:
    shopify = {
        "id": 632910392, "title": "Bag", "body_html": "<p>Big</p>", "vendor": "Corner",
        "product_type": "Bags", "handle": "bag", "published_at": "2024-01-01T00:00:00-05:00",
        "tags": "canvas, gift", "images": [{"src": "https://x/1.jpg"}, {"src": "https://x/2.jpg"}],
        "variants": [
            {"sku": "B-S", "title": "S", "price": "19.00", "compare_at_price": "25.00"},
            {"sku": "B-M", "title": "M", "price": "21.00", "compare_at_price": None},
        ],
    }  # fmt: skip
    woo = {
        "id": 799, "name": "Mug", "permalink": "https://x", "status": "publish", "parent_id": 0,
        "catalog_visibility": "visible", "short_description": "", "description": "Nice",
        "sku": "MUG", "regular_price": "9.00", "sale_price": "7.00", "date_on_sale_from": None,
        "date_on_sale_to": None, "stock_status": "outofstock", "tags": [],
        "categories": [{"id": 1, "name": "Kitchen"}], "images": [{"src": "https://x/m.jpg"}],
    }  # fmt: skip

    [bag, _], _, _ = imported(tmp_path, "shopify.json", rows_of({"products": [shopify]}))
    [mug], _, _ = imported(tmp_path, "woo.json", f"[{rows_of(woo)}]")

    assert (bag["id"], bag["title"], bag["price"]) == ("B-S", "Bag", 19)
    assert bag["images"] == ["https://x/1.jpg", "https://x/2.jpg"]
    assert bag["item_group_id"] == "bag"
    assert (mug["price"], mug["availability"], mug["categories"]) == (
        7, "OUT_OF_STOCK", ["Kitchen"],
    )  # fmt: skip


def test_orders_of_shops_as_json(tmp_path: Path) -> None:
    line = {
        "id": 1,
        "name": "Oat milk",
        "sku": "p1",
        "product_id": 5,
        "quantity": 2,
        "price": "2.00",
    }
    shopify = {
        "id": 9, "order_number": 1001, "created_at": "2024-03-01T10:00:00+01:00", "email": "a@x",
        "financial_status": "paid", "cancelled_at": None, "customer": {"id": 7},
        "line_items": [line, {**line, "sku": "p3"}],
    }  # fmt: skip
    woo = {
        "id": 9, "number": "727", "status": "completed", "date_created": "2024-03-01T10:00:00",
        "customer_id": 7, "billing": {"email": "a@x"},
        "line_items": [{"id": 3, "product_id": 93, "variation_id": 0, "quantity": 2,
                        "total": "6.00"}],
    }  # fmt: skip

    _, first, _ = imported(tmp_path, "products.csv", PRODUCTS, rows_of(shopify), "orders.jsonl")
    _, second, _ = imported(tmp_path, "products.csv", PRODUCTS, rows_of(woo), "orders.jsonl")

    assert [(e["user"], e["session"], e["product"], e["value"]) for e in first] == [
        ("7", "1001", "p1", 4), ("7", "1001", "p3", 4),
    ]  # fmt: skip
    assert [(e["user"], e["session"], e["value"]) for e in second] == [("7", "727", 6)]
    assert second[0]["product"] == "93"


STARTS = st.sampled_from(
    [
        b"", b"sku,name,price\n", b"Handle,Title,Option1 Name,Option1 Value,Variant SKU\na,b\n",
        b"ID,Type,SKU,Name,Published,Parent,Regular price,In stock?\n1,variable,A,B,1,id:1,2,1\n",
        b'{"session": 1, "events": [{"aid": 1', b'{"id": 1' + b"0" * 5_000 + b', "name": "a"}\n',
        b"item,id,name,sku,options\n", b"user_id,date,product_id,qty,total\nu,3/1/24,p,1,2\n",
    ]
)  # fmt: skip
NAMES = st.sampled_from(["x.csv", "x.tsv", "x.jsonl", "x.json", "x.xml", "x.parquet"])


@settings(max_examples=120, deadline=None)
@given(name=NAMES, start=STARTS, rest=st.binary(max_size=200))
def test_no_bytes_bring_anything_but_a_shop_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, name: str, start: bytes, rest: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / name).write_bytes(start + rest)
    (folder / "products.csv").write_text(PRODUCTS)

    for products, events in ((folder / name, None), (folder / "products.csv", folder / name)):
        with suppress(UserError):
            import_planned(plan(products, events), products, folder / "shop", silent)
