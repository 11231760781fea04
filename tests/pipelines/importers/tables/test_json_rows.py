"""Rows of JSON: lines, arrays, objects around an array, and inner fields."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import ShopError
from pipelines.importers.columns import ProductColumns
from pipelines.importers.mapping import Mapping
from pipelines.importers.table import import_table
from pipelines.importers.tables.json_rows import inner
from pipelines.importers.tables.opening import open_rows
from pipelines.progress import silent

ROWS = [{"id": "1", "title": "Mug"}, {"id": "2", "title": "Cup"}]


def read(folder: Path, content: str, name: str) -> list[dict[str, Any]]:
    path = folder / name
    path.write_text(content)
    return [row.values for row in open_rows(path).rows]


@pytest.mark.parametrize("name", ["goods.json", "goods.jsonl"])
@pytest.mark.parametrize(
    "content",
    [
        '{"id": "1", "title": "Mug"}\n\n{"id": "2", "title": "Cup"}\n',
        '[{"id": "1", "title": "Mug"}, {"id": "2", "title": "Cup"}]',
        '\ufeff[\n{"id": "1", "title": "Mug"},\n{"id": "2", "title": "Cup"}\n]\n',
    ],
)
def test_lines_and_arrays_of_objects_are_the_same_rows(
    tmp_path: Path, name: str, content: str
) -> None:
    assert read(tmp_path, content, name) == ROWS


@pytest.mark.parametrize("gap", ["", "\n"])
def test_an_object_around_one_list_of_objects_is_that_list(tmp_path: Path, gap: str) -> None:
    content = f'{{{gap}"page": 1, "products": [{{"id": "1", "title": "Mug"}}], "links": []}}'

    assert read(tmp_path, content, "goods.json") == ROWS[:1]


def test_an_array_that_is_cut_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ShopError, match=r"not JSON: .* expected an array of objects"):
        read(tmp_path, '[{"id": "1"},', "goods.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("price.amount", 5),
        ("images.src", ["a.jpg", "b.jpg"]),
        ("images.0.src", "a.jpg"),
        ("images.7.src", None),
        ("a.b", "own name"),
        ("x.y.z", 1),
        ("price.amount.more", None),
        ("none", None),
    ],
)
def test_a_path_leads_into_objects_and_lists(path: str, value: Any) -> None:
    values = {
        "price": {"amount": 5},
        "images": [{"src": "a.jpg"}, {"src": "b.jpg"}],
        "a.b": "own name",
        "x.y": {"z": 1},
    }

    assert inner(values, path) == value


def test_a_column_that_no_row_has_is_named_in_the_report(tmp_path: Path) -> None:
    source = tmp_path / "goods.jsonl"
    source.write_text('{"id": "1", "title": "Mug", "price": 5}\n')
    columns = ProductColumns(id="id", title="title", price="price.amount", brand="maker")

    report = import_table(source, tmp_path / "shop", Mapping(columns=columns), silent)

    [remark] = report.remarks
    assert remark.kind.endswith("columns that the mapping names and no row has")
    assert remark.examples == ("maker for `brand`", "price.amount for `price`")


@pytest.mark.parametrize("space", [None, 1])
def test_a_list_within_objects_of_one_key_is_read(tmp_path: Path, space: int | None) -> None:
    path = tmp_path / "goods.json"
    path.write_text(json.dumps({"data": {"items": [{"id": 1}, {"id": 2}]}}, indent=space))

    assert [row.values for row in open_rows(path).rows] == [{"id": 1}, {"id": 2}]


def test_lists_within_an_object_of_a_product_are_no_table(tmp_path: Path) -> None:
    path = tmp_path / "goods.json"
    product = {"id": 1, "media": {"images": [{"src": "a.jpg"}]}}
    path.write_text(json.dumps(product))

    assert [row.values for row in open_rows(path).rows] == [product]


PRODUCT = {"id": 1, "title": "Bag", "variants": [{"sku": "S"}, {"sku": "M"}]}


@pytest.mark.parametrize("space", [None, 1])
@pytest.mark.parametrize("product", [PRODUCT, PRODUCT | {"images": [{"src": "a.jpg"}]}])
def test_a_product_within_an_object_is_one_row_with_its_variants(
    tmp_path: Path, product: dict[str, Any], space: int | None
) -> None:
    content = json.dumps({"product": product}, indent=space)

    assert read(tmp_path, content, "goods.json") == [product]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_object_around_a_list_is_read_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "goods.json"
    path.write_text("\n" + json.dumps({"products": ROWS}), encoding=encoding)

    assert [row.values for row in open_rows(path).rows] == ROWS


@pytest.mark.parametrize("space", [None, 1])
@pytest.mark.parametrize("product", [PRODUCT, {"name": "Bag", "price": 5, "sizes": [{"cm": 5}]}])
def test_a_product_alone_is_one_row_with_its_variants(
    tmp_path: Path, product: dict[str, Any], space: int | None
) -> None:
    assert read(tmp_path, json.dumps(product, indent=space), "goods.json") == [product]


ORDER = {"id": 727, "customer_id": 7, "line_items": [{"name": "Mug", "sku": "p1"}]}


@pytest.mark.parametrize("space", [None, 1])
@pytest.mark.parametrize("order", [ORDER, {"order": ORDER}])
def test_an_order_alone_is_one_row_with_its_lines(
    tmp_path: Path, order: dict[str, Any], space: int | None
) -> None:
    assert read(tmp_path, json.dumps(order, indent=space), "orders.json") == [ORDER]


@pytest.mark.parametrize("space", [None, 1])
@pytest.mark.parametrize("goods", ["products", "goods", "Artikel"])
@pytest.mark.parametrize("beside", [{"id": "store-7"}, {"sku": 1, "ok": True}, {"name": "Corner"}])
@pytest.mark.parametrize("around", ["", "shop"])
def test_an_object_without_a_title_or_a_price_of_its_own_wraps_its_list(
    tmp_path: Path, around: str, beside: dict[str, Any], goods: str, space: int | None
) -> None:
    outer = {**beside, goods: ROWS}
    content = json.dumps({around: outer} if around else outer, indent=space)

    assert read(tmp_path, content, "goods.json") == ROWS


@pytest.mark.parametrize("space", [None, 1])
@pytest.mark.parametrize("beside", [{"total": 2, "next": None}, {"id": 7, "name": "Corner"}])
def test_a_list_of_products_is_a_table_whatever_stands_beside_it(
    tmp_path: Path, beside: dict[str, Any], space: int | None
) -> None:
    content = json.dumps({"shop": {**beside, "products": ROWS}}, indent=space)

    assert read(tmp_path, content, "goods.json") == ROWS
