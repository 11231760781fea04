"""Orders that show a product's name and options, and name no id."""

from pathlib import Path

import pytest

from pipelines.importers.events.product_names import (
    BY_GROUP,
    BY_NAME,
    BY_NOBODY,
    KnownName,
    ProductNames,
)
from pipelines.importers.exports.auto import import_planned, plan
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop
from pipelines.shop.remarks import Remarks

PRODUCTS = (
    "Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Price\n"
    "shirt,Linen Shirt,Size,S,Color,White,,40\n"
    "shirt,,,M,,White,,40\n"
    "mug,Mug - Large,Title,Default Title,,,,9\n"
    "cap,Cap,Size,S,,,,9\n"
    "cap-2,Cap,Size,M,,,,9\n"
    "bag,Bag,Title,Default Title,,,B-1,20\n"
)
ORDERS = (
    "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem price{sku}\n"
)


def ordered(folder: Path, *names: str, sku: str | None = "") -> tuple[list[str], QualityReport]:
    """Return the product of each order that shows a name, beside the SKU if there is a column."""
    head = ORDERS.format(sku="" if sku is None else ",Lineitem sku")
    more = "" if sku is None else f",{sku}"
    lines = (
        f"#{n},a@x.org,paid,2024-03-0{n} 10:00,1,{name},2{more}\n"
        for n, name in enumerate(names, 1)
    )
    (folder / "products.csv").write_text(PRODUCTS)
    (folder / "orders.csv").write_text(head + "".join(lines))
    planned = plan(folder / "products.csv", folder / "orders.csv")
    report = import_planned(planned, folder / "products.csv", folder / "shop", silent)
    batches = Shop(folder / "shop").event_batches()
    return [row["product"] for batch in batches for row in batch.to_pylist()], report


def remarks_of(report: QualityReport) -> dict[str, int]:
    return {one.kind.partition(": ")[2]: one.count for one in report.remarks}


@pytest.mark.parametrize("sku", ["", None])
def test_orders_without_skus_find_the_variant_by_its_name(tmp_path: Path, sku: str | None) -> None:
    found, report = ordered(
        tmp_path, "Linen Shirt - S / White", "Linen Shirt - M / White", "Mug - Large", sku=sku
    )

    assert found == ["shirt-s-white", "shirt-m-white", "mug"]
    assert remarks_of(report)[BY_NAME] == 3


def test_a_variant_that_is_gone_counts_for_the_first_of_its_product(tmp_path: Path) -> None:
    found, report = ordered(tmp_path, "Linen Shirt - XXL / White", "Linen Shirt")

    assert found == ["shirt-s-white", "shirt-s-white"]
    assert remarks_of(report)[BY_GROUP] == 2
    [examples] = [one.examples for one in report.remarks if one.kind.endswith(BY_GROUP)]
    assert "'Linen Shirt - XXL / White' is shirt-s-white" in examples[0]


def test_a_name_of_no_product_or_of_several_stays_as_it_is(tmp_path: Path) -> None:
    found, report = ordered(tmp_path, "Hat", "Cap", "Cap - XL", "Cap - M")

    assert found == ["Hat", "Cap", "Cap - XL", "cap-2-m"]  # there are two caps
    assert remarks_of(report)[BY_NOBODY] == 3


def test_an_id_that_the_shop_has_goes_before_the_name(tmp_path: Path) -> None:
    known, _ = ordered(tmp_path, "Mug - Large", sku="B-1")
    unknown, _ = ordered(tmp_path, "Mug - Large", sku="OLD-1")

    assert (known, unknown) == (["B-1"], ["mug"])


@pytest.mark.parametrize(
    "name", ["linen shirt - s / white", "Linen  Shirt - S, White", "LINEN SHIRT - S/White"]
)
def test_capitals_spaces_and_separators_make_no_difference(name: str) -> None:
    names = ProductNames()
    names.add(KnownName("p1", "Linen Shirt", ("S", "White"), "Linen Shirt, S"), "g")

    assert names.product_of(None, name, 2, Remarks()) == "p1"
    assert names.product_of(None, "Linen Shirt, S", 2, Remarks()) == "p1"
    assert names.product_of(None, None, 2, Remarks()) is None
