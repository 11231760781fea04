"""What becomes of rows that are variants, pictures, parents or not for sale."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.errors import ShopError
from pipelines.importers.mapping import Mapping
from pipelines.importers.table import GOES_ON, import_table
from pipelines.importers.variants.shaping import RENAMED
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop

COLUMNS = {"id": "sku", "title": "title", "price": "price", "images": "image", "brand": "brand"}
GROUPED = {
    "columns": COLUMNS,
    "options": [["o1", "v1"], ["o2", "v2"]],
    "variants": {"group": "handle", "filled": ["sku", "price", "v1"], "image": "own"},
    "leave_out": {"status": ["draft"]},
}
HEADER = "handle,title,brand,o1,v1,o2,v2,sku,price,image,own,status"


def imported(
    folder: Path, text: str, mapping: dict[str, Any]
) -> tuple[list[dict[str, Any]], QualityReport]:
    (folder / "goods.csv").write_text(text, encoding="utf-8")
    report = import_table(
        folder / "goods.csv", folder / "shop", msgspec.convert(mapping, Mapping), silent
    )
    batches = Shop(folder / "shop").product_batches()
    return [row for batch in batches for row in batch.to_pylist()], report


def remarked(report: QualityReport) -> dict[str, int]:
    """Return how often each choice was made, without the file's name."""
    return {one.kind.partition(": ")[2]: one.count for one in report.remarks}


def grouped(folder: Path, *rows: str) -> tuple[list[dict[str, Any]], QualityReport]:
    return imported(folder, "\n".join([HEADER, *rows]) + "\n", GROUPED)


def test_rows_of_one_group_are_variants_with_the_title_of_their_product(tmp_path: Path) -> None:
    products, report = grouped(
        tmp_path,
        "shirt,Linen Shirt,Corner,Size,S,Colour,White,LS-S,40,a.jpg,,",
        "shirt,,,Size,M,Colour,White,LS-M,40,b.jpg,,",
        "bag,Canvas Bag,Corner,Title,Default Title,,,CB,19,d.jpg,,",
        "bag,,,,,,,,,e.jpg,,",
    )  # fmt: skip

    small, middle, bag = products
    assert [one["title"] for one in products] == ["Linen Shirt, S", "Linen Shirt, M", "Canvas Bag"]
    assert [one["item_group_id"] for one in products] == ["shirt", "shirt", ""]
    assert [one["id"] for one in products] == ["LS-S", "LS-M", "CB"]
    assert middle["brand"] == "Corner"
    assert dict(middle["attributes"]) == {"size": "M", "colour": "White"}
    assert small["images"] == middle["images"] == ["a.jpg", "b.jpg"]
    assert bag["images"] == ["d.jpg", "e.jpg"]
    assert (report.rows_read, report.rows_kept, report.refused) == (4, 3, {})
    assert remarked(report)["rows are further pictures of a product"] == 1


def test_the_picture_of_a_variant_comes_before_those_of_its_product(tmp_path: Path) -> None:
    products, _ = grouped(
        tmp_path,
        "shirt,Shirt,,Size,S,,,S1,1,a.jpg,s.jpg,",
        "shirt,,,Size,M,,,S2,1,b.jpg,m.jpg,",
    )

    assert [one["images"] for one in products] == [
        ["s.jpg", "a.jpg", "b.jpg"],
        ["m.jpg", "a.jpg", "b.jpg"],
    ]


def test_rows_of_a_group_need_not_stand_together(tmp_path: Path) -> None:
    products, _ = grouped(
        tmp_path, "a,Shirt,,Size,S,,,A1,1,,,", "b,Cup,,,,,,B1,1,,,", "a,,,Size,M,,,A2,1,,,"
    )

    assert [one["title"] for one in products] == ["Shirt, S", "Cup", "Shirt, M"]


def test_what_is_not_published_is_left_out_with_all_of_its_variants(tmp_path: Path) -> None:
    products, report = grouped(
        tmp_path,
        "a,Shirt,,Size,S,,,A1,1,,,Draft",
        "a,,,Size,M,,,A2,1,,,",
        "b,Cup,,,,,,B1,1,,,active",
    )

    assert [one["id"] for one in products] == ["B1"]
    assert report.refused == {}
    assert remarked(report) == {
        "rows are left out, because status is 'draft'": 1,
        "rows are left out, because their product's status is 'draft'": 1,
    }
    assert report.remarks[0].examples == ("line 2: 'Shirt'",)


def test_a_shop_of_nothing_but_drafts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShopError, match="none of its 1 rows is a product for sale"):
        grouped(tmp_path, "a,Shirt,,Size,S,,,A1,1,,,draft")


def test_a_variant_without_an_id_of_its_own_gets_one(tmp_path: Path) -> None:
    products, report = grouped(
        tmp_path,
        "a,Shirt,,Size,XL (wide),,,,1,,,",
        "a,,,Size,M,,,X,1,,,",
        "a,,,Size,L,,,X,1,,,",
        "b,Cup,,,,,,,1,,,",
    )

    assert [one["id"] for one in products] == ["a-xl-wide", "X", "a-l", "b"]
    assert remarked(report)[RENAMED] == 2


PARENTS = {
    "columns": COLUMNS | {"id": "id", "categories": "cat"},
    "attributes": {"sku": "sku"},
    "options": [["o1", "v1"]],
    "variants": {"parent": "parent", "keys": ["id", "sku"]},
    "leave_out": {"published": ["0", "-1"]},
}


@pytest.mark.parametrize("reference", ["id:10", "10", "HOOD"])
def test_a_product_is_named_by_its_variants_and_makes_way_for_them(
    tmp_path: Path, reference: str
) -> None:
    header = "id,sku,title,cat,price,image,brand,parent,o1,v1,published"
    text = (
        f"{header}\n"
        f"11,H-R,Hoodie,,42,,,{reference},Colour,Red,1\n"
        "10,HOOD,Hoodie,Clothing > Hoodies,,h.jpg|i.jpg,Corner,,Colour,Red|Blue,1\n"
        f"12,H-B,Hoodie - Blue,,45,b.jpg,,{reference},Colour,Blue,1\n"
        f"13,H-G,Hoodie,,45,,,{reference},Colour,Green,0\n"
        "14,CAP,Cap,Clothing > Caps,10,,,,,,1\n"
    )

    products, report = imported(tmp_path, text, PARENTS)

    red, blue, cap = products
    assert (red["title"], red["categories"]) == ("Hoodie, Red", ["Clothing > Hoodies"])
    assert (red["images"], red["brand"]) == (["h.jpg", "i.jpg"], "Corner")
    assert (blue["title"], blue["images"]) == ("Hoodie - Blue", ["b.jpg"])
    assert (red["item_group_id"], blue["item_group_id"], cap["item_group_id"]) == ("10", "10", "")
    assert (report.rows_read, report.rows_kept, report.refused) == (5, 3, {})
    assert remarked(report)["rows are products whose variants are imported in their place"] == 1


def test_a_variant_without_its_product_is_a_product(tmp_path: Path) -> None:
    text = "id,sku,title,cat,price,image,brand,parent,o1,v1,published\n9,X,Lonely,,5,,,id:99,,,1\n"

    [one], _ = imported(tmp_path, text, PARENTS)

    assert (one["title"], one["item_group_id"]) == ("Lonely", "")


def test_a_product_names_its_variants(tmp_path: Path) -> None:
    mapping = {
        "columns": {"id": "sku", "title": "name", "price": "price"},
        "pairs": "more",
        "variants": {"children": "kids"},
        "only_as_variant": {"visibility": ["Not Visible Individually"]},
    }
    text = (
        "sku,name,price,visibility,kids,more\n"
        'T-S,Tank-S,20,Not Visible Individually,,"size=S,manufacturer=Luma"\n'
        'T-M,Tank-M,20,Not Visible Individually,,"size=M,manufacturer=Luma"\n'
        'T,Tank,,"Catalog, Search","sku=T-S,size=S|sku=T-M,size=M",\n'
        "part,Spare part,1,Not Visible Individually,,\n"
    )

    products, report = imported(tmp_path, text, mapping)

    assert [(p["id"], p["title"], p["item_group_id"], p["brand"]) for p in products] == [
        ("T-S", "Tank-S", "T", "Luma"),
        ("T-M", "Tank-M", "T", "Luma"),
    ]
    assert remarked(report) == {
        "rows are products whose variants are imported in their place": 1,
        "rows are left out, because visibility is 'not visible individually'": 1,
    }


def test_a_column_says_what_a_row_is_and_variants_follow_their_product(tmp_path: Path) -> None:
    mapping = {
        "columns": {"id": "sku", "title": "name", "price": "price", "images": "image"},
        "pairs": "options",
        "variants": {
            "group": "id", "follow": True, "role": "item",
            "roles": {"product": "product", "variant": "variant", "sku": "variant",
                      "image": "picture", "rule": "none"},
        },
    }  # fmt: skip
    text = (
        "item,id,name,sku,options,price,image\n"
        "Product,7,Tee,TEE,,20,\n"
        "Variant,8,,TEE-S,Type=Radio|Name=Size|Value=S,,\n"
        "Variant,9,,TEE-M,Type=Radio|Name=Size|Value=M,22,\n"
        "Image,,,,,,t.jpg\n"
        "Product,8,Cup,CUP,,5,\n"
        "SKU,,[RT]Colour=Red,CUP-R,,,\n"
        "SKU,,[RT]Colour=Blue,CUP-B,,,\n"
        "Rule,,,,,,\n"
        "Product,9,Jug,JUG,,9,j.jpg\n"
    )

    products, report = imported(tmp_path, text, mapping)

    assert [(p["id"], p["title"], p["price"], p["item_group_id"]) for p in products] == [
        ("TEE-S", "Tee, S", 20, "7"), ("TEE-M", "Tee, M", 22, "7"),
        ("CUP-R", "Cup, Red", 5, "8"), ("CUP-B", "Cup, Blue", 5, "8"), ("JUG", "Jug", 9, ""),
    ]  # fmt: skip
    assert products[0]["images"] == ["t.jpg"]
    assert products[4]["images"] == ["j.jpg"]
    assert (report.rows_read, report.rows_kept, report.refused) == (9, 5, {})


def test_rows_of_the_same_id_without_a_title_go_on_with_the_product_above(tmp_path: Path) -> None:
    text = (
        "sku,title,price,image,brand,size\n"
        "shirt,Shirt,40,a.jpg,Corner,S\nshirt,,40,b.jpg,,M\nshirt,,42,,,L\nbag,Bag,19,d.jpg,,\n"
    )
    mapping = {"columns": COLUMNS, "attributes": {"size": "size"}}

    products, report = imported(tmp_path, text, mapping)

    assert [one["title"] for one in products] == ["Shirt", "Bag"]
    assert products[0]["images"] == ["a.jpg", "b.jpg"]
    assert products[0]["attributes"] == [("size", "S"), ("size", "M"), ("size", "L")]
    assert (report.rows_read, report.rows_kept, report.refused) == (4, 2, {})
    assert remarked(report) == {GOES_ON: 2}


def test_rows_that_name_a_product_again_are_no_mistake_where_the_mapping_says_so(
    tmp_path: Path,
) -> None:
    text = "sku,title,price,image,brand\na,,1,,\na,Cup,1,,\na,Cup,1,,\nb,Jug,2,,\n"

    products, report = imported(tmp_path, text, {"columns": COLUMNS, "repeats": True})

    assert [one["title"] for one in products] == ["Cup", "Jug"]
    assert report.refused == {"no title": 1}
    assert remarked(report) == {"rows name a product that was there before": 1}


def test_an_empty_cell_is_filled_by_its_fallback(tmp_path: Path) -> None:
    text = "sku,title,price,image,brand,title_en\na,,1,,,Cup\nb,Krug,2,,,Jug\n"

    products, _ = imported(tmp_path, text, {"columns": COLUMNS, "fallbacks": {"title": "title_en"}})

    assert [one["title"] for one in products] == ["Cup", "Krug"]


@pytest.mark.parametrize(
    ("row", "price", "before"),
    [
        ("20,15,,,,", 15, "20.00"),
        ("20,15,,,,yes", 15, "20.00"),
        ("20,15,,,,No", 20, None),
        ("20,15,6/1/24,6/30/24,,", 15, "20.00"),
        ("20,15,6/1/24,6/14/24,,", 20, None),
        ("20,15,6/1/24,6/15/24,,", 15, "20.00"),
        ("20,25,,,,", 20, None),
        ("20,,,,30,", 20, "30.00"),
        ("20,,,,20,", 20, None),
        (",15,,,,", 15, None),
        ('"20,00 €","15,00 €",,,,', 15, "20.00"),
    ],
)
def test_a_sale_price_counts_while_the_sale_lasts(
    tmp_path: Path, row: str, price: float, before: str | None
) -> None:
    (tmp_path / "goods.csv").write_text(f"id,title,price,sale,from,to,was,on\na,Cup,{row}\n")
    sale = {"price": "sale", "start": "from", "end": "to", "before": "was", "flag": "on"}
    raw = {
        "columns": {"id": "id", "title": "title", "price": "price"},
        "sale": sale | {"order": "month first"},
    }

    import_table(
        tmp_path / "goods.csv", tmp_path / "shop", msgspec.convert(raw, Mapping), silent,
        at=datetime(2024, 6, 15, 12),
    )  # fmt: skip

    [cup] = next(Shop(tmp_path / "shop").product_batches()).to_pylist()
    assert cup["price"] == price
    assert dict(cup["attributes"]).get("regular_price") == before


@pytest.mark.parametrize(("continues", "groups"), [(True, ["c", "c"]), (False, ["", ""])])
def test_a_row_without_an_id_names_variants_of_the_row_above_only_where_it_goes_on(
    tmp_path: Path,
    continues: bool,  # noqa: FBT001
    groups: list[str],
) -> None:
    text = (
        "sku,title,price,children\nc,Shirt,20,c-s\n,Other,9,c-m\n"
        "c-s,Shirt S,20,\nc-m,Shirt M,21,\nx,Hat,1,\ny,Cap,1,\nz,Tie,1,\n"
    )
    mapping = {
        "columns": {"id": "sku", "title": "title", "price": "price"},
        "variants": {"children": "children"},
        "continues": continues,
    }

    rows, _ = imported(tmp_path, text, mapping)

    by_id = {row["id"]: row["item_group_id"] for row in rows}
    assert [by_id["c-s"], by_id["c-m"]] == groups
