"""The signs, names and codes of currencies."""

import re

# ISO 4217, the codes of currencies that are in use (and a few that prices are still written in).
CODES = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN
    BWP BYN BZD CAD CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR
    FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD
    JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK
    MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN
    PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB
    TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER
    ZAR ZMW ZWL
    """.split()
)
NO_DECIMALS = frozenset(  # or none that prices are written with
    """
    BIF CLP COP CRC DJF GNF HUF IDR IRR ISK JPY KMF KRW LAK LBP MGA MMK PYG RWF TZS UGX UZS VND VUV
    XAF XOF XPF
    """.split()
)
THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})

# Signs, short forms and words, in small letters; of several currencies the first is usual.
SIGNS: dict[str, tuple[str, ...]] = {
    "$": ("USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP", "UYU", "DOP",
          "JMD", "TTD", "BBD", "BSD", "BZD", "FJD", "NAD", "XCD"),
    "us$": ("USD",), "u$s": ("USD",), "usd$": ("USD",), "u.s.$": ("USD",), "$us": ("USD",),
    "a$": ("AUD",), "au$": ("AUD",), "aud$": ("AUD",), "$a": ("AUD",),
    "c$": ("CAD",), "ca$": ("CAD",), "cad$": ("CAD",), "cdn$": ("CAD",), "can$": ("CAD",),
    "$ca": ("CAD",), "$c": ("CAD",),
    "nz$": ("NZD",), "hk$": ("HKD",), "s$": ("SGD",), "sg$": ("SGD",), "nt$": ("TWD",),
    "mx$": ("MXN",), "mex$": ("MXN",), "r$": ("BRL",), "ar$": ("ARS",), "cl$": ("CLP",),
    "clp$": ("CLP",), "col$": ("COP",), "cop$": ("COP",), "$u": ("UYU",), "rd$": ("DOP",),
    "j$": ("JMD",), "tt$": ("TTD",), "bz$": ("BZD",), "fj$": ("FJD",), "n$": ("NAD",),
    "ec$": ("XCD",), "dollar": ("USD", "CAD", "AUD", "NZD", "SGD", "HKD"),
    "dollars": ("USD", "CAD", "AUD", "NZD", "SGD", "HKD"),
    "€": ("EUR",), "eur€": ("EUR",), "euro": ("EUR",), "euros": ("EUR",), "eur.": ("EUR",),
    "£": ("GBP", "EGP", "FKP", "GIP", "SHP", "LBP", "SYP"), "gb£": ("GBP",), "pound": ("GBP",),
    "pounds": ("GBP",), "stg": ("GBP",), "£e": ("EGP",), "e£": ("EGP",), "l.e.": ("EGP",),
    "¥": ("JPY", "CNY"), "￥": ("JPY", "CNY"), "jp¥": ("JPY",), "cn¥": ("CNY",), "円": ("JPY",),
    "yen": ("JPY",), "元": ("CNY", "TWD", "HKD"), "rmb": ("CNY",), "rmb¥": ("CNY",),
    "yuan": ("CNY",), "人民币": ("CNY",),
    "₹": ("INR",), "rs": ("INR", "PKR", "LKR", "NPR", "MUR", "SCR"), "₨": ("PKR", "INR", "LKR"),
    "rs.": ("INR", "PKR", "LKR", "NPR", "MUR", "SCR"), "रु": ("INR", "NPR"), "रु.": ("INR", "NPR"),
    "rupees": ("INR", "PKR", "LKR", "NPR", "MUR"), "re.": ("INR",),
    "₽": ("RUB",), "руб": ("RUB",), "руб.": ("RUB",), "р.": ("RUB",), "р": ("RUB",),
    "rub.": ("RUB",), "рублей": ("RUB",), "br": ("BYN", "ETB"), "бел.руб.": ("BYN",),
    "₺": ("TRY",), "tl": ("TRY",), "ytl": ("TRY",), "lira": ("TRY",),
    "₴": ("UAH",), "грн": ("UAH",), "грн.": ("UAH",), "hrn": ("UAH",), "тг": ("KZT",),
    "₸": ("KZT",),
    "₩": ("KRW", "KPW"), "￦": ("KRW",), "원": ("KRW",), "won": ("KRW",), "฿": ("THB",),
    "บาท": ("THB",), "baht": ("THB",), "₫": ("VND",), "đ": ("VND",), "vnđ": ("VND",),
    "₪": ("ILS",), "nis": ("ILS",), 'ש"ח': ("ILS",), "₦": ("NGN",), "₱": ("PHP",), "₡": ("CRC",),
    "₲": ("PYG",), "gs.": ("PYG",), "₾": ("GEL",), "₼": ("AZN",), "₵": ("GHS",), "gh₵": ("GHS",),
    "gh¢": ("GHS",), "₭": ("LAK",), "៛": ("KHR",), "৳": ("BDT",), "tk": ("BDT",), "tk.": ("BDT",),
    "₮": ("MNT",), "֏": ("AMD",), "؋": ("AFN",), "﷼": ("IRR", "SAR", "QAR", "OMR", "YER"),
    "zł": ("PLN",), "zl": ("PLN",), "zł.": ("PLN",), "zloty": ("PLN",), "złotych": ("PLN",),
    "kč": ("CZK",), "kc": ("CZK",), "kč.": ("CZK",), "korun": ("CZK",),
    "ft": ("HUF",), "ft.": ("HUF",), "forint": ("HUF",), "lei": ("RON", "MDL"),
    "leu": ("RON", "MDL"), "ron.": ("RON",), "лв": ("BGN",), "лв.": ("BGN",), "lv": ("BGN",),
    "lv.": ("BGN",), "kn": ("HRK",), "din": ("RSD",), "din.": ("RSD",), "дин": ("RSD",),
    "дин.": ("RSD",), "ден": ("MKD",), "km": ("BAM",), "lek": ("ALL",), "lekë": ("ALL",),
    "kr": ("SEK", "NOK", "DKK", "ISK"), "kr.": ("DKK", "SEK", "NOK", "ISK"), "skr": ("SEK",),
    "nkr": ("NOK",), "dkr": ("DKK",), "ikr": ("ISK",), "kronor": ("SEK",), "kroner": ("NOK", "DKK"),
    "fr": ("CHF",), "fr.": ("CHF",), "sfr": ("CHF",), "sfr.": ("CHF",), "franken": ("CHF",),
    "s/": ("PEN",), "s/.": ("PEN",), "bs": ("BOB", "VES"), "bs.": ("BOB", "VES"), "b/.": ("PAB",),
    "q": ("GTQ",), "l": ("HNL",), "l.": ("HNL",), "c$ni": ("NIO",), "g": ("HTG",),
    "r": ("ZAR",), "rand": ("ZAR",), "ksh": ("KES",), "kshs": ("KES",), "ksh.": ("KES",),
    "ush": ("UGX",), "tsh": ("TZS",), "cfa": ("XOF", "XAF"), "fcfa": ("XOF", "XAF"),
    "dh": ("AED", "MAD"), "dhs": ("AED", "MAD"), "dhs.": ("AED", "MAD"), "د.إ": ("AED",),
    "د.م.": ("MAD",), "ر.س": ("SAR",), "sr": ("SAR",), "sar.": ("SAR",), "ريال": ("SAR", "QAR"),
    "qr": ("QAR",), "kd": ("KWD",), "د.ك": ("KWD",), "bd": ("BHD",), "jd": ("JOD",),
    "dt": ("TND",), "ج.م": ("EGP",), "rm": ("MYR",), "rp": ("IDR",),
    "rp.": ("IDR",),
}  # fmt: skip
# Hundredths, as small prices are written: 99p, 99 ct. Those of several currencies are SHARED.
SUBUNITS = {
    "p": "GBP", "pence": "GBP", "¢": "USD", "cents": "USD", "cent": "EUR", "ct": "EUR",
    "ct.": "EUR",
}  # fmt: skip
SHARED_SUBUNITS = frozenset(("¢", "cents", "cent", "ct", "ct."))
TOKEN = "|".join(re.escape(sign) for sign in sorted(SIGNS, key=len, reverse=True))


def currency_of(text: str, usual: str = "") -> str:
    """Return the ISO 4217 code of a sign, a word or a code in any letters; "" for none.

    A sign of several currencies is the `usual` one of the shop if that is among them, else the one
    of the most shops.
    """
    word = text.strip().casefold()
    if word.upper() in CODES:
        return word.upper()
    several = SIGNS.get(word, ())
    return usual if usual in several else several[0] if several else ""


def is_ambiguous(text: str, usual: str) -> bool:
    """Tell whether a sign stands for several currencies, of which none is the shop's."""
    several = SIGNS.get(text.strip().casefold(), ())
    return (
        len(several) > 1 and text.strip() not in ("$", "£", "¥", "￥", "₩") and usual not in several
    )
