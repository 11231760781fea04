"""Reads prices as shops write them."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pipelines.importers.values.currencies import (
    CODES,
    NO_DECIMALS,
    SHARED_SUBUNITS,
    SIGNS,
    SUBUNITS,
    THREE_DECIMALS,
    currency_of,
)
from pipelines.importers.values.currencies import is_ambiguous as is_ambiguous_sign
from pipelines.importers.values.markup import plain_text
from pipelines.importers.values.numbers import NUMBER, amount_of, plain_digits
from pipelines.importers.values.texts import RowError
from pipelines.shop.quality import shown

MAX_PRICE = 1e9
MAX_CHARACTERS = 200
FREE = frozenset(
    """
    free gratis kostenlos gratuit gratuito gratuita grátis umsonst darmowe zdarma ingyenes
    bezpłatne ücretsiz бесплатно безкоштовно 無料 免费 무료
    """.split()
)
NO_PRICE = frozenset(
    {
        "", "-", "--", "---", "–", "—", "n/a", "na", "n.a.", "n. a.", "nan", "null", "none", "nil",
        "#n/a", "#n/v", "#value!", "#wert!", "#ref!", "#div/0!", r"\n", "(null)", "tbd", "tba",
        "tbc", "?", "poa", "p.o.a.", "on request", "price on request", "on application", "call",
        "call for price", "ask", "ask for price", "contact us", "not available", "unavailable",
        "auf anfrage", "preis auf anfrage", "a.a.", "k.a.", "k. a.", "keine angabe", "sur demande",
        "prix sur demande", "nc", "n.c.", "consultar", "a consultar", "bajo pedido", "su richiesta",
        "op aanvraag", "na zapytanie", "na dotaz", "sob consulta", "по запросу", "要見積", "時価",
        "sold out", "various", "varies",
    }
)  # fmt: skip
# Words before a price, longest first; those of FROM say that it is the lowest.
FROM = (
    "starting from", "starting at", "starts at", "as low as", "à partir de", "a partir de",
    "a partire da", "prices from", "price from", "from", "ab", "dès", "desde", "od", "vanaf",
    "fra", "från", "alkaen", "от", "від", "min.", "min", "da", "de", "von", "between", "entre",
    "zwischen",
)  # fmt: skip
WORDS = (
    "sale price", "our price", "special price", "unit price", "price", "preis", "prix", "precio",
    "preço", "prezzo", "prijs", "cena", "cijena", "fiyat", "цена", "ціна", "now", "only", "nur",
    "jetzt", "solo", "just", "statt", "uvp", "rrp", "msrp", "ca.", "ca", "approx.", "approx",
)  # fmt: skip
BEFORE = re.compile(
    rf"({'|'.join(map(re.escape, FROM + WORDS))})\s*:?(?![^\W\d_]|\$)\s*", re.IGNORECASE
)
UNIT = re.compile(
    r"\s*+(?:\beach|\bea\.?"
    r"|(?:/|\b(?:per|pro|par|por|al|za|je|pr|the|à|a|na|на|за)\b)\.?\s*+(?=\w)(?:\d[\d.,]*\s*)?"
    r"(?:[^\W\d]{1,20}[²³]?\.?\s?){0,2})$",
    re.IGNORECASE,
)
BRACKETS = re.compile(r"\s*+[(\[][^()\[\]]*[)\]]$")
TAX = re.compile(
    r"[\s,;(*]*+\b(?:incl?|excl?|inkl|exkl|zzgl|plus|ttc|ht|hors|iva|vat|tax|taxes|mwst|tva|gst|"
    r"moms|btw|kdv|ust|netto|brutto|net|gross|inc|ex|zuzüglich|compris|included|ttc)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
UNITS = "prices per unit are kept as they are"
RANGE = re.compile(r"-|–|—|~|〜|\.{2,3}|…|to|bis|à|a|y|e|et|and|und|al|do|until|till|до|tot|til")
SIMPLE = re.compile(r"[0-9]{1,9}(?:[.,][0-9]{1,2})?")
EXPONENT = re.compile(r"\d{1,9}(?:\.\d{1,15})?[eE]\+\d{1,2}")  # 1e+05, as R writes 100000
NOW = re.compile(  # of `was $20.00, now $15.00` what is paid
    r"(?:was|before|rrp|msrp|uvp|reg(?:ular(?:ly)?|\.)?|orig(?:inally|\.)?|statt|bisher|vorher"
    r"|avant|antes|prima)\b[^\d]*\d[^a-z]*(?:[a-z]{1,4}\b[^a-z\d]*)?"
    r"\b(?:now|sale|only|jetzt|nur|maintenant|ahora|ora)\b(?P<now>.*\d.*)",
    re.IGNORECASE,
)
PENCE = "p"
CENTS = re.compile(r"(\d+) ?([€$£]) ?(\d{2})")  # 12€50
ENDS = re.compile(r"(?<=\d)\s?([.,:])\s?[-–—=]{1,2}(?!\d)")  # 12,- and 12:-


class Price(NamedTuple):
    """An amount, with its currency if the text names one."""

    amount: float
    currency: str


class PriceText(NamedTuple):
    """What a text says about a price, and what had to be chosen to read it."""

    price: Price | None
    choice: str = ""


class PriceStyle(NamedTuple):
    """How the prices of a file are written, as far as is known."""

    decimal: str = ""  # the mark before decimals, `.` or `,`
    currency: str = ""  # of prices that name none
    decimals: Mapping[str, str] = {}  # the mark by currency, where a file has both

    def mark(self, number: str, currency: str) -> str:
        """Return the mark of decimals in a number that is ambiguous by itself; "": not known.

        Where only prices in other currencies tell, $1,299 is a thousand: prices have two decimals.
        """
        named = bool(currency)
        currency = currency or self.currency
        other = "," if "." in number else "."
        told_by_others = bool(self.decimals) and currency not in self.decimals
        if currency in NO_DECIMALS or (named and told_by_others and currency not in THREE_DECIMALS):
            return other
        known = self.decimals.get(currency) or self.decimal
        if not known and currency in THREE_DECIMALS:
            return "." if "." in number else ","
        return known


PLAIN_STYLE = PriceStyle()


def price_of(value: Any, style: PriceStyle = PLAIN_STYLE) -> Price | None:
    """Read 19.99, "$19.99", "EUR 1.299,00", "from 12,- zł/kg"…; None where there is no price."""
    return read_price(value, style).price


def read_price(value: Any, style: PriceStyle = PLAIN_STYLE) -> PriceText:
    """Return a price with what was chosen; RowError for what is no price, or an impossible one."""
    if value is None or value != value:  # NaN is how pandas writes a missing number
        return PriceText(None)
    if isinstance(value, str):
        return _read_text(value, style)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _no_number(value)
    return PriceText(Price(_possible(value), ""))


def number_in(value: Any) -> str:
    """Return the first number of a text as it is written, "" if there is none."""
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS:
        return ""
    if SIMPLE.fullmatch(value):
        return value
    number = NUMBER.search(_without_dash(_without_markup(value)))
    return number[0] if number else ""


def _read_text(value: str, style: PriceStyle) -> PriceText:
    if SIMPLE.fullmatch(value):  # most prices of most files
        return PriceText(Price(_possible(float(value.replace(",", "."))), ""))
    text = _without_markup(value)
    if len(text) > MAX_CHARACTERS:
        raise _no_number(value)
    if known := _of_one_word(text):
        return known
    if found := NOW.fullmatch(text):
        return _read_text(found["now"], style)._replace(
            choice="of a price that was and is, what is"
        )
    choice, text = _without_words(text)
    numbers = list(NUMBER.finditer(text))
    if len(numbers) == 2 and (low := _lower_end(text, numbers)):
        choice, text = "of a range of prices the lower end counts", low
        numbers = list(NUMBER.finditer(text))
    if len(numbers) != 1:
        raise _no_number(value)
    before, after = text[: numbers[0].start()], text[numbers[0].end() :]
    negative = before.rstrip().endswith("-") or "-" in before or after.startswith("-")
    sign = _sign(before.replace("-", " "), after.replace("-", " "))
    if sign == PENCE and not _is_pence(after, style):
        sign = None  # `P100` is of Botswana or the Philippines, and `100 p` of many more
    if sign is None:
        raise _no_number(value)
    currency, parts = _currency(sign, style.currency)
    if not choice and is_ambiguous_sign(sign, style.currency):
        choice = f"{sign} is read as {currency}; is that right? (key `currency`)"
    amount = _amount(value, numbers[0][0], style.mark(numbers[0][0], currency)) / parts
    return PriceText(Price(_possible(-amount if negative else amount), currency), choice)


def _is_pence(after: str, style: PriceStyle) -> bool:
    """Tell whether `p` behind a number means pence: in pounds, small also where nothing is said."""
    letter = after.strip(" -*.!")
    in_pounds = style.currency == "GBP" or (not style.currency and "GBP" in style.decimals)
    return letter.casefold() == PENCE and (in_pounds or (letter == PENCE and not style.currency))


def _of_one_word(text: str) -> PriceText | None:
    """Return what a text says that is no number with signs around it; None for all others."""
    word = text.casefold().rstrip("!*")
    if word in NO_PRICE:
        return PriceText(None, "cells that say that there is no price" if word else "")
    if word in FREE:
        return PriceText(Price(0.0, ""), "free is a price of 0")
    return PriceText(Price(_possible(float(text)), "")) if EXPONENT.fullmatch(text) else None


def _currency(sign: str, usual: str) -> tuple[str, int]:
    """Return the code of a sign, and how many of what it stands for make one."""
    if sign not in SUBUNITS:
        return currency_of(sign, usual), 1
    return usual if usual and sign in SHARED_SUBUNITS else SUBUNITS[sign], 100


def _without_markup(value: str) -> str:
    text = value[: MAX_CHARACTERS + 1]
    if "<" in text or "&" in text:
        text = plain_text(text)
    return " ".join(plain_digits(text).split())


def _without_words(text: str) -> tuple[str, str]:
    """Return a price without the words around it, and the choice that this is."""
    choice = ""
    while match := BEFORE.match(text):
        if match[1].casefold() in FROM:
            choice = "of a price that begins somewhere the beginning counts"
        text = text[match.end() :]
    first = NUMBER.search(text)
    if not first:
        return choice, text
    head, rest = text[: first.end()], text[first.end() :]
    for pattern, what in (
        (BRACKETS, ""),
        (TAX, ""),
        (UNIT, "prices per unit are kept as they are"),
    ):
        shorter = pattern.sub("", rest)
        if shorter != rest and what:
            choice = choice or what
        rest = shorter
    text = (head + rest).strip().strip("*").strip()
    text = _without_dash(text)
    return choice, CENTS.sub(r"\1.\3\2", text) if CENTS.fullmatch(text) else text


def _without_dash(text: str) -> str:
    """Return 12,00 for `12,-`, 12 for `12:-`, and a price with decimals without the dash."""
    if not (end := ENDS.search(text)):
        return text
    whole = end[1] == ":" or re.search(r"[.,]\d{2}$", text[: end.start()])
    return text[: end.start()] + ("" if whole else f"{end[1]}00") + text[end.end() :]


def _lower_end(text: str, numbers: list[re.Match[str]]) -> str:
    """Return the first price of a range with the currency of either; "" if it is no range."""
    between = text[numbers[0].end() : numbers[1].start()]
    words = between.split()
    own = (word for word in words if not word.isalpha() or f" {word} " in between)
    marks = [word for word in own if RANGE.fullmatch(word.casefold())]
    bare = re.sub(r"[^.~〜…–—-]+", "", between) if not marks else marks[0]
    if not RANGE.fullmatch(bare.casefold()):
        return ""
    tokens = [word for word in words if word not in marks and word != bare]
    tokens = [re.sub(r"^[-–—~]|[-–—~]$", "", token) for token in tokens]
    sign = " ".join([text[: numbers[0].start()], *tokens, text[numbers[1].end() :]]).split()
    return " ".join([numbers[0][0], *dict.fromkeys(sign)])


def _sign(before: str, after: str) -> str | None:
    """Return the sign or code of a currency around a number, "" for none, None for other words."""
    signs: list[str] = []
    for side in (before, after):
        whole = side.strip(" :=*!").casefold()
        whole = whole if _is_sign(whole) else whole.rstrip(".")  # the end of a sentence
        if not whole:
            continue
        joined = whole.replace(" ", "")
        parts = [whole] if _is_sign(whole) else [joined] if _is_sign(joined) else whole.split()
        if not all(map(_is_sign, parts)):
            return None
        signs += parts
    codes = [sign for sign in signs if sign.upper() in CODES]
    distinct = list(dict.fromkeys(codes or signs))
    if len(signs) > 1 and any(sign in SUBUNITS for sign in signs):
        return None  # $5 ct
    longest = max(distinct, key=len, default="")
    return longest if len({currency_of(sign) for sign in codes}) < 2 else None


def _is_sign(word: str) -> bool:
    return word in SIGNS or word in SUBUNITS or word.upper() in CODES


def _amount(value: str, number: str, mark: str) -> float:
    try:
        return amount_of(number, mark)
    except ValueError:
        raise _no_number(value) from None


def _possible(value: float | Decimal) -> float:
    if not 0 <= value <= MAX_PRICE:
        raise RowError(
            "impossible price",
            f"price {shown(value)} is impossible, expected 0 to {MAX_PRICE:,.0f}",
        )
    return float(value)


def _no_number(value: Any) -> RowError:
    return RowError("impossible price", f"price {shown(value)} is not a number")
