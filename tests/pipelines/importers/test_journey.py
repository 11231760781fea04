"""A slice of the real supermarket: 3,000 of its products and all that was sold of them."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.errors import ShopError
from pipelines.importers.journey import names
from pipelines.importers.journey.importer import find_source, import_journey
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop
from retrieval.encoders.pictures import open_picture
from tests.assertions import every

SLICE = 3_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    whole = find_source()
    products = pq.read_table(whole / "products.parquet")
    kept = products.take(pa.array(range(0, products.num_rows, products.num_rows // SLICE)))
    lines = pq.read_table(whole / "transactions.parquet")
    sold = pc.is_in(lines["product_id"], value_set=kept["product_id"])
    pq.write_table(kept, folder / "products.parquet")
    pq.write_table(lines.filter(sold), folder / "transactions.parquet")
    for name in ("demographics", "campaigns", "campaign_descriptions", "coupons"):
        (folder / f"{name}.parquet").write_bytes((whole / f"{name}.parquet").read_bytes())
    return folder


@pytest.fixture(scope="module")
def imported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, QualityReport]:
    folder = tmp_path_factory.mktemp("shop") / "journey"
    report = import_journey(folder, silent, source=source)
    return Shop(folder), report


def lines_of(source: Path) -> pa.Table:
    return pq.read_table(source / "transactions.parquet")


def test_every_product_and_every_purchase_is_taken(
    source: Path, imported: tuple[Shop, QualityReport]
) -> None:
    shop, report = imported
    num_products = pq.read_metadata(source / "products.parquet").num_rows

    assert shop.num_products == num_products == report.rows_kept
    assert shop.meta.counts["events"] == lines_of(source).num_rows == report.events_kept
    assert (shop.meta.counts["users"], shop.meta.counts["campaigns"]) == (801, 27)
    assert report.refused == {}


def test_purchases_keep_the_ids_of_the_source_as_text(
    source: Path, imported: tuple[Shop, QualityReport]
) -> None:
    shop, _ = imported
    lines = lines_of(source)
    day = datetime(2017, 1, 3)

    events = pa.Table.from_batches(shop.event_batches(day))

    before = lines.filter(pc.less(lines["transaction_timestamp"], pa.scalar(day)))
    for ours, theirs in (
        ("user", "household_id"),
        ("session", "basket_id"),
        ("product", "product_id"),
    ):
        expected = sorted(str(value) for value in before[theirs].to_pylist())
        assert sorted(events[ours].to_pylist()) == expected
    assert set(events["type"].to_pylist()) == {"purchase"}


def test_a_quantity_of_nothing_is_a_purchase_all_the_same(
    source: Path, imported: tuple[Shop, QualityReport]
) -> None:
    shop, report = imported
    nothing = pc.sum(pc.equal(lines_of(source)["quantity"], 0)).as_py()

    quantities = [
        q for b in shop.event_batches(None, ["quantity"]) for q in b["quantity"].to_pylist()
    ]

    assert nothing > 0
    assert min(quantities) == 1.0
    assert any(note.startswith(f"{nothing:,} purchases of quantity 0") for note in report.notes)


def test_no_product_has_a_price_because_the_source_names_none(
    imported: tuple[Shop, QualityReport],
) -> None:
    shop, _ = imported

    table = pa.Table.from_batches(shop.product_batches())

    assert table["price"].null_count == table.num_rows


def test_titles_can_be_read_and_categories_are_paths(imported: tuple[Shop, QualityReport]) -> None:
    shop, _ = imported

    table = pa.Table.from_batches(shop.product_batches())
    titles = table["title"].to_pylist()

    assert every(titles)
    assert len(set(titles)) < 0.8 * len(titles)
    assert not [title for title in titles if title.isupper() and len(title) > 4]
    assert any(path[0].count(" > ") == 2 for path in table["categories"].to_pylist())
    assert set(table["brand"].to_pylist()) == {"National", "Private"}


def test_what_is_not_for_a_window_is_tagged(imported: tuple[Shop, QualityReport]) -> None:
    shop, _ = imported

    rows = pa.Table.from_batches(shop.product_batches()).to_pylist()
    unlisted = {
        dict(row["attributes"])["department"] for row in rows if row["tags"] == ["unlisted"]
    }
    listed = {dict(row["attributes"])["department"] for row in rows if not row["tags"]}

    assert "MISCELLANEOUS" in unlisted
    assert unlisted <= {"FUEL", "MISCELLANEOUS", "COUPON"}
    assert not listed & unlisted


def test_every_product_has_a_picture_that_says_it_is_drawn(
    imported: tuple[Shop, QualityReport],
) -> None:
    shop, report = imported

    pictures = pa.Table.from_batches(shop.picture_batches())
    ids = pa.Table.from_batches(shop.product_batches())["id"].to_pylist()

    assert shop.meta.pictures == "drawn"
    assert sorted(pictures["id"].to_pylist()) == sorted(ids)
    assert open_picture(pictures["image"][0].as_py()).size == (128, 128)
    assert any("drawn, not photographs" in note for note in report.notes)


def test_households_and_campaigns_come_with_what_is_known_of_them(
    imported: tuple[Shop, QualityReport],
) -> None:
    shop, _ = imported

    users = {row["id"]: dict(row["traits"]) for row in shop.users().to_pylist()}
    campaigns = {row["id"]: row for row in shop.campaigns().to_pylist()}

    assert users["1"]["age"] == "65+"
    assert "" not in {value for traits in users.values() for value in traits.values()}
    assert campaigns["18"]["kind"] == "Type A"
    assert campaigns["18"]["start"] == datetime(2017, 10, 30)
    assert len(campaigns["18"]["users"]) == len(set(campaigns["18"]["users"])) > 0
    assert len(campaigns["18"]["products"]) > 1_000


def test_the_same_source_makes_the_same_shop(source: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        import_journey(tmp_path / name, silent, source=source)

    assert Shop(tmp_path / "one").fingerprint() == Shop(tmp_path / "two").fingerprint()


def test_without_pictures_none_are_drawn(source: Path, tmp_path: Path) -> None:
    import_journey(tmp_path / "shop", silent, pictures=False, source=source)

    assert Shop(tmp_path / "shop").meta.pictures == "none"


def test_a_damaged_source_is_one_error_and_nothing_is_left(source: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in source.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "coupons.parquet").write_bytes(b"PAR1 and then nothing")

    with pytest.raises(ShopError, match=r"coupons.parquet is damaged"):
        import_journey(tmp_path / "shop", silent, source=broken)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]


@pytest.mark.parametrize(
    ("category", "kind", "title"),
    [
        ("YOGURT", "YOGURT NOT MULTI-PACKS", "Yogurt"),
        ("ICE CREAM/MILK/SHERBTS", "PREMIUM", "Premium Ice Cream"),
        ("MAKEUP AND TREATMENT", "COVERGIRL", "Covergirl Makeup"),
        ("PORK", "RIBS", "Pork Ribs"),
        ("BEEF", "CHOICE BEEF", "Choice Beef"),
        ("FRZN BREAKFAST FOODS", "WAFFLES/PANCAKES/TOAST", "Waffles, Pancakes & Toast"),
        ("MAGAZINE", "FOOD-MAGAZINE", "Food Magazine"),
        ("CANNED JUICES", "APPLE JUICE & CIDER (OVER 50%", "Apple Juice & Cider"),
        ("DRY NOODLES/PASTA", "SPAGHETTI DRY", "Dry Spaghetti"),
        ("PIES", "PIES: FRUIT/NUT", "Fruit & Nut Pies"),
        ("HOSIERY/SOCKS", "", "Hosiery & Socks"),
    ],
)  # fmt: skip
def test_abbreviated_types_become_titles(category: str, kind: str, title: str) -> None:
    assert names.title(category, kind) == title


@pytest.mark.parametrize(
    ("source_size", "size"),
    [
        ("16 OZ", "16 oz"),
        (".5 LB", "0.5 lb"),
        ("12 PK/12 OZ", "12 x 12 oz"),
        ("4/187 ML", "4 x 187 ml"),
        ("2 L", "2 L"),
        ("0 OZ", ""),
        ("803312  PK", ""),
        ("", ""),
        ("LARGE", ""),
    ],
)
def test_only_sizes_that_are_plainly_sizes_are_written(source_size: str, size: str) -> None:
    assert names.size(source_size) == size


def test_promotions_have_their_week_and_the_share_of_the_stores(
    source: Path, imported: tuple[Shop, QualityReport], tmp_path: Path
) -> None:
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    columns = ("product_id", "store_id", "display_location", "mailer_location", "week")
    placed = [
        (1, 10, "0", "A", 5),
        (1, 20, "3", "D", 5),
        (2, 10, "0", "0", 6),
        (2, 20, "A", "0", 6),
    ]
    rows = [dict(zip(columns, row, strict=True)) for row in placed]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "promotions.parquet")

    import_journey(tmp_path / "shop", silent, source=tmp_path, pictures=False)
    found = Shop(tmp_path / "shop").promotions().to_pylist()

    shares = [(row["product"], row["kind"], row["share"]) for row in found]
    assert sorted(shares) == [("1", "display", 0.5), ("1", "offer", 1.0), ("2", "display", 0.5)]
    assert every(row["end"] - row["start"] == timedelta(days=7) for row in found)
    weeks = {row["product"]: row["start"] for row in found}
    assert weeks["2"] - weeks["1"] == timedelta(days=7)
    assert not imported[0].promotions().num_rows  # a source without them has none
