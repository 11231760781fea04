from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import ShopError
from pipelines.shop.quality import Quality
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import EVENT_SCHEMA, PRODUCT_SCHEMA
from pipelines.shop.writer import ShopWriter

NOON = datetime(2017, 11, 14, 12)
NEXT_NOON = datetime(2017, 11, 15, 12)


def products(*ids: str) -> pa.Table:
    return pa.table({"id": list(ids), "title": [f"title of {i}" for i in ids]})


def events(*times: datetime, product: str = "p1") -> pa.Table:
    count = len(times)
    return pa.table(
        {
            "type": ["purchase"] * count,
            "user": ["u1"] * count,
            "time": pa.array(times, pa.timestamp("s")),
            "product": [product] * count,
        }
    )


def write(folder: Path, *, ids: tuple[str, ...] = ("p1", "p2")) -> Shop:
    with ShopWriter(folder, name="corner", source="table") as shop:
        shop.add_products(products(*ids))
        shop.add_events(events(NEXT_NOON, NOON))
        shop.write_report(Quality("corner", "table").report())
    return Shop(folder)


def times_of(shop: Shop, until: datetime | None) -> list[datetime]:
    return [t for batch in shop.event_batches(until, ["time"]) for t in batch["time"].to_pylist()]


def test_a_shop_gives_back_what_was_written(tmp_path: Path) -> None:
    shop = write(tmp_path / "shop")

    table = pa.Table.from_batches(shop.product_batches())

    assert table.schema == PRODUCT_SCHEMA
    assert table["id"].to_pylist() == ["p1", "p2"]
    assert shop.num_products == 2
    assert shop.meta.counts == {
        "products": 2, "events": 2, "users": 0, "campaigns": 0, "pictures": 0,
    }  # fmt: skip
    assert shop.meta.pictures == "none"
    assert (shop.folder / "quality.json").exists()
    assert "corner" in (shop.folder / "quality.txt").read_text()


def test_columns_that_a_source_lacks_hold_the_defaults_of_the_nouns(tmp_path: Path) -> None:
    shop = write(tmp_path / "shop")

    product = next(shop.product_batches()).to_pylist()[0]
    event = next(shop.event_batches()).to_pylist()[0]

    assert product["availability"] == "IN_STOCK"
    assert product["price"] is None
    assert product["categories"] == []
    assert event["quantity"] == 1.0
    assert event["consent"] == {"search": True, "recommend": True, "ads": True, "train": True}


def test_nulls_of_a_source_become_the_defaults_of_the_nouns(tmp_path: Path) -> None:
    table = pa.table({"id": ["p1", "p2"], "title": ["one", None], "price": [None, 2.0]})

    with ShopWriter(tmp_path / "shop", name="corner", source="table") as shop:
        written = shop.add_products(table)

    assert written["title"].to_pylist() == ["one", ""]
    assert written["price"].to_pylist() == [None, 2.0]


def test_events_are_read_in_order_of_time_whatever_order_they_came_in(tmp_path: Path) -> None:
    shop = write(tmp_path / "shop")

    assert times_of(shop, None) == [NOON, NEXT_NOON]
    assert shop.days() == [date(2017, 11, 14), date(2017, 11, 15)]


@pytest.mark.parametrize(
    ("until", "count"),
    [
        (datetime(2017, 11, 14), 0),
        (NOON, 0),
        (datetime(2017, 11, 14, 12, 0, 1), 1),
        (datetime(2017, 11, 15), 1),
        (NEXT_NOON, 1),
        (datetime(2017, 11, 16), 2),
        (None, 2),
    ],
)
def test_no_event_at_or_after_a_moment_is_read(
    tmp_path: Path, until: datetime | None, count: int
) -> None:
    shop = write(tmp_path / "shop")

    assert len(times_of(shop, until)) == count


def test_a_day_after_the_moment_is_not_even_opened(tmp_path: Path) -> None:
    shop = write(tmp_path / "shop")
    (shop.folder / "events" / "day=2017-11-15" / "part-0.parquet").write_bytes(b"broken")

    assert times_of(shop, datetime(2017, 11, 15)) == [NOON]
    with pytest.raises(ShopError, match="damaged"):
        times_of(shop, None)


def test_only_the_columns_asked_for_are_given(tmp_path: Path) -> None:
    shop = write(tmp_path / "shop")

    [batch, *_] = shop.event_batches(NEXT_NOON, ["product", "user"])

    assert batch.schema.names == ["product", "user"]
    assert next(shop.event_batches()).schema == EVENT_SCHEMA


def test_events_of_one_day_written_in_parts_are_all_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.shop.writer.EVENTS_IN_MEMORY", 1)

    with ShopWriter(tmp_path / "shop", name="corner", source="table") as writer:
        writer.add_products(products("p1"))
        for _ in range(12):
            writer.add_events(events(NOON))

    shop = Shop(tmp_path / "shop")

    assert len(times_of(shop, None)) == 12
    assert len(list(shop.folder.glob("events/*/part-*.parquet"))) == 12


def test_equal_pictures_next_to_each_other_are_stored_once(tmp_path: Path) -> None:
    picture = bytes(range(256)) * 400
    ids = [f"p{i}" for i in range(100)]
    table = pa.table({"id": ids, "image": [picture] * 100, "media_type": ["image/jpeg"] * 100})

    with ShopWriter(tmp_path / "shop", name="corner", source="table", pictures="drawn") as writer:
        writer.add_products(products(*ids))
        writer.add_pictures(table)
    shop = Shop(tmp_path / "shop")

    assert shop.meta.pictures == "drawn"
    assert (shop.folder / "pictures.parquet").stat().st_size < 2 * len(picture)
    found = [image for batch in shop.picture_batches() for image in batch["image"].to_pylist()]
    assert found == [picture] * 100


def test_a_shop_without_pictures_yields_none(tmp_path: Path) -> None:
    assert list(write(tmp_path / "shop").picture_batches()) == []


def test_the_fingerprint_is_of_the_contents(tmp_path: Path) -> None:
    one = write(tmp_path / "one").fingerprint()
    same = write(tmp_path / "same").fingerprint()
    other = write(tmp_path / "other", ids=("p1", "p3")).fingerprint()

    assert one == same
    assert one != other


def test_an_import_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(pa.ArrowInvalid),
        ShopWriter(tmp_path / "shop", name="corner", source="table") as writer,
    ):
        writer.add_products(pa.table({"id": ["p1"], "title": ["one"], "price": ["dear"]}))

    assert list(tmp_path.iterdir()) == []


def test_an_import_that_fails_leaves_the_shop_that_was_there(tmp_path: Path) -> None:
    before = write(tmp_path / "shop").fingerprint()

    with (
        pytest.raises(RuntimeError, match="the source broke"),
        ShopWriter(tmp_path / "shop", name="corner", source="table"),
    ):
        raise RuntimeError("the source broke")

    assert Shop(tmp_path / "shop").fingerprint() == before


def test_an_import_replaces_the_shop_that_was_there(tmp_path: Path) -> None:
    write(tmp_path / "shop")

    shop = write(tmp_path / "shop", ids=("p7",))

    assert shop.num_products == 1
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_what_a_killed_import_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    draft = tmp_path / ".shop.draft"
    (draft / "events" / "day=2011-01-01").mkdir(parents=True)
    (draft / "events" / "day=2011-01-01" / "part-0.parquet").write_bytes(b"half")
    (draft / "pictures.parquet").write_bytes(b"half")

    shop = write(tmp_path / "shop")

    assert shop.days() == [date(2017, 11, 14), date(2017, 11, 15)]
    assert not (shop.folder / "pictures.parquet").exists()


def test_a_shop_moved_away_by_a_killed_import_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "shop").folder.rename(tmp_path / ".shop.old")

    with (
        pytest.raises(RuntimeError),
        ShopWriter(tmp_path / "shop", name="corner", source="table"),
    ):
        raise RuntimeError

    assert Shop(tmp_path / "shop").num_products == 2


def test_two_imports_do_not_write_the_same_shop(tmp_path: Path) -> None:
    with (
        ShopWriter(tmp_path / "shop", name="corner", source="table") as first,
        pytest.raises(ShopError, match="another import is writing"),
        ShopWriter(tmp_path / "shop", name="corner", source="table"),
    ):
        first.add_products(products("p1"))

    assert not (tmp_path / ".shop.draft").exists()


def test_a_folder_that_is_no_shop_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mother.txt").write_text("dear mother")

    with pytest.raises(ShopError, match="holds files that are not a shop"):
        write(tmp_path / "letters")

    assert (tmp_path / "letters" / "mother.txt").read_text() == "dear mother"


def test_a_file_in_the_place_of_the_shop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("x")

    with pytest.raises(ShopError, match="is a file"):
        write(tmp_path / "shop")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(ShopError, match="cannot be written"):
        write(tmp_path / "file" / "shop")


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda shop: (shop / "shop.json").unlink(), "is not a shop"),
        (lambda shop: (shop / "shop.json").write_text("{"), "shop.json is damaged"),
        (lambda shop: (shop / "shop.json").write_text('{"name": 3}'), "shop.json is damaged"),
        (
            lambda shop: (shop / "shop.json").write_text(
                '{"format": 9, "name": "x", "source": "table"}'
            ),
            "has shop format 9, this version reads 1",
        ),
        (lambda shop: (shop / "products.parquet").unlink(), "products.parquet is missing"),
        (lambda shop: (shop / "products.parquet").write_bytes(b"PAR1"), "is damaged"),
        (
            lambda shop: pq.write_table(pa.table({"sku": ["p1"]}), shop / "products.parquet"),
            "has the columns sku, expected id, title",
        ),
        (lambda shop: (shop / "users.parquet").unlink(), "users.parquet is missing"),
    ],
)  # fmt: skip
def test_a_broken_shop_is_refused_by_name(tmp_path: Path, break_it, says: str) -> None:
    write(tmp_path / "shop")
    break_it(tmp_path / "shop")

    with pytest.raises(ShopError, match=says):
        Shop(tmp_path / "shop")


def test_a_folder_that_is_no_day_is_refused_by_name(tmp_path: Path) -> None:
    shop = write(tmp_path / "shop")
    (shop.folder / "events" / "day=someday").mkdir()

    with pytest.raises(ShopError, match="day=someday is not a day"):
        times_of(shop, None)
