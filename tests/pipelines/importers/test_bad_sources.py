"""What is wrong with a source file, and the one line that the user sees."""

import gzip
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.errors import ConfigError, ShopError, UserError
from pipelines.importers.columns import ProductColumns
from pipelines.importers.mapping import Mapping
from pipelines.importers.merchant import import_merchant
from pipelines.importers.table import import_table, load_mapping
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport
from pipelines.shop.reader import Shop

pytestmark = pytest.mark.foreign

MAPPING = Mapping(
    columns=ProductColumns(
        id="sku", title="name", price="price", availability="stock", images="photo"
    )
)
HEADER = "sku,name,price,stock,photo"
GOOD = "a1,Bread,2.50,in stock,"


def text(content: str, encoding: str = "utf-8") -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content.encode(encoding)) and None


def raw(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def table(header: str = HEADER, *rows: str) -> Callable[[Path], None]:
    return text("\n".join([header, *rows]) + "\n")


def parquet(**columns: list) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")


def cut_parquet(path: Path) -> None:
    parquet(sku=["a1"], name=["Bread"])(path)
    path.write_bytes(path.read_bytes()[:-20])


def invalid_text_parquet(path: Path) -> None:
    broken = pa.array([b"\xff\xfe\xfd"]).view(pa.string())
    names = ("sku", "name", "price", "stock", "photo")
    pq.write_table(pa.table(dict.fromkeys(names, broken)), path)


def rss(item: str, before: str = "") -> str:
    return (
        f'<?xml version="1.0"?>\n{before}<rss xmlns:g="http://base.google.com/ns/1.0"><channel>\n'
        f"<item>{item}</item>\n</channel></rss>"
    )


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "lol"}">' for i in range(10))


class Case(NamedTuple):
    what: str
    name: str  # of the file
    make: Callable[[Path], object]
    says: str


FILES = [
    Case("no file", "goods.csv", lambda path: None, "goods.csv: there is no such file"),
    Case("a folder", "goods.csv", Path.mkdir, "goods.csv is a folder; give the file itself"),
    Case("an empty file", "goods.csv", raw(b""), "goods.csv is empty"),
    Case("an empty Parquet file", "goods.parquet", raw(b""), "goods.parquet is empty"),
    Case("an empty feed", "feed.xml", raw(b""), "feed.xml is empty"),
    Case("only a header", "goods.csv", table(), "goods.csv has a header but no rows"),
    Case("only empty lines", "goods.jsonl", raw(b"\n\n"), "goods.jsonl holds no rows, only empty"),
    Case("an empty header", "goods.csv", raw(b",,,,\n" + GOOD.encode()),
         "line 1: the header is empty"),
    Case("a Parquet file of no rows", "goods.parquet",
         parquet(sku=pa.array([], pa.string()), name=pa.array([], pa.string()),
                 price=pa.array([], pa.float64()), stock=pa.array([], pa.string()),
                 photo=pa.array([], pa.string())), "has a header but no rows"),
    Case("CSV under the name of Parquet", "goods.parquet", table(HEADER, GOOD),
         "goods.parquet is not a Parquet file, or is damaged"),
    Case("Parquet under the name of CSV", "goods.csv", parquet(sku=["a1"]),
         "goods.csv is not what its name says: it is a Parquet file; rename it"),
    Case("a cut Parquet file", "goods.parquet", cut_parquet, "or is damaged"),
    Case("bytes that are not text in Parquet", "goods.parquet", invalid_text_parquet,
         "goods.parquet, after row 0: damaged: 'utf-8' codec can't decode"),
    Case("a gzip bomb", "goods.csv", raw(gzip.compress(bytes(50_000_000), 1)),
         "goods.csv is not what its name says: it is packed with gzip; unpack it first"),
    Case("a workbook", "goods.csv", zipped, "it is a zip archive or an Excel workbook"),
    Case("a PDF", "goods.csv", raw(b"%PDF-1.7\n"), "it is a PDF; export the table as CSV"),
    Case("a name that tells nothing", "goods.dat", table(HEADER, GOOD),
         "goods.dat: the name does not say what it is; expected one that ends in .csv, .tsv"),
    Case("a missing column", "goods.csv", table("sku,price,stock,photo", "a1,1,,"),
         "goods.csv has no column 'name', which the mapping names for `title`; it has sku, price"),
    Case("a missing column in JSON", "goods.jsonl", text('{"sku": "a1"}\n'),
         "goods.jsonl has no column 'name'"),
    Case("another separator", "goods.csv", table(HEADER.replace(",", ";"), GOOD),
         "goods.csv: 1 of 1 rows were refused, at most 50% may be; the first: line 2: title is"),
    Case("a column named twice", "goods.csv", table("sku,name,name,price", "a1,b,c,1"),
         "goods.csv: columns are named twice: name, which the mapping names for `title`"),
    Case("a 10 MB field", "goods.csv", table(HEADER, f"a1,{'x' * 10_000_000},1,,"),
         "goods.csv, line 2: longer than 1,000,000 characters; is it a table?"),
    Case("mostly bad rows", "goods.csv", table(HEADER, GOOD, ",no id,1,,", ",no id,1,,"),
         "goods.csv: 2 of 3 rows were refused, at most 50% may be; the first: line 3: id is empty"),
    Case("mostly bad prices", "goods.csv", table(HEADER, GOOD, "a2,b,cheap,,", "a3,c,cheap,,"),
         "2 of 3 prices are impossible, at most 50% may be; the first: line 3: price 'cheap'"),
    Case("all broken JSON", "goods.jsonl", raw(b"{nope}\n"), "goods.jsonl, line 1: not JSON: "),
    Case("a billion laughs", "feed.xml",
         text(rss("<g:id>&l9;</g:id>", f"<!DOCTYPE lolz [{LAUGHS}]>")),
         "feed.xml, line 2: declares a document type or entities, which a feed may not"),
    Case("an external entity", "feed.xml",
         text(rss("<g:id>&x;</g:id>", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>')),
         "declares a document type or entities"),
    Case("an external DTD", "feed.xml",
         text(rss("", '<!DOCTYPE rss SYSTEM "http://evil.example/a.dtd">')),
         "declares a document type or entities"),
    Case("cut XML", "feed.xml", text(rss("<g:id>a1</g:id>")[:-20]),
         "feed.xml is not whole XML: unclosed token: line 3"),
    Case("crossed XML", "feed.xml", text("<rss><item></rss></item>"),
         "feed.xml is not whole XML: mismatched tag"),
    Case("CSV under the name of XML", "feed.xml", table(HEADER, GOOD), "is not whole XML"),
    Case("XML that is no feed", "feed.xml", text("<html><body/></html>"),
         "feed.xml holds no <item> and no <entry>; is it a Merchant feed?"),
    Case("XML in an unknown encoding", "feed.xml",
         text('<?xml version="1.0" encoding="klingon"?><rss/>'), "feed.xml"),
    Case("XML nested too deep", "feed.xml", text("<a>" * 100_000),
         "feed.xml, line 1: elements nest over 50 deep"),
    Case("XML with a 10 MB item", "feed.xml", text(rss(f"<g:id>{'x' * 10_000_000}</g:id>")),
         "feed.xml, line 3: one item has over 2,000,000 bytes"),
    Case("XML with a 10 MB name", "feed.xml", text(f"<{'x' * 10_000_000}/>"),
         "no element in"),
    Case("a feed without titles", "feed.tsv", text("id\tprice\na1\t1\n"),
         "feed.tsv has no column title, which a feed must have; it has id, price"),
]  # fmt: skip


def run(source: Path, folder: Path, **more: Path) -> QualityReport:
    if source.stem == "feed":
        return import_merchant(source, folder, silent)
    return import_table(source, folder, MAPPING, silent, **more)


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.what)
def test_a_file_that_cannot_be_used_is_one_line_and_nothing_is_written(
    tmp_path: Path, case: Case
) -> None:
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / case.name
    case.make(source)

    with pytest.raises(UserError) as error:
        run(source, tmp_path / "out" / "shop")

    assert case.says in str(error.value)
    assert case.name in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 500
    assert not list(tmp_path.glob("out/*"))
    assert not list(tmp_path.glob("out/.*"))


ROWS = [
    Case("an empty id", "goods.csv", table(HEADER, GOOD, " ,Bread,1,,"), "id is empty"),
    Case("an id too long", "goods.csv", table(HEADER, GOOD, f"{'x' * 129},Bread,1,,"),
         "id has 129 characters, at most 128 are taken"),
    Case("a control character in an id", "goods.csv", table(HEADER, GOOD, "a\x07b,Bread,1,,"),
         r"id holds the control character '\x07'"),
    Case("an id twice", "goods.csv", table(HEADER, GOOD, "a1,Other,1,,"),
         "id 'a1' was there before; the first is kept"),
    Case("no title", "goods.csv", table(HEADER, GOOD, "a2,,1,,"), "title is empty"),
    Case("a title too long", "goods.csv", table(HEADER, GOOD, f"a2,{'x' * 2001},1,,"),
         "title has 2,001 characters, at most 2,000 are taken"),
    Case("too many fields", "goods.csv", table(HEADER, GOOD, "a2,Bread, white,1,,"),
         "6 fields where the header has 5"),
    Case("a negative price", "goods.csv", table(HEADER, GOOD, "a2,Bread,-1,,"),
         "price -1.0 is impossible, expected 0 to 1,000,000,000; kept without a price"),
    Case("a price in words", "goods.csv", table(HEADER, GOOD, "a2,Bread,cheap,,"),
         "price 'cheap' is not a number; kept without a price"),
    Case("an endless price", "goods.parquet",
         parquet(sku=["a1", "a2"], name=["b", "c"], price=[1.0, float("inf")], stock=["", ""],
                 photo=["", ""]), "price inf is impossible"),
    Case("a broken line of JSON", "goods.jsonl",
         text('{"sku": "a1", "name": "b"}\n{"sku": "a2", \n'), "not JSON: "),
    Case("an array of JSON", "goods.jsonl",
         text('{"sku": "a1", "name": "b"}\n["a2", "c"]\n'), "expected an object, got ['a2', 'c']"),
    Case("JSON nested too deep", "goods.jsonl",
         text('{"sku": "a1", "name": "b"}\n' + "[" * 100_000 + "\n"), "nested too deep"),
    Case("a NaN price in JSON", "goods.jsonl",
         text('{"sku": "a1", "name": "b"}\n{"sku": "a2", "name": "c", "price": NaN}\n'),
         "not JSON: "),
    Case("an endless price in JSON", "goods.jsonl",
         text('{"sku": "a1", "name": "b"}\n{"sku": "a2", "name": "c", "price": 1e999}\n'),
         "not JSON: "),
    Case("half a character in JSON", "goods.jsonl",
         text('{"sku": "a1", "name": "b"}\n{"sku": "a2", "name": "\\ud800"}\n'), "not JSON: "),
    Case("an object for a title", "goods.jsonl",
         text('{"sku": "a1", "name": "b"}\n{"sku": "a2", "name": {"en": "c"}}\n'),
         "title {'en': 'c'} is not text"),
    Case("a 10 MB line of JSON", "goods.jsonl",
         text('{"sku": "a1", "name": "b"}\n{"sku": "' + "x" * 10_000_000 + '"}\n'),
         "longer than 1,000,000 characters"),
    Case("no title in a feed", "feed.xml",
         text(rss("<g:id>a1</g:id><title>b</title></item>\n<item><g:id>a2</g:id>")),
         "title is empty"),
]  # fmt: skip


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.what)
def test_a_row_that_cannot_be_used_is_named_by_its_line(tmp_path: Path, case: Case) -> None:
    source = tmp_path / case.name
    case.make(source)

    report = run(source, tmp_path / "shop")

    [example] = report.examples
    assert case.says in example.reason
    assert example.line == {".csv": 3, ".xml": 4}.get(source.suffix, 2)
    kept_without_a_price = "kept without" in example.reason
    assert report.rows_read == 2
    assert report.impossible_prices == kept_without_a_price
    assert report.rows_kept == Shop(tmp_path / "shop").num_products == 1 + kept_without_a_price
    assert sum(report.refused.values()) == 1 - kept_without_a_price


def png(width: int, height: int) -> bytes:
    out = BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


def jpeg() -> bytes:
    out = BytesIO()
    Image.effect_noise((64, 64), 90).save(out, "JPEG")
    return out.getvalue()


def linked(path: Path) -> None:
    path.symlink_to(path.parent.parent / "secret.jpg")


PICTURES = [
    Case("a picture above the folder", "../secret.jpg", raw(jpeg()),
         "'../secret.jpg' lies outside"),
    Case("a path to the password file", "../../../../../../etc/passwd", lambda path: None,
         "lies outside"),
    Case("an absolute path", "/etc/passwd", lambda path: None, "'/etc/passwd' lies outside"),
    Case("a link that leads out", "out.jpg", linked, "'out.jpg' lies outside"),
    Case("an address", "https://evil.example/a.jpg", lambda path: None,
         "'https://evil.example/a.jpg' is an address; none is fetched"),
    Case("an address without a scheme", "//evil.example/a.jpg", lambda path: None,
         "is an address; none is fetched"),
    Case("a file that is not there", "gone.jpg", lambda path: None, "there is no file 'gone.jpg'"),
    Case("a folder", "deep", Path.mkdir, "there is no file 'deep'"),
    Case("a name too long", "x" * 300, lambda path: None, "name too long"),
    Case("an empty file", "a.jpg", raw(b""), "the picture is empty"),
    Case("text", "a.jpg", raw(b"hello"), "not a JPEG, PNG, WebP, GIF or BMP picture"),
    Case("SVG", "a.svg", raw(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "not a JPEG, PNG"),
    Case("a cut picture", "a.jpg", raw(jpeg()[:-400]), "the picture is damaged or cut short"),
    Case("a picture of too many pixels", "a.png", raw(png(6_000, 6_000)),
         "more than 25 megapixels"),
    Case("a picture of too many bytes", "a.jpg", raw(jpeg() + bytes(10_000_001)),
         "more than 10 MB"),
]  # fmt: skip


@pytest.mark.parametrize("case", PICTURES, ids=lambda case: case.what)
def test_a_picture_that_cannot_be_had_is_counted_and_its_product_kept(
    tmp_path: Path, case: Case
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "secret.jpg").write_bytes(jpeg())
    (photos / "good.jpg").write_bytes(jpeg())
    if not case.name.startswith(("/", "https:")):
        case.make(photos / case.name)
    source = tmp_path / "goods.csv"
    table(HEADER, "a1,Bread,1,,good.jpg", f"a2,Olives,1,,{case.name}")(source)

    report = run(source, tmp_path / "shop", pictures=photos)

    [example] = report.examples
    assert example.line == 3
    assert example.reason.startswith("picture of 'a2': ")
    assert case.says in example.reason
    assert (report.pictures, report.unreadable_images, report.rows_kept) == (1, 1, 2)
    assert [r["id"] for b in Shop(tmp_path / "shop").picture_batches() for r in b.to_pylist()] == [
        "a1"
    ]


def test_pictures_that_are_nowhere_are_one_error(tmp_path: Path) -> None:
    source = tmp_path / "goods.csv"
    table(HEADER, GOOD)(source)

    with pytest.raises(ShopError, match=r"photos: there is no such folder or file of pictures"):
        run(source, tmp_path / "shop", pictures=tmp_path / "photos")


def test_pictures_in_a_file_of_another_kind_are_one_error(tmp_path: Path) -> None:
    source = tmp_path / "goods.csv"
    table(HEADER, GOOD)(source)

    with pytest.raises(ShopError, match=r"neither a folder of pictures nor a Parquet file"):
        run(source, tmp_path / "shop", pictures=source)


def test_a_mapping_with_an_unknown_key_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("columns: {id: a, title: b, colour: c}\n")

    with pytest.raises(ConfigError, match=r"mine.yaml: .*unknown field `colour`"):
        load_mapping(path)


def test_only_the_first_hundred_mistakes_are_named_and_all_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "goods.csv"
    good = [f"a{i},Bread,1,," for i in range(200)]
    table(HEADER, *good, *[",Bread,1,,"] * 150)(source)

    report = run(source, tmp_path / "shop")

    assert len(report.examples) == 100
    assert report.refused == {"no id": 150}


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1" + "0" * 5_000, "-0", "1e300"])
def test_numbers_of_any_length_are_only_mistakes_of_their_row(tmp_path: Path, number: str) -> None:
    source = tmp_path / "goods.jsonl"
    rows = [
        '{"sku": "a1", "name": "b"}',
        f'{{"sku": {number}, "name": {number}, "price": {number}}}',
    ]
    source.write_text("\n".join(rows))

    assert run(source, tmp_path / "shop").rows_read == 2


NAMES = st.sampled_from(["goods.csv", "goods.tsv", "goods.jsonl", "goods.parquet", "feed.xml"])
STARTS = st.sampled_from(
    [b"", f"{HEADER}\n{GOOD}\n".encode(), b'{"sku": "a", "name": "b"}\n', b"<rss>"]
)


@settings(max_examples=150, deadline=None)
@given(name=NAMES, start=STARTS, rest=st.binary(max_size=300))
def test_no_bytes_bring_anything_but_a_shop_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, name: str, start: bytes, rest: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / name).write_bytes(start + rest)

    with suppress(UserError):
        run(folder / name, folder / "shop")

    assert {path.name for path in folder.iterdir()} <= {name, "shop"}
