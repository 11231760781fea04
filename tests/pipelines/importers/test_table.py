import os
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from pathlib import Path

import av
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.errors import ConfigError, ShopError
from pipelines.importers.columns import EventColumns, PictureColumns, ProductColumns
from pipelines.importers.mapping import Mapping
from pipelines.importers.table import import_table, load_mapping
from pipelines.importers.values.availability import availability_of
from pipelines.importers.values.prices import price_of
from pipelines.importers.values.texts import RowError
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop

pytestmark = pytest.mark.foreign

MAPPINGS = Path(__file__).parents[3] / "configs" / "mappings"
MAPPING = Mapping(
    columns=ProductColumns(
        id="sku",
        title="name",
        description=("short", "long"),
        brand="brand",
        categories=("department", "shelf"),
        price="price",
        availability="stock",
        images="photo",
    ),
    attributes={"colour": "colour"},
    currency="EUR",
)
ROWS = [
    {
        "sku": "a1", "name": "Rye bread", "short": "Dark.", "long": "Baked with rye.",
        "brand": "Mill", "department": "Food", "shelf": "Bread", "price": "2.50",
        "stock": "in stock", "photo": "", "colour": "brown",
    },
    {
        "sku": "a2", "name": "Ölive, green", "short": "", "long": "", "brand": "",
        "department": "Food", "shelf": "", "price": "", "stock": "OutOfStock",
        "photo": "x.jpg|y.jpg", "colour": "",
    },
]  # fmt: skip


def as_csv(path: Path, rows: list[dict[str, str]], separator: str = ",") -> Path:
    lines = [separator.join(rows[0])]
    lines += [separator.join(f'"{value}"' for value in row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def as_tsv(path: Path, rows: list[dict[str, str]]) -> Path:
    return as_csv(path, rows, "\t")


def as_jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


def as_parquet(path: Path, rows: list[dict[str, str]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS = {".csv": as_csv, ".tsv": as_tsv, ".jsonl": as_jsonl, ".parquet": as_parquet}
every_format = pytest.mark.parametrize("suffix", WRITERS)


def run(
    tmp_path: Path, source: Path, mapping: Mapping = MAPPING, **more: Path
) -> tuple[Shop, QualityReport]:
    report = import_table(source, tmp_path / "shop", mapping, silent, **more)
    return Shop(tmp_path / "shop"), report


def rows_of(shop: Shop) -> list[dict]:
    return pa.Table.from_batches(shop.product_batches()).to_pylist()


@every_format
def test_a_table_of_every_format_makes_the_same_products(tmp_path: Path, suffix: str) -> None:
    shop, report = run(tmp_path, WRITERS[suffix](tmp_path / f"goods{suffix}", ROWS))

    bread, olive = rows_of(shop)

    assert (bread["id"], bread["title"]) == ("a1", "Rye bread")
    assert bread["description"] == "Dark.\nBaked with rye."
    assert bread["categories"] == ["Food > Bread"]
    assert (bread["price"], bread["currency"]) == (2.5, "EUR")
    assert dict(bread["attributes"]) == {"colour": "brown"}
    assert olive["title"] == "Ölive, green"
    assert olive["categories"] == ["Food"]
    assert (olive["price"], olive["currency"]) == (None, "")
    assert olive["availability"] == "OUT_OF_STOCK"
    assert olive["images"] == ["x.jpg", "y.jpg"]
    assert (report.rows_read, report.rows_kept, report.name) == (2, 2, "goods")


@every_format
def test_the_line_of_a_refused_row_is_told(tmp_path: Path, suffix: str) -> None:
    rows = [ROWS[0], {**ROWS[1], "sku": ""}, ROWS[1]]

    _, report = run(tmp_path, WRITERS[suffix](tmp_path / f"goods{suffix}", rows))

    header = 1 if suffix in (".csv", ".tsv") else 0
    assert [(one.line, one.reason) for one in report.examples] == [(2 + header, "id is empty")]
    assert report.refused == {"no id": 1}


def test_lines_are_counted_over_fields_of_several_lines(tmp_path: Path) -> None:
    source = tmp_path / "goods.csv"
    source.write_text('sku,name\na1,"one\ntwo\nthree"\n,no id\na3,three\n')
    mapping = Mapping(columns=ProductColumns(id="sku", title="name"))

    _, report = run(tmp_path, source, mapping)

    assert [one.line for one in report.examples] == [5]


def test_a_million_products_would_fit_for_only_a_chunk_is_held(tmp_path: Path) -> None:
    source = tmp_path / "goods.csv"
    lines = (f"p{i},product {i}\n" for i in range(25_000))
    source.write_text("sku,name\n" + "".join(lines))

    shop, _ = run(tmp_path, source, Mapping(columns=ProductColumns(id="sku", title="name")))

    with pq.ParquetFile(shop.folder / "products.parquet") as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sizes == [10_000, 10_000, 5_000, 0][: len(sizes)]


def test_the_report_counts_what_is_missing_and_how_it_spreads(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "sku": f"p{i}", "brand": "Mill" if i < 6 else "Oven"} for i in range(8)]
    rows += [
        {**ROWS[1], "sku": "p8"},
        {**ROWS[1], "sku": "p0"},
        {**ROWS[0], "sku": "p9", "price": "-1"},
    ]

    shop, report = run(tmp_path, as_csv(tmp_path / "goods.csv", rows))

    assert (report.rows_read, report.rows_kept) == (11, 10)
    assert report.duplicate_ids == 1
    assert report.impossible_prices == 1
    assert report.missing["price"] == pytest.approx(0.2)
    assert report.missing["brand"] == pytest.approx(0.1)
    assert report.brands.largest == {"Mill": 7, "Oven": 2}
    assert 1 < report.brands.effective < 2
    assert (
        msgspec.json.decode((shop.folder / "quality.json").read_bytes(), type=QualityReport)
        == report
    )
    text = (shop.folder / "quality.txt").read_text()
    assert "refused: duplicate id" in text
    assert "line 11" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_report_shows_names_as_they_are(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "brand": "[bold]Mill[/]", "sku": "[/]"}]

    _, report = run(tmp_path, as_csv(tmp_path / "goods.csv", rows))

    assert "[bold]Mill[/] 1" in report.table()


def test_a_log_becomes_events(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(
        "who,what,when,act,n\n"
        "u1,a1,2017-11-15T08:30:00,purchase,2\n"
        "u1,a2,1510734600,detail-page-view,\n"
        "u2,a1,2017-11-15 10:00:00+01:00,add_to_cart,1\n"
        "u2,a1,yesterday,purchase,1\n"
        "u2,a1,2017-11-15,dance,1\n"
        "u2,gone,2017-11-16,purchase,1\n"
        "u3,a1,2017-11-15,purchase,0\n"
        ",a1,2017-11-15,purchase,1\n"
        "u3,,2017-11-15,purchase,1\n"
    )
    events = EventColumns(user="who", product="what", time="when", type="act", quantity="n")
    mapping = msgspec.structs.replace(MAPPING, events=events)

    shop, report = run(tmp_path, as_csv(tmp_path / "goods.csv", ROWS), mapping, events=log)

    kept = [row for batch in shop.event_batches() for row in batch.to_pylist()]
    assert [(row["user"], row["type"], row["time"]) for row in kept] == [
        ("anonymous:9", "purchase", datetime(2017, 11, 15)),
        ("u1", "purchase", datetime(2017, 11, 15, 8, 30)),
        ("u1", "view", datetime(2017, 11, 15, 8, 30)),
        ("u2", "add_to_cart", datetime(2017, 11, 15, 9)),
        ("u2", "purchase", datetime(2017, 11, 16)),
    ]
    assert (report.events_read, report.events_kept) == (9, 5)
    assert report.refused == {
        "event: unreadable time": 1,
        "event: unknown type": 1,
        "event: impossible quantity": 1,
        "event: no product": 1,
    }
    assert report.popularity is not None
    assert report.popularity.products_with_events == 3
    assert "1 events are of products that the catalogue lacks" in report.notes


def test_a_log_needs_a_mapping_that_knows_it(tmp_path: Path) -> None:
    log = as_csv(tmp_path / "log.csv", [{"who": "u1"}])

    with pytest.raises(ConfigError, match="does not say which columns are `events`"):
        run(tmp_path, as_csv(tmp_path / "goods.csv", ROWS), events=log)


def test_a_log_that_is_mostly_wrong_fails_the_import(tmp_path: Path) -> None:
    log = as_csv(tmp_path / "log.csv", [{"who": "u1", "what": "a1", "when": "soon"}])
    mapping = msgspec.structs.replace(
        MAPPING, events=EventColumns(user="who", product="what", time="when")
    )

    with pytest.raises(
        ShopError, match=r"1 of 1 events were refused, .* time 'soon' is not a moment"
    ):
        run(tmp_path, as_csv(tmp_path / "goods.csv", ROWS), mapping, events=log)

    assert not (tmp_path / "shop").exists()


def picture(colour: str = "red", kind: str = "JPEG") -> bytes:
    out = BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, kind)
    return out.getvalue()


def test_pictures_come_from_a_folder_by_name_or_by_id(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    (photos / "deep" / "bread.png").write_bytes(picture(kind="PNG"))
    (photos / "a2.webp").write_bytes(picture(kind="WEBP"))
    rows = [{**ROWS[0], "photo": "deep/bread.png"}, {**ROWS[1], "photo": ""}]

    shop, report = run(tmp_path, as_csv(tmp_path / "goods.csv", rows), pictures=photos)

    found = pa.Table.from_batches(shop.picture_batches()).to_pylist()
    assert [(row["id"], row["media_type"]) for row in found] == [
        ("a1", "image/png"),
        ("a2", "image/webp"),
    ]
    assert shop.meta.pictures == "photo"
    assert (report.pictures, report.unreadable_images) == (2, 0)


def test_a_product_may_have_several_pictures_and_a_film(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a1.jpg", "a1_1.jpg", "a1_2.png", "a1_4.jpg"):  # the third is not there
        (photos / name).write_bytes(picture())
    (photos / "a1.mp4").write_bytes(film())
    (photos / "a2.jpg").write_bytes(picture())
    (photos / "a2.webm").write_bytes(b"no film")
    rows = [{**ROWS[0], "photo": ""}, {**ROWS[1], "photo": ""}]

    shop, report = run(tmp_path, as_csv(tmp_path / "goods.csv", rows), pictures=photos)

    ids = [row["id"] for batch in shop.picture_batches() for row in batch.to_pylist()]
    videos = [row for batch in shop.video_batches() for row in batch.to_pylist()]
    assert ids == ["a1", "a1", "a1", "a2"]
    assert videos == [{"id": "a1", "video": film()}]
    assert (report.pictures, report.videos, report.unreadable_videos) == (4, 1, 1)
    assert "video of 'a2'" in report.examples[0].reason
    assert "videos / unreadable" in report.table()


def film() -> bytes:
    content = BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for image in (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")):
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())
    return content.getvalue()


def test_pictures_come_from_a_parquet_file_of_bytes(tmp_path: Path) -> None:
    photos = tmp_path / "photos.parquet"
    pq.write_table(
        pa.table(
            {"id": ["a2", "zz", "a1", "a2"], "jpeg": [picture(), picture(), b"no", picture()]}
        ),
        photos,
    )
    mapping = msgspec.structs.replace(MAPPING, pictures=PictureColumns(image="jpeg"))

    shop, report = run(tmp_path, as_csv(tmp_path / "goods.csv", ROWS), mapping, pictures=photos)

    assert [r["id"] for b in shop.picture_batches() for r in b.to_pylist()] == ["a2", "a2"]
    assert report.unreadable_images == 1
    assert report.examples[0].reason == "picture of 'a1': not a JPEG, PNG, WebP, GIF or BMP picture"


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("19.99", 19.99, ""),
        ("$19.99", 19.99, "USD"),
        ("19.99 USD", 19.99, "USD"),
        ("EUR 1.299,00", 1299.0, "EUR"),
        ("1,299.00", 1299.0, ""),
        ("1,299", 1299.0, ""),
        ("12,5 €", 12.5, "EUR"),
        ("1 299,00 EUR", 1299.0, "EUR"),
        ("0", 0.0, ""),
        (7, 7.0, ""),
    ],
)
def test_prices_are_read_as_shops_write_them(text: object, amount: float, currency: str) -> None:
    assert price_of(text) == (amount, currency)


@pytest.mark.parametrize("value", ["cheap", "-1", "1e9999", "2 for 10.00", float("inf"), True, [1]])
def test_what_is_no_price_is_refused(value: object) -> None:
    with pytest.raises(RowError, match="price"):
        price_of(value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "IN_STOCK"),
        (None, "IN_STOCK"),
        ("in stock", "IN_STOCK"),
        ("https://schema.org/InStock", "IN_STOCK"),
        ("OUT_OF_STOCK", "OUT_OF_STOCK"),
        ("Pre-order", "PREORDER"),
        ("backorder", "BACKORDER"),
    ],
)
def test_availability_is_read_in_the_words_of_feeds(text: str | None, word: str) -> None:
    assert availability_of(text) == word


@pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_mapping_that_is_shipped_loads(path: Path) -> None:
    assert load_mapping(path).columns.id


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        ("columns: {id: a, title: b, colour: c}", "unknown field `colour` - at `\\$.columns`"),
        ("columns: {id: a}", "missing required field `title`"),
        ("colums: {id: a, title: b}", "unknown field `colums`"),
        ("columns: {id: 3, title: b}", "Expected `str`, got `int`"),
        ("columns: {id: a, title: b}\nmax_refused_share: 2", "max_refused_share"),
        ("columns: [", "not readable as YAML"),
        ("- a", "expected sections"),
        ("columns: !!python/object:os.system {}", "not readable as YAML"),
        ("[" * 5000, "not readable as YAML"),
    ],
)
def test_a_wrong_mapping_names_its_file_and_key(tmp_path: Path, yaml: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml)

    with pytest.raises(ConfigError, match=rf"mine\.yaml: .*{says}"):
        load_mapping(path)


def measured(name: str) -> Callable[[str], Path]:
    """Return where a data set for measuring is, or skip."""
    folder = os.environ.get("VETRINA_DATA", "")

    def at(file: str) -> Path:
        path = Path(folder) / name / file
        if not folder or not path.exists():
            pytest.skip(f"set VETRINA_DATA to a folder that has {name}/{file}")
        return path

    return at


def test_the_amazon_sample_is_read_by_its_mapping(tmp_path: Path) -> None:
    source = measured("esci_us")("products.parquet")

    shop, report = run(tmp_path, source, load_mapping(MAPPINGS / "esci.yaml"))

    assert shop.num_products == report.rows_read == 6_764
    assert report.missing["brand"] < 0.05


def test_the_fashion_pictures_are_read_by_their_mapping(tmp_path: Path) -> None:
    source = measured("fashion")("styles.parquet")
    pictures = measured("fashion")("images_60x80.parquet")

    shop, report = run(tmp_path, source, load_mapping(MAPPINGS / "fashion.yaml"), pictures=pictures)

    assert shop.num_products == report.pictures == 40_072
    assert shop.meta.pictures == "photo"


def test_the_row_that_is_named_was_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title,price\n1,Bread,much\n2,,3\n3,,3\n")
    mapping = {"columns": {"id": "id", "title": "title", "price": "price"}}

    with pytest.raises(ShopError, match=r"2 of 3 rows were refused.*line 3: title is empty"):
        import_table(
            tmp_path / "a.csv", tmp_path / "shop", msgspec.convert(mapping, Mapping), silent
        )


def test_ids_that_a_spreadsheet_rounded_are_named(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "sku": "4,00638E+12"}, {**ROWS[0], "sku": "a9"}]

    _, report = run(tmp_path, as_csv(tmp_path / "goods.csv", rows))

    [remark] = [one for one in report.remarks if "rounded numbers" in one.kind]
    assert remark.examples == ("line 2: '4,00638E+12'",)
