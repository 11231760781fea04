"""An import and a live change keep the same product, and refuse the same with the same words."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.importers.mapping import Mapping
from pipelines.importers.table import import_table
from pipelines.live.changes import Delete, Edit, RejectedChange, Upsert, cleaned, logged_change
from pipelines.live.product_rules import RuleError, cleaned_product
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop
from retrieval import Product

FIELDS = ("id", "title", "description", "brand", "item_group_id", "categories", "tags", "images")
MAPPING = msgspec.convert(
    {"columns": {name: name for name in FIELDS}, "attributes": {"colour": "colour"}}, Mapping
)
OTHER = {"id": "other", "title": "Rye bread"}


def imported(folder: Path, row: dict[str, Any]) -> tuple[list[dict[str, Any]], QualityReport]:
    source = folder / "rows.jsonl"
    source.write_bytes(b"\n".join(map(msgspec.json.encode, (OTHER, row))))
    report = import_table(source, folder / "shop", MAPPING, silent)
    batches = Shop(folder / "shop").product_batches()
    rows = [row for batch in batches for row in batch.to_pylist()]
    return [row for row in rows if row["id"] != "other"], report


@pytest.mark.parametrize(
    "given",
    [
        {"title": "  Oat\x1b[2J\x00   milk "},
        {"title": "Oat\x99"},  # Windows-1252
        {"brand": "Cafe\u0301"},
        {"brand": "NULL"},
        {"tags": ["", "new", " new ", "new"]},
        {"categories": ["", " > ", "Food > Milk", "Food > Milk"]},
        {"description": " one\ntwo "},
        {"item_group_id": " g "},
    ],
)
def test_both_clean_alike(tmp_path: Path, given: dict[str, Any]) -> None:
    row = {"id": "p1", "title": "x"} | given

    [kept], _ = imported(tmp_path, row)
    product = cleaned_product(msgspec.convert(row, Product))

    field = next(iter(given))
    live = msgspec.to_builtins(product)[field]
    assert kept[field] == (list(live) if isinstance(live, tuple) else live)


@pytest.mark.parametrize(
    "given",
    [
        {"title": "   "},
        {"title": "x" * 30_000},
        {"brand": "x" * 501},
        {"id": "p\x07"},
        {"id": "x" * 129},
    ],
)
def test_both_refuse_with_the_same_words(tmp_path: Path, given: dict[str, Any]) -> None:
    row = {"id": "p1", "title": "x"} | given

    kept, report = imported(tmp_path, row)
    with pytest.raises(RuleError) as refused:
        cleaned_product(Product(**row))

    assert kept == []
    assert report.examples[0].reason == f"{refused.value.field} {refused.value}"


def test_half_a_letter_is_replaced_in_texts_and_refused_in_ids() -> None:
    assert cleaned_product(Product(id="p1", title="a\ud800b")).title == "a\ufffdb"
    with pytest.raises(RuleError, match="control character"):
        cleaned_product(Product(id="p\ud800", title="x"))


@pytest.mark.parametrize("change", [Delete(id=" p1"), Edit(id="p1\t", price=1.0)])
def test_an_id_with_spaces_at_its_ends_is_refused_in_every_change(change: Delete | Edit) -> None:
    refused = cleaned(change)

    assert isinstance(refused, RejectedChange)
    assert "begins or ends with a space; send 'p1'" in refused.message


def test_a_change_that_was_logged_before_the_rules_is_still_read() -> None:
    line = b'{"type": "upsert", "product": {"id": " p1 ", "title": "  "}}'

    assert logged_change(line) == Upsert(product=Product(id=" p1 ", title="  "))


def test_cleaning_twice_is_cleaning_once() -> None:
    product = Product(id="p1", title=" a  b ", attributes={"a": ("x", "y")}, tags=("t",))

    once = cleaned_product(product)

    assert cleaned_product(once) == once
