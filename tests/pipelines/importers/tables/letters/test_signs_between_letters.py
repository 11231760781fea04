"""Signs between letters, in the texts of shops in many languages and encodings."""

from pathlib import Path

import pytest

from pipelines.errors import ShopError
from pipelines.importers.tables.letters.encodings import encoding_of
from tests.assertions import each

SIGNS = "—–…®™•×”“«»’\xad"
WEST = "cp1252 iso8859-1 iso8859-15 mac-roman utf-8"
CENTRE = "cp1250 iso8859-2 utf-8"
TITLES = {
    "French": (WEST, "Café crème brûlée|Thé à la menthe|Crêpe sucrée|Pâté de forêt|Eau gazeuse"),
    "German": (WEST, "Größe 42 Ärmel|Käse Brötchen|Öl für Küche|Würstchen süß|Brot hell"),
    "Spanish": (WEST, "Jamón ibérico|Piña colada|Champú niños|Azúcar moreno|Pañales bebé"),
    "Portuguese": (WEST, "Pão de queijo|Maçã vermelha|Sabão líquido|Feijão preto|Arroz branco"),
    "Italian": (WEST, "Caffè macinato|Più gusto città|Tè freddo|Perché no|Pane bianco"),
    "Swedish": (WEST, "Smörgås ägg|Köttbullar får|Blåbär sylt|Räksallad på bröd|Äpple grön"),
    "Danish": (WEST, "Rødgrød med fløde|Blåbær grød|Smør økologisk|Kød på brød|Øl på dåse"),
    "Dutch": (WEST, "Crème brûlée|Appelmoes één kilo|Ideeën boek|Geïmporteerde kaas|Melk vol"),
    "Finnish": (WEST, "Maitokahvi täysmaito|Leipä ruis|Kenkä ääni|Hiihtopipo värikäs|Tee musta"),
    "Polish": (CENTRE, "Książka żółta łódź|Śmietana świeża|Mąka pszenna|Żurek gęsty|Chleb żytni"),
    "Czech": (CENTRE, "Žlutý kůň|Křeslo šedé|Čokoláda hořká|Mléko čerstvé|Džem třešňový"),
    "Hungarian": (CENTRE, "Kék bögre|Győri keksz|Tűzhely űrhajó|Zöldség leves|Búzaliszt fehér"),
    "Russian": ("cp1251 koi8-r utf-8", "Красная кружка|Молоко цельное|Сыр российский|Чай чёрный"),
    "Bulgarian": ("cp1251 utf-8", "Червена чаша|Прясно мляко|Сирене краве|Хляб ръжен"),
    "Greek": (
        "cp1253 iso8859-7 utf-8",
        "Κόκκινη κούπα|Τυρί φέτα|Άσπρο κρασί|Γάλα πλήρες|Καφές ελληνικός",
    ),
    "Turkish": ("cp1254 utf-8", "Diş fırçası|İstanbul ışığı|Çay bardağı|Süt şişesi|Güneş kremi"),
    "Lithuanian": ("cp1257 utf-8", "Mėlynas puodelis|Šaukštas ąžuolinis|Pienas šviežias|Žalia tė"),
    "simplified Chinese": ("gb18030 gbk utf-8", "红色 马克杯|加厚棉 男童套装|蜂蜜 柚子茶|电饭煲"),
    "traditional Chinese": ("big5 cp950 utf-8", "紅色 馬克杯|加厚棉 男童套裝|蜂蜜 柚子茶|電鍋"),
    "Japanese": ("cp932 euc_jp utf-8", "赤い マグカップ|緑茶 ペットボトル|子供用 シューズ|食パン"),
    "Korean": ("cp949 euc_kr utf-8", "빨간 머그컵|유기농 우유|전기 밥솥|어린이 운동화|호밀빵"),
}
CASES = [(one, encoding) for one, (several, _) in TITLES.items() for encoding in several.split()]


def decoded(folder: Path, titles: list[str], encoding: str) -> list[str]:
    path = folder / "goods.csv"
    text = "".join(f"{number},{title}\n" for number, title in enumerate(titles, 1))
    path.write_bytes(b"id,title\n" + text.encode(encoding))
    name = encoding_of(path).name
    return [row.partition(",")[2] for row in path.read_text(encoding=name).splitlines()[1:]]


def can(text: str, encoding: str) -> bool:
    return text.encode(encoding, "ignore").decode(encoding) == text


@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_a_sign_between_letters_is_read_as_it_was_written(
    tmp_path: Path, language: str, encoding: str
) -> None:
    plain = TITLES[language][1].split("|")
    signs = [sign for sign in SIGNS if can(sign, encoding)]

    for sign in each([" ", *signs]):
        joined = [title.replace(" ", sign, 1) for title in plain]

        assert decoded(tmp_path, joined, encoding) == joined
        assert decoded(tmp_path, [joined[0], *plain[1:]], encoding) == [joined[0], *plain[1:]]


ALONE = (
    "Coca–Cola®Zero", "rock’n’roll", "10×15 cm", "Levi’s®501™Original", "Hello…world",
    "“Best”buy", "co\xadoperate", "M&M’s®", "5”Nails", "LEGO®Star™Wars", "A•B•C", "Oat—milk",
    "«Best»buy", "3×Pack", "20°Wash",
)  # fmt: skip
WINDOWS = ("cp1252", "cp1250", "cp1251", "cp1254", "cp1257", "utf-8")


@pytest.mark.parametrize(
    ("title", "encoding"), [(one, name) for one in ALONE for name in WINDOWS if can(one, name)]
)
def test_signs_alone_tell_no_other_encoding_than_that_of_windows(
    tmp_path: Path, title: str, encoding: str
) -> None:
    assert decoded(tmp_path, [title], encoding) == [title]
    assert decoded(tmp_path, ["Mug", title, "Cup"], encoding) == ["Mug", title, "Cup"]


@pytest.mark.parametrize("title", ["Pão®de queijo", "Ser źródło", "Æbles®kiver", "Pâté—de forêt"])
@pytest.mark.parametrize("encoding", ["cp1252", "cp1250", "iso8859-2"])
def test_accents_before_small_letters_are_no_east_asian_text(
    tmp_path: Path, title: str, encoding: str
) -> None:
    if can(title, encoding):
        try:
            [found] = decoded(tmp_path, [title], encoding)
        except ShopError:
            return
        assert not any(letter >= "\u3000" for letter in found)


@pytest.mark.parametrize(
    "title", ["Хлеб ржаной", "Кофе молотый", "Кружка Эмаль", "Мыло хозяйственное", "Сок 1л", "Чай"]
)
@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r"])
def test_a_word_or_two_tell_the_encodings_of_russian(
    tmp_path: Path, title: str, encoding: str
) -> None:
    assert decoded(tmp_path, [title], encoding) == [title]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("language", TITLES)
def test_wide_letters_without_a_mark_are_read_in_every_script(
    tmp_path: Path, language: str, encoding: str
) -> None:
    titles = TITLES[language][1].split("|")
    path = tmp_path / "goods.csv"
    path.write_bytes("\n".join([TITLES[language][1], *titles]).encode(encoding))

    assert encoding_of(path).name == encoding
