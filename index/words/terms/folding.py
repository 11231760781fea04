"""Folding: writes letters that readers take for the same as one, by the customs of a language."""

# ruff: noqa: RUF001, RUF002 - letters that look alike are what is folded here

import unicodedata
from collections.abc import Callable
from html import unescape

import regex

Fold = Callable[[str], str]

_LETTERS = {  # Latin letters that do not decompose, as Lucene's ASCIIFoldingFilter folds them
    "ß": "ss", "ẞ": "ss", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ø": "o", "Ø": "o",
    "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "ð": "d", "Ð": "d", "þ": "th", "Þ": "th",
    "ħ": "h", "Ħ": "h", "ŋ": "n", "Ŋ": "n", "ı": "i", "İ": "i", "ŧ": "t", "Ŧ": "t",
    "ё": "е", "Ё": "е",
    # Arabic and Persian, as Lucene's ArabicNormalizer and PersianNormalizer have it
    "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ی": "ي", "ئ": "ي", "ک": "ك", "ة": "ه",
    "ۀ": "ه", "ؤ": "و", "\u0640": "",
    "™": " ", "℠": " ", "®": " ", "©": " ",  # which NFKC would write as letters
    "=": " ",  # marks a term that is no word
    "’": "'", "‘": "'", "ʼ": "'", "´": "'", "`": "'", "׳": "'",
    "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-", "\u00ad": "", "\u200b": " ",
    "\u200c": "", "\u200d": "", "⁄": "/", "×": "x", "\u2032": "'", "״": '"', "“": '"', "”": '"',
}  # fmt: skip
_DECOMPOSING = (range(0xC0, 0x250), range(0x370, 0x400), range(0x1E00, 0x2000))  # Latin, Greek
_DIGITS = range(0x660, 0xA9DA)  # of other scripts; NFKC knows those behind
_BARE_MARKS = regex.compile(
    r"([\p{Latin}\p{Greek}\p{Cyrillic}\p{Hebrew}\p{Arabic}])[\p{Mn}--\p{Script=Thai}]++", regex.V1
)
_FRACTION = regex.compile("[¼-¾⅐-⅞]")  # NFKC would write "1½" as eleven halves
_TAG = regex.compile(r"<(?:!--|/?[a-zA-Z])[^<>]{0,2000}+>")

# As Lucene's GermanNormalizationFilter: `ae`, `oe`, `ue` are umlauts, but `ue` after a vowel.
_GERMAN = (regex.compile(r"([ao])e|(?<![aeiouyq])(u)e"), r"\1\2")
# As Lucene's ScandinavianFoldingFilter, without `ao` and `oo`, which words have of themselves.
_SCANDINAVIAN = (regex.compile(r"a([ae])|oe"), lambda match: match[0][0])
# The article, alone or behind a conjunction or preposition, as Lucene's ArabicStemmer takes it off.
_ARABIC = (regex.compile(r"(?<!\p{L})(?:[وبكف]?ال|لل)(?=\p{L}{3})"), "")
_ENGLISH = (regex.compile(r"(?<=\p{L})'s(?!\w)"), "")  # men's, Lay's
_SPELLINGS = {
    "english": _ENGLISH,
    "arabic": _ARABIC,
    "german": _GERMAN,
    "danish": _SCANDINAVIAN,
    "norwegian": _SCANDINAVIAN,
    "swedish": _SCANDINAVIAN,
}


def folder(language: str) -> Fold:
    """Return the folding of a language: small letters without accents, NFKC, ASCII digits.

    German ä is found by `a` and `ae`, Scandinavian å, ø and æ also by `aa`, `oe` and `ae`; Turkish
    ı and İ are i, Greek ς is σ, Russian ё is е; Arabic and Hebrew lose their marks, and
    Arabic its article, English words a possessive 's.
    """
    spelling = _SPELLINGS.get(language)

    def fold(text: str) -> str:
        folded = text.lower().replace("=", " ") if text.isascii() else _folded(text)
        return folded if spelling is None else str(spelling[0].sub(spelling[1], folded))

    return fold


def plain_text(text: str) -> str:
    """Return a text without tags, its entities decoded, as a browser would show it."""
    if "<" in text:
        text = str(_TAG.sub(" ", text))
    return unescape(text) if "&" in text else text


def _folded(text: str) -> str:
    spaced = _FRACTION.sub(r" \g<0>", text.translate(_SIGNS))
    composed = unicodedata.normalize("NFKC", spaced).translate(_TABLE).lower()
    return str(_BARE_MARKS.sub(r"\1", composed.replace("ς", "σ")))


def _table() -> dict[int, str]:
    table = {}
    for code in (code for part in _DECOMPOSING for code in part):
        base = unicodedata.normalize("NFD", chr(code))
        if len(base) > 1:
            table[code] = "".join(c for c in base if not unicodedata.combining(c))
    for code in _DIGITS:
        if unicodedata.category(chr(code)) == "Nd":
            table[code] = str(unicodedata.digit(chr(code)))
    return table | {ord(letter): folded for letter, folded in _LETTERS.items()}


_SIGNS = str.maketrans(dict.fromkeys("™℠®©", " "))
_TABLE = _table()
