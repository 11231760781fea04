"""Small files as exports write them, in `inputs`: what a careful person reads in each."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from pipelines.importers.merchant import import_merchant
from pipelines.importers.table import import_table, load_mapping
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop

INPUTS = Path(__file__).parent / "inputs"


def imported(
    folder: Path, name: str, mapping: str, **more: Path
) -> tuple[list[dict[str, Any]], QualityReport]:
    shop = folder / "shop"
    report = import_table(INPUTS / name, shop, load_mapping(INPUTS / mapping), silent, **more)
    return products_of(shop), report


def products_of(shop: Path) -> list[dict[str, Any]]:
    return pa.Table.from_batches(Shop(shop).product_batches()).to_pylist()


def kinds(report: QualityReport) -> str:
    return "\n".join(remark.sentence() for remark in report.remarks)


def test_a_point_groups_thousands_where_the_other_prices_have_decimal_commas(
    tmp_path: Path,
) -> None:
    products, report = imported(tmp_path, "german-thousands.csv", "semicolon.yaml")

    assert [one["price"] for one in products] == [1299.0, 849.0, 12.99, 2149.0, 34.95]
    assert "'1.299' is 1299" in kinds(report)


def test_quotes_that_are_never_closed_are_letters(tmp_path: Path) -> None:
    products, report = imported(tmp_path, "quotes.tsv", "plain.yaml")

    assert [one["title"] for one in products] == [
        '27" monitor stand',
        '"Best dad" mug',
        '"Happy birthday candle set',
        "Plain mug",
        'Balloon 12" red',
        'Gift "wrap',
    ]
    assert "are letters" in kinds(report)


def test_a_feed_keeps_its_quotes_too(tmp_path: Path) -> None:
    report = import_merchant(INPUTS / "quotes-feed.tsv", tmp_path / "shop", silent)

    titles = [one["title"] for one in products_of(tmp_path / "shop")]
    assert titles == ['12" pan', '"Best mum" mug', '"Oak board', "Whisk", 'Ladle 10" steel']
    assert report.remarks


def test_inner_fields_of_json_are_read_by_a_path(tmp_path: Path) -> None:
    products, _ = imported(tmp_path, "nested.jsonl", "nested.yaml")

    assert [(one["price"], one["currency"], one["brand"]) for one in products] == [
        (2.0, "EUR", "North"),
        (3.0, "EUR", "Mill"),
    ]


@pytest.mark.parametrize(
    ("name", "mapping"), [("multi.csv", "multi.yaml"), ("multi.jsonl", "multi-json.yaml")]
)
def test_an_attribute_has_each_of_its_values(tmp_path: Path, name: str, mapping: str) -> None:
    products, _ = imported(tmp_path, name, mapping)

    colours = [[v for k, v in one["attributes"] if k == "colour"] for one in products]
    assert colours == [["Red", "Blue"], ["Blue"], ["Red"]]
    assert products[0]["categories"] == ["Clothing > Shirts", "Sale"]


def test_category_paths_are_parted_by_whatever_parts_them(tmp_path: Path) -> None:
    products, _ = imported(tmp_path, "paths.csv", "paths.yaml")

    assert [one["categories"] for one in products] == [
        ["Default Category > Men > Shoes"],
        ["Men > Shoes > Running"],
        ["Men > Shoes"],
        ["Furniture > Chairs"],
        ["Home & Garden > Kitchen/Dining"],
    ]


def test_html_is_made_plain_text_in_every_field(tmp_path: Path) -> None:
    products, report = imported(tmp_path, "html.csv", "html.yaml")

    assert [one["title"] for one in products] == [
        "Salt & pepper mill",
        'Café mug 12"',
        "Kids' cup",
        "Amp stand for guitar",
        "Red hot chilli oil",
        "Bold apron",
    ]
    assert products[0]["brand"] == "Peugeot & Fils"
    assert products[0]["description"] == "Grinds salt & pepper. Steel 18 cm"
    assert products[1]["description"] == "Mug"
    assert "HTML in texts is made plain text (8 times)" in kinds(report)


def test_stock_is_read_as_flags_counts_and_words(tmp_path: Path) -> None:
    products, report = imported(tmp_path, "stock.csv", "stock.yaml")

    assert [one["availability"] for one in products] == [
        "IN_STOCK", "OUT_OF_STOCK", "IN_STOCK", "OUT_OF_STOCK", "IN_STOCK", "OUT_OF_STOCK",
        "IN_STOCK", "BACKORDER", "BACKORDER", "BACKORDER", "OUT_OF_STOCK", "IN_STOCK", "IN_STOCK",
    ]  # fmt: skip
    assert "line 14: availability 'coming soon' is unknown" in kinds(report)
    assert report.refused == {}


def test_rows_without_their_last_cells_are_kept_and_counted(tmp_path: Path) -> None:
    products, report = imported(tmp_path, "short-rows.csv", "plain.yaml")

    assert [one["price"] for one in products] == [5.5, 3.2, 4.0]
    assert "read as empty (2 times): line 3: 3 of 5; line 4: 4 of 5" in kinds(report)


def test_the_line_that_names_the_separator_is_no_header(tmp_path: Path) -> None:
    products, _ = imported(tmp_path, "sep-line.csv", "semicolon.yaml")

    assert [one["price"] for one in products] == [5.5, 3.2]


def test_names_of_columns_that_come_again_cost_nothing_where_none_is_mapped(
    tmp_path: Path,
) -> None:
    products, _ = imported(tmp_path, "repeated-header.csv", "plain.yaml")

    assert [one["title"] for one in products] == ["Red mug", "Plate"]


def test_control_letters_are_taken_out_of_titles(tmp_path: Path) -> None:
    products, report = imported(tmp_path, "odd-letters.csv", "plain.yaml")

    assert [one["title"] for one in products] == [
        "Kettle Nordica™ 1.7 l",
        "Cat bowl",
        "Red mug",
        "Dog bowl",
    ]
    assert "control letters are taken out of texts (3 times)" in kinds(report)


def test_prices_name_their_currency_by_signs_and_words(tmp_path: Path) -> None:
    products, report = imported(tmp_path, "prices.csv", "plain.yaml")

    assert [(one["price"], one["currency"]) for one in products] == [
        (1234.56, "BRL"),
        (19.99, "USD"),
        (12.5, "PLN"),
        (12.5, "PLN"),
        (1299.9, "TRY"),
        (15.0, "AUD"),
        (1299.5, "SEK"),
        (12000.0, "KRW"),
        (1200.0, "JPY"),
        (499.0, "INR"),
        (5.0, "EUR"),
    ]
    assert "prices have decimal commas and decimal points" in kinds(report)
    assert "kr is read as SEK" in kinds(report)


def test_addresses_of_images_do_not_hide_files_by_id(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (8, 8), "red").save(photos / "p2.jpg")

    _, report = imported(tmp_path, "addresses.csv", "addresses.yaml", pictures=photos)

    assert (report.pictures, report.unreadable_images) == (1, 0)
