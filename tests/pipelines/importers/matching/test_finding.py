"""A log whose ids are not those of the catalogue: what the report says, and what `match` does."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from pipelines.cli.importing import import_
from pipelines.errors import ConfigError
from pipelines.importers.mapping import Mapping, matched
from pipelines.importers.matching.catalogue import Catalogue, Hit
from pipelines.importers.table import import_table
from pipelines.progress import silent
from pipelines.shop.id_match import IdMatch
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop

COLUMNS = {"id": "id", "title": "title", "item_group_id": "group"}
ATTRIBUTES = {"sku": "sku", "gtin": "gtin"}
GTINS = [f"401234500{n:03}" for n in range(101, 109)]


def catalogue(**values: Any) -> list[dict[str, str]]:
    """Return eight products; `values` make their columns from a number."""
    rows = []
    for n in range(1, 9):
        row = {"id": f"p{n}", "title": f"Cup {n}", "sku": f"CUP-{n:03}", "gtin": "", "group": ""}
        rows.append(row | {name: make(n) for name, make in values.items()})
    return rows


def imported(
    folder: Path, products: list[dict[str, str]], ids: list[Any], match: str = "", **events: Any
) -> tuple[list[str | None], IdMatch, QualityReport]:
    (folder / "p.json").write_bytes(msgspec.json.encode(products))
    rows = [
        (one if isinstance(one, dict) else {"p": one}) | {"u": f"u{i}", "t": "2024-03-01T10:00:00"}
        for i, one in enumerate(ids)
    ]
    (folder / "log.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    columns = {"user": "u", "time": "t", "product": "p", "match": match} | events
    raw = {"columns": COLUMNS, "attributes": ATTRIBUTES, "events": columns}
    report = import_table(
        folder / "p.json",
        folder / "shop",
        msgspec.convert(raw, Mapping),
        silent,
        events=folder / "log.jsonl",
    )
    found = [r for b in Shop(folder / "shop").event_batches() for r in b.to_pylist()]
    assert report.id_match is not None
    order = sorted(found, key=lambda row: int(row["user"][1:]))
    return [row["product"] for row in order], report.id_match, report


def words(table: str) -> str:
    """Return the words of a report without its lines."""
    return " ".join(table.replace("│", " ").split())


OWN = [f"p{n}" for n in range(1, 9)]
EIGHT = range(1, 9)
MISMATCHES: dict[str, tuple[dict[str, Any], list[Any], str, str]] = {
    "leading zeros": (
        {"id": lambda n: f"{n + 120:05}"}, [str(n + 120) for n in EIGHT], "id", "leading zeros",
    ),
    "capitals": ({}, [f"P{n}" for n in EIGHT], "id", "capitals"),
    "a prefix of Shopify": (
        {"id": lambda n: f"45{n}"}, [f"shopify_US_123_45{n}" for n in EIGHT],
        "id", "the variant in shopify_COUNTRY_PRODUCT_VARIANT",
    ),
    "GTIN-13 against GTIN-14": (
        {"gtin": lambda n: f"{GTINS[n - 1]}7"}, [f"0{one}7" for one in GTINS],
        "gtin", "the length of the GTIN",
    ),
    "GTIN-13 against UPC-12": (
        {"gtin": lambda n: f"0{GTINS[n - 1]}"}, GTINS, "gtin", "the length of the GTIN",
    ),
    "SKU instead of id": ({}, [f"CUP-{n:03}" for n in EIGHT], "sku", ""),
    "group instead of a single variant": (
        {"group": lambda n: f"g{n}"}, [f"g{n}" for n in EIGHT], "group", "",
    ),
    "spaces": ({"id": lambda n: f"A B{n}"}, [f"AB {n}" for n in EIGHT], "id", "spaces"),
    ".0 of floats": (
        {"id": lambda n: f"7{n}"}, [f"7{n}.0" for n in EIGHT], "id", "a number with .0",
    ),
    "address instead of id": (
        {}, [f"https://shop.example/cups/p{n}.html?utm_source=x" for n in EIGHT],
        "id", "the end of an address",
    ),
    "quotes": ({}, [f'"p{n}"' for n in EIGHT], "id", "quotes"),
    "letters of full width": ({}, [f"ｐ{n}" for n in EIGHT], "id", "forms of one letter"),
    "a prefix": ({}, [f"web:p{n}" for n in EIGHT], "id", "without its prefix"),
    "a global id": (
        {"id": lambda n: f"45{n}"}, [f"gid://shopify/ProductVariant/45{n}" for n in EIGHT],
        "id", "the end of a global id",
    ),
    "a parameter of an address": (
        {"id": lambda n: f"45{n}"}, [f"/products/cup?variant=45{n}" for n in EIGHT],
        "id", "a parameter of an address",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISMATCHES)
def test_a_mismatch_of_ids_is_named_and_auto_mends_it(tmp_path: Path, name: str) -> None:
    made, ids, field, how = MISMATCHES[name]
    products = catalogue(**made)
    own = [row["id"] for row in products]

    before, report, _ = imported(tmp_path, products, ids)
    after, mended, _ = imported(tmp_path, products, ids, "auto")
    named, _, _ = imported(tmp_path, products, ids, field)

    assert not {*before} & {*own}
    assert report.best is not None
    assert (report.best.field, report.best.how) == (field, how)
    assert (report.best.events, report.best.one_to_one) == (8, True)
    assert after == named == own
    assert [(one.field, one.how) for one in mended.taken] == [(field, how)]


def test_ids_that_are_right_stay_and_nothing_is_advised(tmp_path: Path) -> None:
    found, report, quality = imported(tmp_path, catalogue(), OWN)
    mended, taken, _ = imported(tmp_path, catalogue(), OWN, "auto")

    assert found == mended == OWN
    assert (report.best, taken.taken, report.unknown) == (None, (), 0)
    assert "8 by id" in quality.table()


def test_a_parent_of_several_variants_is_named_and_not_taken_by_auto(tmp_path: Path) -> None:
    products = catalogue(group=lambda n: f"g{n % 2}")
    ids = ["g0", "g1"] * 4

    before, report, quality = imported(tmp_path, products, ids)
    auto, _, _ = imported(tmp_path, products, ids, "auto")
    named, _, _ = imported(tmp_path, products, ids, "group")

    assert report.best is not None
    assert (report.best.field, report.best.one_to_one) == ("group", False)
    assert before == auto == ids
    assert named == ["p2", "p1"] * 4
    text = words(quality.table())
    assert "import again with --match group" in text
    assert "--match auto" not in text


def test_variants_of_a_catalogue_of_parents_are_not_taken_by_auto(tmp_path: Path) -> None:
    products = catalogue(id=lambda n: f"12{n}")
    ids = [f"shopify_US_12{n}_9{v}{n}" for n in EIGHT for v in (1, 2)]

    before, report, _ = imported(tmp_path, products, ids)
    auto, _, _ = imported(tmp_path, products, ids, "auto")
    named, _, _ = imported(tmp_path, products, ids, "id")

    assert report.best is not None
    assert report.best.how == "the product in shopify_COUNTRY_PRODUCT_VARIANT"
    assert not report.best.one_to_one
    assert before == auto == ids
    assert named == [f"12{n}" for n in EIGHT for _ in (1, 2)]


def test_a_log_of_barcodes_and_ids_is_mended_by_both(tmp_path: Path) -> None:
    products = catalogue(gtin=lambda n: GTINS[n - 1])
    ids = [*GTINS[:5], *OWN[5:]]

    found, report, _ = imported(tmp_path, products, ids, "auto")

    assert found == OWN
    assert [(by.field, by.events) for by in report.found] == [("gtin", 5), ("id", 3)]
    assert [one.field for one in report.taken] == ["gtin"]


def test_numbers_that_are_the_ids_of_others_by_chance_lose_to_the_codes(tmp_path: Path) -> None:
    products = catalogue(id=lambda n: str(n), sku=lambda n: str(n + 4))
    ids = [str(n + 4) for n in EIGHT]  # 5 to 8 are ids of other products

    found, report, _ = imported(tmp_path, products, ids, "auto")

    assert found == [str(n) for n in EIGHT]
    assert [one.field for one in report.taken] == ["sku"]


def test_the_right_column_of_a_log_is_found(tmp_path: Path) -> None:
    rows = [{"variant": f"v{n}", "sku": f"CUP-{n:03}"} for n in EIGHT]
    columns = {"product": ["variant", "sku"]}

    before, report, _ = imported(tmp_path, catalogue(), rows, **columns)
    after, _, _ = imported(tmp_path, catalogue(), rows, "auto", **columns)

    assert before == [f"v{n}" for n in EIGHT]
    assert report.best is not None
    assert (report.best.column, report.best.field) == ("sku", "sku")
    assert after == OWN


def test_a_code_of_two_products_finds_neither_by_auto(tmp_path: Path) -> None:
    products = catalogue(sku=lambda n: "CUP" if n < 3 else f"CUP-{n}")
    ids = ["CUP", *[f"CUP-{n}" for n in range(3, 9)]] * 10 + ["CUP-3"] * 160

    found, report, _ = imported(tmp_path, products, ids, "auto")

    assert found[:7] == ["CUP", *OWN[2:]]
    assert [one.field for one in report.taken] == ["sku"]


def test_products_that_the_shop_no_longer_has_are_found_by_nothing(tmp_path: Path) -> None:
    found, report, quality = imported(tmp_path, catalogue(), [*OWN, "gone", "gone"])

    assert found[-1] == "gone"
    assert (report.unknown, report.best) == (2, None)
    assert "8 by id; 2 by nothing" in words(quality.table())


@pytest.mark.parametrize("value", ["x" * 5_000, "//[", "\ud800", "-" * 3_000, "gid://", "%%%", {}])
def test_ids_that_are_none_make_no_way(tmp_path: Path, value: Any) -> None:
    rows = [*OWN, value] if not isinstance(value, str) or value.isprintable() else [*OWN, "?"]

    found, report, _ = imported(tmp_path, catalogue(), rows, "auto")

    assert found[:8] == OWN
    assert report.taken == ()


def test_match_needs_a_log() -> None:
    mapping = msgspec.convert({"columns": {"id": "id", "title": "t"}}, Mapping)

    with pytest.raises(ConfigError, match="there is no log"):
        matched(mapping, "auto")


def test_the_command_says_what_would_match_and_matches(tmp_path: Path) -> None:
    products = "sku,name,price,gtin\n" + "".join(f"p{n},Cup {n},2,{GTINS[n - 1]}\n" for n in EIGHT)
    log = "user_id,timestamp,sku\n" + "".join(
        f"u{n},2024-03-01 10:00:0{n},{GTINS[n - 1]}\n" for n in EIGHT
    )
    (tmp_path / "p.csv").write_text(products)
    (tmp_path / "log.csv").write_text(log)
    call = ["auto", str(tmp_path / "p.csv"), "--events", str(tmp_path / "log.csv")]
    shop = ["--shop", str(tmp_path / "shop")]

    said = CliRunner().invoke(import_, [*call, *shop])
    mended = CliRunner().invoke(import_, [*call, *shop, "--match", "auto"])
    printed = CliRunner().invoke(import_, [*call, "--print-mapping", "--match", "gtin"])
    nothing = CliRunner().invoke(import_, [*call[:2], *shop, "--match", "auto"])

    assert "import again with --match gtin or --match auto" in words(said.output)
    assert "replaced by its id" in words(mended.output)
    assert "match: gtin" in printed.output
    assert "there is no log" in str(nothing.exception or nothing.output)
    events = [r for b in Shop(tmp_path / "shop").event_batches() for r in b.to_pylist()]
    assert {event["product"] for event in events} == {*OWN}


def test_the_codes_of_a_catalogue_are_found_by_product_across_its_parts() -> None:
    import pyarrow as pa

    from pipelines.shop.schemas import PRODUCT_SCHEMA, conform

    known = Catalogue()
    for part in (["a", "b"], ["c"]):
        rows = [{"id": one, "attributes": [("sku", f"S{one}"), ("colour", "red")]} for one in part]
        schema = pa.schema([PRODUCT_SCHEMA.field(name) for name in ("id", "attributes")])
        known.add(conform(pa.Table.from_pylist(rows, schema), PRODUCT_SCHEMA))

    exact, alike = known.hits({"Sc"}, {"sb"})

    assert exact == {("sku", "Sc"): Hit(2, "Sc")}
    assert alike == {("sku", "sb"): Hit(1, "Sb")}
    assert [known.id_of(n) for n in range(3)] == ["a", "b", "c"]
