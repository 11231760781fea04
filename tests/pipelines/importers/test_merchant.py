from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.importers.merchant import NUMBERED, import_merchant
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop

pytestmark = pytest.mark.foreign

RSS = """<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0">
 <channel>
  <title>The shop</title>
  <link>https://shop.example</link>
  <item>
   <g:id>a1</g:id>
   <g:title>Rye &amp; wheat bread</g:title>
   <g:description><![CDATA[Dark <b>bread</b>.]]></g:description>
   <g:link>https://shop.example/a1</g:link>
   <g:image_link>https://shop.example/a1.jpg</g:image_link>
   <g:additional_image_link>https://shop.example/a1b.jpg</g:additional_image_link>
   <g:additional_image_link>https://shop.example/a1c.jpg</g:additional_image_link>
   <g:availability>in_stock</g:availability>
   <g:price>2.50 EUR</g:price>
   <g:sale_price>2.00 EUR</g:sale_price>
   <g:product_type>Food &gt; Bread</g:product_type>
   <g:google_product_category>422</g:google_product_category>
   <g:brand>Mill</g:brand>
   <g:item_group_id>bread</g:item_group_id>
   <g:shipping><g:country>US</g:country><g:price>6.49 USD</g:price></g:shipping>
  </item>
  <item>
   <title>A title without a namespace</title>
   <g:id>a2</g:id>
   <g:price>soon</g:price>
  </item>
  <item><g:id>a3</g:id></item>
 </channel>
</rss>
"""
TSV = (
    "id\ttitle\tdescription\timage link\tadditional image link\tavailability\tprice\tproduct type\n"
    'a1\t"Rye & wheat bread"\tDark bread.\thttps://shop.example/a1.jpg\t'
    "https://shop.example/a1b.jpg,https://shop.example/a1c.jpg\tin stock\t2.50 EUR\tFood > Bread\n"
    "a2\tOlives\t\t\t\tpreorder\t\t\n"
)


def run(tmp_path: Path, name: str, text: str) -> tuple[list[dict], QualityReport]:
    source = tmp_path / name
    source.write_text(text, encoding="utf-8")
    report = import_merchant(source, tmp_path / "shop", silent)
    return pa.Table.from_batches(Shop(tmp_path / "shop").product_batches()).to_pylist(), report


def test_an_rss_feed_becomes_products(tmp_path: Path) -> None:
    [bread, second], report = run(tmp_path, "feed.xml", RSS)

    assert (bread["id"], bread["title"]) == ("a1", "Rye & wheat bread")
    assert bread["description"] == "Dark bread."
    assert bread["images"] == [f"https://shop.example/a1{x}.jpg" for x in ("", "b", "c")]
    assert (bread["price"], bread["currency"]) == (2.0, "EUR")
    assert dict(bread["attributes"])["regular_price"] == "2.50"
    assert bread["categories"] == ["Food > Bread"]
    assert bread["item_group_id"] == "bread"
    assert dict(bread["attributes"])["sale_price"] == "2.00 EUR"
    assert dict(bread["attributes"])["link"] == "https://shop.example/a1"
    assert (second["title"], second["price"]) == ("A title without a namespace", None)
    assert (report.rows_read, report.rows_kept, report.impossible_prices) == (3, 2, 1)
    assert [(one.line, one.reason) for one in report.examples] == [
        (23, "price 'soon' is not a number; kept without a price"),
        (28, "title is empty"),
    ]


def test_an_atom_feed_becomes_products(tmp_path: Path) -> None:
    text = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">'
        '<entry><g:id>a1</g:id><title>Bread</title><link href="https://shop.example/a1"/>'
        "<summary>Dark.</summary></entry></feed>"
    )

    [bread], _ = run(tmp_path, "feed.xml", text)

    assert (bread["title"], bread["description"]) == ("Bread", "Dark.")
    assert dict(bread["attributes"]) == {"link": "https://shop.example/a1"}


def test_a_tsv_feed_becomes_the_same_products(tmp_path: Path) -> None:
    [bread, olives], report = run(tmp_path, "feed.tsv", TSV)

    assert bread["title"] == "Rye & wheat bread"
    assert bread["images"] == [f"https://shop.example/a1{x}.jpg" for x in ("", "b", "c")]
    assert (bread["price"], bread["currency"]) == (2.5, "EUR")
    assert bread["categories"] == ["Food > Bread"]
    assert olives["availability"] == "PREORDER"
    assert report.rows_kept == 2


def test_googles_own_category_stands_in_where_the_shop_gives_no_path(tmp_path: Path) -> None:
    text = "id\ttitle\tgoogle_product_category\na1\tBread\tFood > Bakery\n"

    [bread], _ = run(tmp_path, "feed.tsv", text)

    assert bread["categories"] == ["Food > Bakery"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_xml_is_read_in_the_encoding_that_it_declares(tmp_path: Path, encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    text = RSS.replace('version="1.0"?', f'version="1.0" encoding="{declared}"?', 1)
    source = tmp_path / "feed.xml"
    source.write_bytes(text.replace("Rye", "Röggen").encode(encoding))

    import_merchant(source, tmp_path / "shop", silent)

    [bread, *_] = next(Shop(tmp_path / "shop").product_batches()).to_pylist()
    assert bread["title"] == "Röggen & wheat bread"


HEADER = "id\ttitle\tprice\tsale_price\tsale_price_effective_date"
NOON = datetime(2024, 6, 15, 12)


@pytest.mark.parametrize(
    ("sale", "dates", "price"),
    [
        ("49.00 EUR", "", 49.0),
        ("49.00 EUR", "2024-06-01T00:00+0100/2024-06-30T23:59+0100", 49.0),
        ("49.00 EUR", "2019-01-01T00:00+0100/2019-01-31T23:59+0100", 89.0),
        ("49.00 EUR", "2024-07-01T00:00Z/2024-07-31T23:59Z", 89.0),
        ("49.00 EUR", "2024-06-15/2024-06-15", 49.0),  # a day alone is part of the sale
        ("49.00 EUR", "2024-06-01/2024-06-14", 89.0),
        ("49.00 EUR", "soon/later", 89.0),
        ("99.00 EUR", "", 89.0),
        ("a gift", "", 89.0),
        ("0.00 EUR", "", 89.0),
        ("", "", 89.0),
    ],
)
def test_the_price_is_the_one_that_is_paid_at_the_moment_of_the_import(
    tmp_path: Path, sale: str, dates: str, price: float
) -> None:
    (tmp_path / "feed.tsv").write_text(f"{HEADER}\ns1\tJacket\t89.00 EUR\t{sale}\t{dates}\n")

    import_merchant(tmp_path / "feed.tsv", tmp_path / "shop", silent, at=NOON)

    [jacket] = next(Shop(tmp_path / "shop").product_batches()).to_pylist()
    assert (jacket["price"], jacket["currency"]) == (price, "EUR")
    assert dict(jacket["attributes"]).get("regular_price") == (None if price == 89 else "89.00")


def test_the_report_says_what_became_of_sale_prices(tmp_path: Path) -> None:
    rows = "s1\tA\t9\t8\t\ns2\tB\t9\t8\t2019-01-01/2019-01-31\ns3\tC\t9\t8\t2090-01-01/2090-01-31\n"
    (tmp_path / "feed.tsv").write_text(f"{HEADER}\n{rows}")

    report = import_merchant(tmp_path / "feed.tsv", tmp_path / "shop", silent, at=NOON)

    assert [(one.kind, one.examples) for one in report.remarks] == [
        ("feed.tsv: sale prices count on 2024-06-15", ("line 2: '8'",)),
        ("feed.tsv: sales are over on 2024-06-15", ("line 3: '8'",)),
        ("feed.tsv: sales have not begun on 2024-06-15", ("line 4: '8'",)),
    ]


def test_a_catalogue_of_meta_is_read_and_what_is_hidden_left_out(tmp_path: Path) -> None:
    text = (
        "id,title,availability,price,item_group_id,google_product_category,visibility,status,"
        "quantity_to_sell_on_facebook,custom_label_0,gtin,mpn\n"
        "m1,Cup,in stock,9.00 USD,g1,212,published,active,5,summer,4006381333931,C-1\n"
        "m2,Mug,in stock,9.00 USD,g1,212,published,active,0,,,\n"
        "m3,Jug,in stock,9.00 USD,,212,hidden,active,1,,,\n"
        "m4,Jar,in stock,9.00 USD,,212,published,archived,1,,,\n"
    )

    [cup, mug], report = run(tmp_path, "feed.csv", text)

    attributes = dict(cup["attributes"])
    assert (attributes["gtin"], attributes["mpn"]) == ("4006381333931", "C-1")
    assert (attributes["custom_label_0"], cup["item_group_id"]) == ("summer", "g1")
    assert (cup["availability"], mug["availability"]) == ("IN_STOCK", "OUT_OF_STOCK")
    assert cup["categories"] == []
    assert [(one.kind.removeprefix("feed.csv: "), one.count) for one in report.remarks] == [
        (NUMBERED, 2),
        ("rows are left out, because visibility is 'hidden'", 1),
        ("rows are left out, because status is 'archived'", 1),
    ]


def test_a_feed_in_parquet_has_all_its_columns(tmp_path: Path) -> None:
    source = tmp_path / "feed.parquet"
    pq.write_table(pa.table({"id": ["a1"], "title": ["Rye"], "price": ["2.00 EUR"]}), source)

    import_merchant(source, tmp_path / "shop", silent)

    [row] = pa.Table.from_batches(Shop(tmp_path / "shop").product_batches()).to_pylist()
    assert (row["price"], row["currency"]) == (2.0, "EUR")


def test_an_element_says_the_id_before_an_attribute_of_the_item(tmp_path: Path) -> None:
    text = RSS.replace("<item>", '<item id="5" available="false">')

    products, _ = run(tmp_path, "feed.xml", text)
    expected, _ = run(tmp_path, "plain.xml", RSS)

    assert [one["id"] for one in products] == [one["id"] for one in expected]
