"""Cells that come again are read once, and remarked on each time."""

import pytest

from pipelines.importers.values import cells
from pipelines.importers.values.cells import CellReader
from pipelines.importers.values.survey import CellStyle
from pipelines.shop.remarks import Remarks


def reader_of(remarks: Remarks) -> CellReader:
    return CellReader(CellStyle(), remarks)


def test_equal_cells_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    known = cells.availability_of
    monkeypatch.setattr(cells, "availability_of", lambda value: read.append(value) or known(value))
    reader = reader_of(Remarks())

    found = [reader.availability(line, "sold out") for line in range(5)]

    assert found == ["OUT_OF_STOCK"] * 5
    assert read == ["sold out"]


def test_a_cell_that_needs_a_remark_is_remarked_on_every_time() -> None:
    remarks = Remarks()
    reader = reader_of(remarks)

    for line in range(5):
        assert reader.availability(line, "whatever") == "IN_STOCK"
        assert reader.categories(line, ["Food &gt; Salt &amp; pepper"]) == ["Food > Salt & pepper"]

    assert [one.count for one in remarks.all()] == [5, 5]


def test_a_cell_of_one_field_is_not_that_of_another() -> None:
    reader = reader_of(Remarks())

    assert reader.categories(1, ["a/b"]) == ["a/b"]
    assert reader.attributes(1, {"colour": "a|b"}) == [("colour", "a|b")]
    assert reader.price(1, "3", "EUR") == (3.0, "EUR")
    assert reader.price(1, "3", "USD") == (3.0, "USD")
    assert reader.currency("3") == "3"


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "MOST_KNOWN", 3)
    reader = reader_of(Remarks())

    found = [reader.attributes(1, {"size": str(n)}) for n in range(10)]

    assert found == [[("size", str(n))] for n in range(10)]
    assert len(reader._known) == 3


@pytest.mark.parametrize(
    "code", ["4,00638E+12", "4.00638E+12", "4,0E+12", "4.006381E12", "9.78E+12"]
)
def test_a_code_that_a_spreadsheet_rounded_is_named_and_not_kept(code: str) -> None:
    remarks = Remarks()
    reader = reader_of(remarks)

    found = [reader.attributes(line, {"gtin": code, "size": "M"}) for line in range(2, 7)]

    assert found == [[("size", "M")]] * 5
    [remark] = remarks.all()
    assert remark.count == 5
    assert remark.examples == tuple(f"line {line}: gtin {code!r}" for line in (2, 3, 4))


@pytest.mark.parametrize(
    "text",
    ["4006381333931", "1.5E+03", "E+12", "4E", "12E+12", "Model 4.0E+12", "1.0E+5", "5E+12V"],
)
def test_what_only_looks_like_a_rounded_code_is_kept(text: str) -> None:
    assert reader_of(Remarks()).attributes(1, {"code": text}) == [("code", text)]
