import pytest

from pipelines.importers.variants.options import children_of, options_of, pairs_of


@pytest.mark.parametrize(
    ("cell", "pairs"),
    [
        ("color=Red,size=M", [("color", "Red"), ("size", "M")]),  # Magento
        ("note=light, warm,size=M", [("note", "light, warm"), ("size", "M")]),
        ("Color=Red;Size=M", [("Color", "Red"), ("Size", "M")]),  # eBay
        ("[RT]Color=Red,[S]Size=M", [("Color", "Red"), ("Size", "M")]),  # BigCommerce
        ("Type=Radio|Name=Color|Value=Red|Type=Box|Name=Size|Value=M",
         [("Color", "Red"), ("Size", "M")]),
        ("Color:Red:1,Size:M:2", [("Color", "Red"), ("Size", "M")]),  # PrestaShop
        ("a plain text", []), ("", []), (None, []), (7, []), ("=", [("", "")]),
    ],
)  # fmt: skip
def test_options_in_one_cell_are_read_as_exporters_write_them(cell: object, pairs: list) -> None:
    assert list(pairs_of(cell)) == pairs


def test_the_variants_that_a_product_names_have_their_options() -> None:
    cell = "sku=A-S,size=S,color=Red|sku=A-M,size=M,color=Red"

    assert list(children_of(cell)) == [
        ("A-S", {"size": "S", "color": "Red"}),
        ("A-M", {"size": "M", "color": "Red"}),
    ]


def test_a_product_without_variants_has_no_option() -> None:
    row = {"n": "Title", "v": "Default Title", "n2": "Size", "v2": "", "n3": "Colour:", "v3": "Red"}

    assert options_of(row, [("n", "v"), ("n2", "v2"), ("n3", "v3")], []) == {"colour": "Red"}


def test_a_long_cell_of_separators_is_read_in_no_time() -> None:
    assert len(list(pairs_of("a=" + "," * 1_000_000 + "=b"))) < 10_000
