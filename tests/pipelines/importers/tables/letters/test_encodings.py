"""Text in the encodings of old programs: read by its letters, and never without a word."""

from pathlib import Path

import pytest

from pipelines.errors import ShopError
from pipelines.importers.tables.opening import open_rows


def read(folder: Path, content: bytes, encoding: str = "") -> tuple[list[str], str]:
    path = folder / "goods.csv"
    path.write_bytes(b"id,title\n" + content if content[:1].isdigit() else content)
    opened = open_rows(path, encoding=encoding, columns=("id", "title"))
    titles = [row.values["title"] for row in opened.rows]
    return titles, "\n".join(remark.sentence() for remark in opened.remarks.all())


@pytest.mark.parametrize(
    ("encoding", "title"),
    [
        ("cp1252", "Café crème – 5 €"),
        ("latin-1", "Größe 42, Ärmel"),
        ("iso8859-15", "5 € cœur"),
        ("cp1250", "Książka żółta łódź"),
        ("cp1250", "Žlutý kůň, šťastný"),
        ("cp1250", "Křeslo šedé"),
        ("iso8859-2", "Książka żółta łódź"),
        ("cp1254", "Diş fırçası, İstanbul"),
        ("cp1251", "Красная кружка"),
        ("koi8-r", "Красная кружка"),
        ("cp1253", "Κόκκινη κούπα, ποτήρι"),
        ("mac-roman", "Café à la crème"),
        ("cp850", "Café à la crème"),
        ("cp932", "赤いマグカップ"),
        ("cp949", "빨간 머그컵"),
        ("gb18030", "红色马克杯"),
        ("gb18030", "加厚棉男童套装"),
        ("gb18030", "蜂蜜柚子茶"),
        ("gbk", "紅色的馬克杯和湯匙"),
        ("big5", "紅色的馬克杯和湯匙"),
        ("euc_jp", "赤いマグカップとスプーン"),
        ("cp949", "유기농 우유와 호밀빵"),
        ("cp949", "전기밥솥 10인용"),
        ("gb18030", "电饭煲"),
        ("gb18030", "螺丝刀套装"),
        ("gb18030", "瑜伽垫"),
        ("cp1255", "נעלי ילדים כחולות"),
        ("cp1255", "שולחן עץ"),
        ("cp1256", "حذاء أطفال أزرق"),
        ("cp1256", "سماعات لاسلكية"),
        ("tis-620", "แก้วกาแฟสีน้ำเงิน"),
        ("tis-620", "เสื้อยืดผู้ชายสีดำ"),
        ("koi8-r", "шапка зимняя"),
        ("cp1250", "Kék bögre, Győri keksz, űrhajó"),
        ("cp1257", "Mėlynas puodelis, Šaukštas"),
    ],
)
def test_an_encoding_is_told_by_its_letters_and_named(
    tmp_path: Path, encoding: str, title: str
) -> None:
    titles, remarks = read(tmp_path, f'1,"{title}"\n'.encode(encoding))

    assert titles == [title]
    assert "the file is not UTF-8: it is read as" in remarks
    assert "line 2" in remarks


@pytest.mark.parametrize(
    ("encoding", "titles"),
    [
        ("cp1251", ["СЫР РОССИЙСКИЙ", "МОЛОКО"]),
        ("cp1251", ["ЇЖАК ҐАНОК", "МОЛОКО"]),
        ("cp1251", ["СИРЕНЕ КРАВЕ", "МЛЯКО ПРЯСНО"]),
        ("cp1251", ["КЕФИР Домик в деревне", "ЧАЙ GREENFIELD черный"]),
        ("koi8-r", ["СЫР РОССИЙСКИЙ", "МОЛОКО ЦЕЛЬНОЕ"]),
        ("cp1253", ["ΤΥΡΙ ΦΕΤΑ", "ΓΑΛΑ"]),
        ("cp1253", ["ΚΑΦΕΣ ΕΛΛΗΝΙΚΟΣ", "ΨΩΜΙ ΣΙΚΑΛΗΣ"]),
        ("cp1250", ["ŻÓŁTA ŁÓDŹ", "KSIĄŻKA"]),
        ("cp1252", ["SMÖRGÅS ÄGG", "KÖTTBULLAR FÅR ÖL"]),
    ],
)
def test_capitals_tell_an_encoding_as_small_letters_do(
    tmp_path: Path, encoding: str, titles: list[str]
) -> None:
    text = "".join(f"{number},{title}\n" for number, title in enumerate(titles, 1))

    assert read(tmp_path, text.encode(encoding))[0] == titles


def test_accents_of_dos_are_no_letters_of_another_script(tmp_path: Path) -> None:
    titles, _ = read(tmp_path, "1,Kühlschrank groß\n2,Äpfel süß\n".encode("cp850"))

    assert titles == ["Kühlschrank groß", "Äpfel süß"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_wide_letters_are_read_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    titles, _ = read(tmp_path, "id,title\n1,Café\n".encode(encoding))

    assert titles == ["Café"]


def test_single_lines_that_are_not_utf_8_are_mended_and_counted(tmp_path: Path) -> None:
    content = "1,Café\n2,Größe\n".encode() + "3,Crème\n".encode("latin-1")

    titles, remarks = read(tmp_path, content)

    assert titles == ["Café", "Größe", "Crème"]
    assert "lines that are not UTF-8 are read as Windows-1252: line 4: 'Crème'" in remarks


def test_what_cannot_be_told_is_refused_with_the_line_and_the_remedy(tmp_path: Path) -> None:
    content = "1,Mug\n2,龘靐齉爩麤灪龖厵\n".encode("gb18030")

    with pytest.raises(ShopError, match=r"line 3: byte 0x.. is not UTF-8, .* `encoding`"):
        read(tmp_path, content)
    assert read(tmp_path, content, "gb18030")[0][1] == "龘靐齉爩麤灪龖厵"


def test_an_encoding_that_does_not_fit_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ShopError, match=r"line \d or soon after: not ascii text"):
        read(tmp_path, "1,Café\n".encode(), "ascii")


def test_an_encoding_that_is_unknown_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ShopError, match="encoding 'klingon' is unknown"):
        read(tmp_path, b"1,Mug\n", "klingon")


def test_nul_letters_are_left_out_and_counted(tmp_path: Path) -> None:
    titles, remarks = read(tmp_path, b"1,Mu\0g\n2,Cup\n")

    assert titles == ["Mug", "Cup"]
    assert "NUL letters are left out: line 2" in remarks


def test_a_file_of_nul_bytes_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(ShopError, match="line 2: holds NUL bytes; is it a table"):
        read(tmp_path, b"1," + bytes(500) + b"\n")
