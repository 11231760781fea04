"""What an import says of its choices and its mistakes."""

from pipelines.shop.quality import EXAMPLES, Quality
from pipelines.shop.remarks import Remarks


def test_a_remark_is_counted_with_its_first_three_examples() -> None:
    remarks = Remarks("folder/goods.csv")
    for line in range(1, 6):
        remarks.add("rows are short", line, f"{line} of 9")
    remarks.add("the file is Latin-1")

    first, second = (remark.sentence() for remark in remarks.all())

    assert first == (
        "goods.csv: rows are short (5 times): line 1: 1 of 9; line 2: 2 of 9; line 3: 3 of 9"
    )
    assert second == "goods.csv: the file is Latin-1"


def test_of_each_kind_of_mistake_three_are_named_however_many_others_came_before() -> None:
    quality = Quality("shop", "table")
    for line in range(2 * EXAMPLES):
        quality.refuse("goods.csv", line, "no id", "id is empty")
    for line in range(5):
        quality.refuse("orders.csv", line, "event: no user", "user is empty")

    report = quality.report()

    assert [one.line for one in report.examples if one.source == "orders.csv"] == [0, 1, 2]
    assert report.refused == {"no id": 2 * EXAMPLES, "event: no user": 5}


def test_the_report_shows_each_choice() -> None:
    quality, remarks = Quality("shop", "table"), Remarks("goods.csv")
    remarks.add("categories are parted at slashes", 3, "'a/b'")
    quality.remarks += remarks.all()

    assert "goods.csv: categories are parted at slashes: line 3: 'a/b'" in quality.report().table()
