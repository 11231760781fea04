"""Several values in one cell."""

import pytest

from pipelines.importers.values.lists import media_of, opened, parts_of, separator_of


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["Red|Blue", "Red"], "|"),
        (["Red, Blue", "Red", "Blue"], ","),
        (["Red;Blue", "Red;Green", "Green"], ";"),
        (["Cotton, 95%", "Wool, soft"], ""),
        (["1,5 l", "2,5 l"], ""),
        (["Red", "Blue"], ""),
        ([], ""),
    ],
)
def test_a_column_tells_what_parts_its_values(cells: list[str], separator: str) -> None:
    assert separator_of(cells) == separator


def test_a_comma_within_a_number_or_behind_a_backslash_is_a_letter() -> None:
    assert parts_of("1,5 l, 2,5 l,Hats\\, caps", ",") == ["1,5 l", "2,5 l", "Hats, caps"]


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("http://x/a.jpg, http://x/b.jpg", ["http://x/a.jpg", "http://x/b.jpg"]),
        ("http://x/a.jpg http://x/b.jpg", ["http://x/a.jpg", "http://x/b.jpg"]),
        ("http://x/w_1,h_2/a.jpg", ["http://x/w_1,h_2/a.jpg"]),
        ("a.jpg;b.PNG", ["a.jpg", "b.PNG"]),
        ("a.jpg|b.jpg", ["a.jpg", "b.jpg"]),
        ("mug, red.jpg", ["mug, red.jpg"]),
    ],
)
def test_addresses_and_files_are_parted_where_one_ends(cell: str, parts: list[str]) -> None:
    assert media_of(cell, "|") == parts


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        ('["Red", "Caf\\u00e9 [2]"]', ["Red", "Café [2]"]),
        ("['Red', 'Blue']", ["Red", "Blue"]),
        ("""['it\\'s', "x, y"]""", ["it's", "x, y"]),
        ("[1, 2.5]", [1, 2.5]),
        ("[]", []),
        ("[RT]Color=Red", "[RT]Color=Red"),
        ("[sic]", "[sic]"),
        ("['a' 'b']", "['a' 'b']"),
        ('[["a"]]', '[["a"]]'),
        ("[" * 40_000 + "]" * 40_000, "[" * 40_000 + "]" * 40_000),
        (["Red"], ["Red"]),
        (None, None),
    ],
)
def test_a_cell_that_is_a_list_in_json_or_python_is_opened(cell: object, values: object) -> None:
    assert opened(cell) == values


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        (r"['Red\xa0Wine', 'B']", ["Red\u00a0Wine", "B"]),
        (r"['caf\u00e9', 'it\'s', 'a\\b']", ["café", "it's", r"a\b"]),
        (r"['\d', '\x']", [r"\d", "x"]),  # an escape that is none, and one that is cut
        (r"['\ud800']", ["ud800"]),
    ],
)
def test_the_escapes_of_a_list_of_python_are_read(cell: str, values: list[str]) -> None:
    assert opened(cell) == values
