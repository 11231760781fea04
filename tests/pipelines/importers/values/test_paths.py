"""Paths of categories, told by a whole column."""

import pytest

from pipelines.importers.values.paths import path_style, paths_of


def read(*cells: str, separator: str = "", lists: str | None = None) -> list[list[str]]:
    style = path_style(cells, separator, lists)
    return [paths_of(cell, style) for cell in cells]


@pytest.mark.parametrize("mark", [" > ", ">", " » ", "›", "::", "\\", " -> ", "→"])
def test_a_sign_that_no_name_has_parts_names(mark: str) -> None:
    assert read(mark.join(["Men", "Shoes", "Running"])) == [["Men > Shoes > Running"]]


def test_a_slash_parts_names_where_the_column_makes_a_tree() -> None:
    assert read("Men/Shoes", "Men/Shirts", "Women") == [
        ["Men > Shoes"],
        ["Men > Shirts"],
        ["Women"],
    ]
    assert read("/Men/Shoes/", "/Women/") == [["Men > Shoes"], ["Women"]]
    assert read("Clothing/Shirts", "Phones/Cases") == [["Clothing > Shirts"], ["Phones > Cases"]]


def test_a_slash_is_part_of_a_name_where_others_have_none() -> None:
    names = ["Kitchen/Dining", "Garden", "Audio/Video", "Toys", "Books"]

    assert read(*names) == [[name] for name in names]


def test_a_slash_is_part_of_a_name_where_another_sign_parts() -> None:
    cells = ["Home > Kitchen/Dining", "Kitchen/Dining", "Default Category/Men"]

    assert read(*cells) == [
        ["Home > Kitchen/Dining"],
        ["Kitchen/Dining"],
        ["Default Category > Men"],
    ]


def test_paths_of_woocommerce_are_parted_at_commas_and_escaped_ones_are_letters() -> None:
    cells = ["Clothing > Hats\\, Caps", "Clothing, Clothing > Hoodies", "A > B, C > D"]

    assert read(*cells) == [
        ["Clothing > Hats, Caps"],
        ["Clothing", "Clothing > Hoodies"],
        ["A > B", "C > D"],
    ]


def test_paths_of_magento_are_parted_at_commas() -> None:
    cells = ["Default Category/Men/Shoes,Default Category/Men", "Default Category/New"]

    assert read(*cells) == [
        ["Default Category > Men > Shoes", "Default Category > Men"],
        ["Default Category > New"],
    ]


def test_names_of_prestashop_are_parted_at_commas_as_they_come_again() -> None:
    assert read("Home, Clothes, Men", "Home, Clothes, Women", "Home")[0] == [
        "Home",
        "Clothes",
        "Men",
    ]


def test_a_comma_is_part_of_a_name_where_its_parts_are_no_paths() -> None:
    cells = ["Arts > Crafts, Hobbies > Paint", "Food, Beverages > Tea", "Shoes, Bags & Belts"]

    assert read(*cells) == [[cell] for cell in cells]


def test_a_mapping_may_say_both_separators() -> None:
    assert read("Men|Shoes", separator="|") == [["Men > Shoes"]]
    assert read("Men/Shoes > x", separator="/") == [["Men > Shoes > x"]]
    assert read("Kitchen/Dining", separator=">") == [["Kitchen/Dining"]]
    assert read("Men > Shoes; Sale", lists=";") == [["Men > Shoes", "Sale"]]
    assert read("Men > Shoes|Sale", lists="") == [["Men > Shoes|Sale"]]


def test_entities_are_read_before_the_path_is_parted() -> None:
    assert read("Home &amp; Garden &gt; Kitchen") == [["Home & Garden > Kitchen"]]


def test_lines_of_a_cell_are_paths() -> None:
    assert read("Men > Shoes\nSale") == [["Men > Shoes", "Sale"]]


def test_a_cell_of_very_many_commas_is_one_path() -> None:
    assert len(read("a > b," * 300)[0]) == 1
