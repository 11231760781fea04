from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.importers.merchant import import_merchant
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
    assert (bread["price"], bread["currency"]) == (2.5, "EUR")
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


def test_a_feed_in_parquet_has_all_its_columns(tmp_path: Path) -> None:
    source = tmp_path / "feed.parquet"
    pq.write_table(pa.table({"id": ["a1"], "title": ["Rye"], "price": ["2.00 EUR"]}), source)

    import_merchant(source, tmp_path / "shop", silent)

    [row] = pa.Table.from_batches(Shop(tmp_path / "shop").product_batches()).to_pylist()
    assert (row["price"], row["currency"]) == (2.0, "EUR")
