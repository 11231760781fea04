"""Reads whether a product can be bought, in the words of shops and feeds."""

import re
import unicodedata
from decimal import Decimal
from typing import Any

from pipelines.importers.values.numbers import plain_digits
from pipelines.importers.values.texts import RowError, text_of
from pipelines.shop.quality import shown
from retrieval import Availability

# Words without accents, spaces and signs, as `_plain` makes them. Of feeds and shops:
# https://support.google.com/merchants/answer/6324448, https://schema.org/ItemAvailability,
# https://www.facebook.com/business/help/120325381656392 (availability),
# https://woocommerce.com/document/product-csv-importer-exporter/ (In stock?: 1, 0, backorder),
# https://shopify.dev/docs/api/admin-graphql (inventory policy is no availability).
WORDS: dict[Availability, str] = {
    Availability.IN_STOCK: """
        instock available availablefororder limitedavailability onlineonly instoreonly yes y true t
        on enabled active published purchasable instoreandonline lowstock fewleft lastitems limited
        limitedstock readytoship shipsnow unlimited availablenow stock stocked onstock ok buyable
        visible disponible

        lieferbar verfugbar auflager lagernd vorratig sofortlieferbar sofortverfugbar ja vorhanden
        abholbereit nurnochwenige lieferbarin lieferzeit versandfertig shipsin
        oui enstock disponibleenligne stocklimite dispo
        si s enexistencia enexistencias haystock hay
        disponibile disponibilitaimmediata inmagazzino inpronta prontaconsegna
        opvoorraad leverbaar beschikbaar voorradig j
        tak dostepny dostepna dostepne wmagazynie nastanie dostepnyodreki
        evet var stokta stoktavar mevcut satista
        sim emestoque disponivel emstock
        ano skladem naskladu dostupne
        igen raktaron elerheto keszleten
        da instoc disponibil
        ilager ilagret palager pålager finns tillganglig tilgjengelig
        kylla varastossa saatavilla
        inalager
        вналичии есть да доступно доступен внаявності є так
        налично вналичност
        naskladu nazalihi
        διαθεσιμο σεαποθεμα ναι
        在庫あり あり 有り 有 있음 有货 有貨 现货 有库存 재고있음 판매중 มีสินค้า พร้อมส่ง
        conhang tersedia
        متوفر متاح متوفرفيالمخزون במלאי זמין זמיןבמלאי ישבמלאי
    """,
    Availability.OUT_OF_STOCK: """
        outofstock soldout discontinued unavailable notavailable notinstock nostock
        nolongeravailable temporarilyoutofstock temporarilyunavailable currentlyunavailable
        outstock
        oos no n false f
        off disabled inactive retired endoflife obsolete reserved outofprint out
        indisponible nodisponible emptystock zerostock

        nichtlieferbar nichtverfugbar nichtauflager ausverkauft vergriffen nichtvorratig nein
        nichtlagernd nichtmehrlieferbar nichtmehrverfugbar derzeitnichtverfugbar
        zurzeitnichtlieferbar nichtvorhanden
        non rupture rupturedestock enrupture enrupturedestock epuise horsstock horsdestock
        agotado sinstock sinexistencias nohaystock fueradestock agotada
        nondisponibile esaurito esaurita terminato nonindisponibile
        nietopvoorraad uitverkocht nietleverbaar nietbeschikbaar nee
        nie niedostepny niedostepna niedostepne brak brakwmagazynie wyprzedany wyprzedane
        hayir yok stoktayok tukendi stokyok mevcutdegil satistadegil
        nao esgotado semestoque indisponivel semstock
        ne neniskladem vyprodano nedostupne nenisk
        nem nincsraktaron elfogyott nemelerheto nincskeszleten
        nu stocepuizat indisponibil epuizat
        ejilager slutilager slutsald udsolgt ikkepalager utsolgt ikkepålager nej nei slut
        ei loppu eivarastossa loppunut loppuunmyyty
        нетвналичии нет распродано недоступно закончился відсутній ні немаєвнаявності немає
        εξαντλημενο οχι μηδιαθεσιμο
        在庫なし なし 無し 無 无 없음 在庫切れ 品切れ 売り切れ 完売 缺货 缺貨
        售罄 无货 無貨 断货 脱销 已售完 품절 재고없음 หมด สินค้าหมด hethang tamhethang stokhabis
        habis
        غيرمتوفر غيرمتاح نفد نفدالمخزون نفدتالكمية نفذتالكمية אזל אזלמהמלאי לאבמלאי לאזמין חסרבמלאי
    """,
    Availability.PREORDER: """
        preorder presale prepurchase preordered vorbestellbar vorbestellung vorverkauf precommande
        enprecommande preventa prevendita prenotabile preprodej przedsprzedaz onsiparis prevenda
        preordine voorverkoop предзаказ 予約 予約受付中 预售 預購 예약판매
    """,
    Availability.BACKORDER: """
        backorder onbackorder backordered availableonbackorder madetoorder builttoorder
        specialorder
        onorder onrequest orderonly nachbestellt nachlieferung bestellbar
        aufbestellung surcommande encommande bajopedido porencargo suordinazione ordinabile
        opbestelling nabestelling nazamowienie naobjednavku siparisuzerine sobencomenda
        подзаказ назаказ 取り寄せ お取り寄せ 受注生産 입고예정
    """,
}


def _plain(text: str) -> str:
    """Return the letters of a text, small and without accents."""
    text = text.casefold().replace("ł", "l").replace("ı", "i").replace("ø", "o")
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFKC", "".join(c for c in parts if c.isalpha()))


AVAILABILITY = {_plain(word): kind for kind, words in WORDS.items() for word in words.split()}
# Phrases that decide within a longer text, those that say no first.
WITHIN = tuple(
    (phrase, AVAILABILITY[phrase])
    for phrase in (
        "outofstock", "notinstock", "soldout", "notavailable", "unavailable", "nichtlieferbar",
        "nichtverfugbar", "nichtauflager", "ausverkauft", "rupture", "agotado", "esaurito",
        "nondisponibile", "nodisponible", "uitverkocht", "nietopvoorraad", "niedostepny", "tukendi",
        "אזל", "หมด", "preorder", "backorder", "instock", "auflager", "enstock",
        "opvoorraad", "skladem", "lieferbarin", "lieferzeit", "versandfertig", "shipsin",
    )
)  # fmt: skip
COUNT = re.compile(r"[<>~=+ ]*(-?\d[\d ]*(?:[.,]\d+)?)[+ ]*")
PIECES = re.compile(
    r"(?:only |just |nur noch |nur |noch |plus que |solo |quedan |nog )?[<>~=+ ]*(-?\d+)\+? ?"
    r"(?:pcs?|pieces?|pc\.?|units?|items?|left|in stock|available|remaining|"
    r"stk\.?|stück|st\.?|szt\.?|ks|db|adet|uds?\.?|unidades|pz|pezzi|stuks|шт\.?|個|件|개|"
    r"auf lager|en stock|op voorraad|skladem|verfügbar|disponibles?)(?: (?:left|in stock|"
    r"available|auf lager|en stock))?",
    re.IGNORECASE,
)


def availability_of(value: Any) -> str:
    """Return the noun's word for `in stock`, `onbackorder`, yes and no, a number of pieces…

    A word that is not known is a RowError of the kind "unknown availability".
    """
    if isinstance(value, int | float | Decimal) and value == value:
        return _of_count(float(value))
    text = text_of(value, "availability", at_most=200)
    if not text:
        return Availability.IN_STOCK.value
    count = plain_digits(text)
    if match := COUNT.fullmatch(count) or PIECES.fullmatch(count):
        return _of_count(float(match[1].replace(" ", "").replace(",", ".")))
    word = _plain(re.split(r"[/#:](?=[A-Za-z]+$)", text)[-1])
    known = AVAILABILITY.get(word) or next((kind for part, kind in WITHIN if part in word), None)
    if known is None:
        raise RowError("unknown availability", f"availability {shown(text)} is unknown")
    return known.value


def _of_count(pieces: float) -> str:
    kind = Availability.IN_STOCK if pieces > 0 else Availability.OUT_OF_STOCK
    return kind.value
