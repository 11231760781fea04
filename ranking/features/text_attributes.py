"""Extracts attributes of a text: measures, model numbers, the head noun, negated words."""

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

LONGEST = 4_000  # characters that are looked at
FRACTIONS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8"}
PRIME, DOUBLE_PRIME = "\u2032", "\u2033"
UNITS = {  # how it is written: what it is called here
    **dict.fromkeys(
        ("in", "inch", "inches", '"', DOUBLE_PRIME, "zoll", "pouces", "pulgadas"), "inch"
    ),
    **dict.fromkeys(("ft", "foot", "feet", "'", PRIME), "foot"),
    **dict.fromkeys(("yd", "yard", "yards"), "yard"),
    **dict.fromkeys(("mm", "millimeter", "millimeters"), "mm"),
    **dict.fromkeys(("cm", "centimeter", "centimeters"), "cm"),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), "m"),
    **dict.fromkeys(("oz", "ounce", "ounces"), "ounce"),
    **dict.fromkeys(("lb", "lbs", "pound", "pounds"), "pound"),
    **dict.fromkeys(("g", "gram", "grams", "gr"), "g"),
    **dict.fromkeys(("kg", "kilo", "kilos"), "kg"),
    **dict.fromkeys(("gal", "gallon", "gallons"), "gallon"),
    **dict.fromkeys(("qt", "quart", "quarts"), "quart"),
    **dict.fromkeys(("pt", "pint", "pints"), "pint"),
    **dict.fromkeys(("l", "liter", "liters", "litre", "litres"), "litre"),
    **dict.fromkeys(("ml", "cl", "dl"), "ml"),
    **dict.fromkeys(("v", "volt", "volts"), "volt"),
    **dict.fromkeys(("w", "watt", "watts"), "watt"),
    **dict.fromkeys(("a", "amp", "amps"), "amp"),
    **dict.fromkeys(("hp", "horsepower"), "hp"),
    **dict.fromkeys(("gb", "tb", "mb"), "byte"),
    **dict.fromkeys(("pack", "pk", "count", "ct", "piece", "pieces", "pcs", "stück"), "pack"),
}
_NUMBER = r"\d+(?:[.,]\d+)?(?:\s?[-/]\s?\d+(?:/\d+)?)?"
_MEASURE = re.compile(rf"(?<![\w.])({_NUMBER})\s?-?\s?([a-zü]+|[\"'{PRIME}{DOUBLE_PRIME}])?")
_CODE = re.compile(r"(?<![\w])(?=[a-z-]*\d)(?=[\d-]*[a-z])[a-z\d]+(?:-[a-z\d]+)*(?![\w])")
_SHORTEST_CODE = 4
_CLAUSE = re.compile(r"[,;:()\[\]|]|\s[-\u2013\u2014]\s")
LINKS = frozenset(  # what follows tells more of the thing, and is not the thing
    ("for", "with", "without", "in", "on", "of", "to", "from", "by", "and", "made", "that", "w/o")
) | {"von", "mit", "ohne", "für", "aus", "avec", "sans", "pour", "de", "en", "con", "sin", "para"}
REFUSALS = frozenset(
    ("without", "w/o", "no", "non", "not", "sans", "ohne", "sin", "senza", "zonder", "utan", "uden")
)


class TextAttributes(NamedTuple):
    """What a text says beside its words."""

    numbers: frozenset[str]
    measures: frozenset[tuple[str, str]]  # unit, number
    codes: frozenset[str]
    head_noun: str  # stem of what is named, "" where nothing is
    negated: frozenset[str]  # stems after a refusal
    affirmed: frozenset[str]  # stems that are not
    grams: frozenset[str]


Stems = Callable[[str], list[str]]


def read_attributes(text: str, stems: Stems) -> TextAttributes:
    """Read one text; it is lower-cased and cut first."""
    plain = _plain(text)
    found = [(number.replace(" ", ""), unit) for number, unit in _MEASURE.findall(plain)]
    affirmed, negated = _negations(plain, stems)
    return TextAttributes(
        numbers=frozenset(number for number, _ in found),
        measures=frozenset((UNITS[unit], number) for number, unit in found if unit in UNITS),
        codes=frozenset(code for code in _CODE.findall(plain) if len(code) >= _SHORTEST_CODE),
        head_noun=head_noun(plain, stems),
        negated=negated,
        affirmed=affirmed,
        grams=letter_triples(plain),
    )


def head_noun(plain: str, stems: Stems) -> str:
    """Return the stem of the last word before the first clause mark or linking word."""
    words: list[str] = []
    for word in _CLAUSE.split(plain, maxsplit=1)[0].split():
        if word in LINKS and words:
            break
        words.append(word)
    named = stems(" ".join(words))
    letters = [stem for stem in named if not stem.isdigit()]
    return (letters or named or [""])[-1]


def letter_triples(plain: str) -> frozenset[str]:
    """Return every three letters in a row of each word, its edges marked."""
    marked = [f" {word} " for word in re.findall(r"\w+", plain)]
    return frozenset(word[i : i + 3] for word in marked for i in range(len(word) - 2))


def _negations(plain: str, stems: Stems) -> tuple[frozenset[str], frozenset[str]]:
    """Return the stems outside of refusals and those inside; a refusal ends with its clause."""
    affirmed: set[str] = set()
    negated: set[str] = set()
    for clause in _CLAUSE.split(plain):
        before, after = _parted(clause.split())
        affirmed |= set(stems(" ".join(before)))
        negated |= set(stems(" ".join(after)))
    return frozenset(affirmed - negated), frozenset(negated)


def _parted(words: list[str]) -> tuple[list[str], list[str]]:
    for place, word in enumerate(words):
        if word in REFUSALS:
            return words[:place], words[place + 1 :]
    return words, []


def _plain(text: str) -> str:
    cut = text[:LONGEST]
    for sign, written in FRACTIONS.items():
        cut = cut.replace(sign, f" {written}")
    return unicodedata.normalize("NFKC", cut).lower()
