"""Separated text in the forms that exports give it."""

import gzip
from pathlib import Path

import pytest

from pipelines.errors import ShopError
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Row

WANTED = ("id", "title", "price")
MUG = {"id": "1", "title": "Mug", "price": "5"}
CUP = {"id": "2", "title": "Cup", "price": "6"}


def read(
    folder: Path, content: str, name: str = "goods.csv", separator: str = ""
) -> tuple[list[Row], str]:
    path = folder / name
    path.write_bytes(content.encode())
    opened = open_rows(path, separator, columns=WANTED)
    rows = list(opened.rows)
    return rows, "\n".join(remark.sentence() for remark in opened.remarks.all())


def values(folder: Path, content: str, name: str = "goods.csv") -> list[dict]:
    return [row.values for row in read(folder, content, name)[0]]


@pytest.mark.parametrize(
    "content",
    [
        "id;title;price\n1;Mug;5\n2;Cup;6\n",
        "id\ttitle\tprice\n1\tMug\t5\n2\tCup\t6\n",
        "id|title|price\n1|Mug|5\n2|Cup|6\n",
        "sep=;\nid;title;price\n1;Mug;5\n2;Cup;6\n",
        '"sep=|"\r\nid|title|price\r\n1|Mug|5\r\n2|Cup|6\r\n',
        "Products of the shop\nJanuary 2024\n\nid,title,price\n1,Mug,5\n2,Cup,6\n",
        "Products;;\n;;\nid;title;price\n1;Mug;5\n2;Cup;6\n",
        "# exported\n# twice\nid,title,price\n1,Mug,5\n# in between\n2,Cup,6\n",
        "#id,title,price\n1,Mug,5\n2,Cup,6\n",
        "id,title,price\n\n1,Mug,5\n   \n,,\n2,Cup,6\n\n",
        "id,title,price\n1,Mug,5\nid,title,price\n2,Cup,6\n",
        "id,title,price,\n1,Mug,5,\n2,Cup,6,\n",
        "id,title,price\n1,Mug,5,\n2,Cup,6,\n",
        '\ufeff"id","title","price"\r\n"1","Mug","5"\r\n"2","Cup","6"\r\n',
        "id,title,price\r1,Mug,5\r2,Cup,6\r",
        "'id','title','price'\n'1','Mug','5'\n'2','Cup','6'\n",
        " id , title ,price \n1,Mug,5\n2,Cup,6\n",
        'id, title, price\n="1","=""Mug""",5\n2, "Cup", 6\n',
        "| id | title | price |\n|---|---|---|\n|1|Mug|5|\n|2|Cup|6|\n",
        "id|title|price\n--+-------+------\n1|Mug|5\n2|Cup|6\n",
    ],
)
def test_the_same_rows_are_read_however_the_table_is_written(tmp_path: Path, content: str) -> None:
    rows = values(tmp_path, content)

    cut = [{name: row[name].strip() for name in WANTED} for row in rows]
    assert cut == [MUG, CUP]


@pytest.mark.parametrize(
    ("above", "lines"),
    [
        ("TemplateType=fptcustom\tVersion=2021.1\nSKU\tName\tPrice\n{names}\n", 4),
        (
            "settings=attributeRow=5&dataRow=7&labelRow=4\n\t\nGroup\t\nSKU\tName\tPrice\n{names}\n"
            "required\t\t\n",
            7,
        ),
    ],
)
def test_the_templates_of_amazon_begin_in_their_own_line(
    tmp_path: Path, above: str, lines: int
) -> None:
    content = above.format(names="\t".join(WANTED)) + "1\tMug\t5\n"

    rows, remarks = read(tmp_path, content, "goods.txt")

    assert rows == [Row(lines, MUG)]
    assert "lines above the header are left out" in remarks


def test_of_a_template_the_labels_may_be_the_names(tmp_path: Path) -> None:
    content = "TemplateType=x\t\t\nid\ttitle\tprice\nitem_sku\titem_name\tcost\n1\tMug\t5\n"

    rows, remarks = read(tmp_path, content, "goods.txt")

    assert rows == [Row(4, MUG)]
    assert "lines of a template are left out: line 3: 'item_sku" in remarks


HEADER = "id,title,price\n"


@pytest.mark.parametrize(
    ("cell", "title"),
    [
        ('"Red, big mug"', "Red, big mug"),
        ('"A ""good"" mug"', 'A "good" mug'),
        ('"He said \\"hi\\", twice"', 'He said "hi", twice'),
        ('27" monitor', '27" monitor'),
        ('"TV 55" OLED"', 'TV 55" OLED'),
        ('"Best dad" mug "ever"', '"Best dad" mug "ever"'),
        ('"Best dad" mug', '"Best dad" mug'),
        ('"Never closed', '"Never closed'),
        ('"12" pan, steel"', '12" pan, steel'),
        ("“Red, big mug”", "Red, big mug"),
        ("„Rot, groß“", "Rot, groß"),
        ("'Red, big mug'", "Red, big mug"),
        ("“Best” mug", "“Best” mug"),
        ("'90s mug", "'90s mug"),
        (' "Red, big mug" ', "Red, big mug"),
        ('"first line\nsecond, line"', "first line\nsecond, line"),
        ('"say \\"a\\"\nnext \\"b\\", c"', 'say "a"\nnext "b", c'),
    ],
)
def test_a_quote_is_read_as_its_row_makes_sense(tmp_path: Path, cell: str, title: str) -> None:
    rows = values(tmp_path, f"{HEADER}0,Plate,4\n1,{cell},5\n2,Cup,6\n")

    assert [row["title"] for row in rows] == ["Plate", title, "Cup"]
    assert [row["price"].strip() for row in rows] == ["4", "5", "6"]


@pytest.mark.parametrize("later", ['3,"Red mug",6', '3,Balloon 12",6', '3,Balloon 12" red,6'])
def test_a_quote_that_is_never_closed_swallows_no_other_row(tmp_path: Path, later: str) -> None:
    rows, remarks = read(tmp_path, f'{HEADER}1,"Happy set,4\n2,Mug,5\n{later}\n4,Cup,7\n')

    assert [row.values["id"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0].values["title"] == '"Happy set'
    assert "line 2" in remarks


def test_lines_that_are_one_quoted_cell_each_are_read_as_the_lines_they_were(
    tmp_path: Path,
) -> None:
    rows, remarks = read(tmp_path, '"id,title,price"\n"1,""Red mug, big"",5"\n"2,Cup,6"\n')

    assert [row.values for row in rows] == [
        {"id": "1", "title": "Red mug, big", "price": "5"},
        {"id": "2", "title": "Cup", "price": "6"},
    ]
    assert "in quotes as a whole" in remarks


def test_a_file_full_of_open_quotes_is_read_in_one_pass(tmp_path: Path) -> None:
    content = HEADER + "".join(f'{i},"Open {i},1\n' for i in range(5_000))

    rows, remarks = read(tmp_path, content)

    assert len(rows) == 5_000
    assert "(5,000 times)" in remarks


@pytest.mark.parametrize("row", ["1,Mug, red,5", "1,Mug,5,50", "1,Mug,,,red"])
def test_a_row_with_a_cell_too_many_is_named_and_not_shifted(tmp_path: Path, row: str) -> None:
    rows, _ = read(tmp_path, f"{HEADER}{row}\n2,Cup,6\n3,Pot,7\n")

    assert rows[0].mistake.startswith(f"{row.count(',') + 1} fields where the header has 3")
    assert [one.values.get("id") for one in rows[1:]] == ["2", "3"]


def test_of_names_that_come_again_each_row_has_all_cells(tmp_path: Path) -> None:
    path = tmp_path / "goods.csv"
    path.write_text("id,image,image\n1,a.jpg,b.jpg\n")

    opened = open_rows(path, columns=("id", "image"))

    assert opened.columns == ("id", "image")
    assert opened.repeated == {"image"}
    assert [row.values for row in opened.rows] == [{"id": "1", "image": ["a.jpg", "b.jpg"]}]


def test_rows_of_r_begin_with_a_number_that_the_header_lacks(tmp_path: Path) -> None:
    rows = values(tmp_path, "id\ttitle\tprice\n1\ta\tMug\t5\n2\tb\tCup\t6\n", "goods.tsv")

    assert [row["id"] for row in rows] == ["a", "b"]


def test_a_packed_file_is_read_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "goods.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}1,Mug,5\n".encode()))

    assert [row.values for row in open_rows(path).rows] == [MUG]


def test_a_packed_file_that_is_cut_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "goods.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}1,Mug,5\n".encode())[:-12])

    with pytest.raises(ShopError, match="damaged or cut short"):
        list(open_rows(path).rows)


def test_a_bomb_is_refused_and_not_unpacked_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "goods.csv.gz"
    path.write_bytes(gzip.compress(b"id,title\n" + b"x" * 50_000_000, 1))

    with pytest.raises(ShopError, match="line 2: longer than 1,000,000 characters"):
        list(open_rows(path).rows)


def test_the_semicolon_of_an_entity_parts_no_cells(tmp_path: Path) -> None:
    content = "id;title;price\n1;Stool &quot;Bern&quot; &amp; more;5\n2;Cup;6\n"

    rows = values(tmp_path, content)

    assert [row["title"] for row in rows] == ["Stool &quot;Bern&quot; &amp; more", "Cup"]


def test_many_columns_of_the_same_names_are_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    header = ",".join(f"c{n // 2}" for n in range(20_000))
    path.write_text(header + "\n" + "\n".join([",".join(["v"] * 20_000)] * 3) + "\n")

    rows = list(open_rows(path).rows)

    assert [row.values["c9999"] for row in rows] == [["v", "v"]] * 3


def test_a_cell_in_quotes_may_hold_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'id,title\n1,"{"a, " * 100_000}"\n')

    [row] = open_rows(path).rows

    assert len(row.values["title"]) == 300_000
