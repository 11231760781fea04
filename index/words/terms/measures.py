"""Measures: reads sizes, amounts and fractions, and writes each in one form."""

from typing import NamedTuple

import regex

from index.words.terms.units import UNITS, Unit

MARK = "="  # begins a term that is no word, so that no word is taken for one
COMMA_DECIMALS = frozenset(  # languages that write 0,5; the others write 0.5
    ("danish", "dutch", "finnish", "french", "german", "greek", "hungarian", "italian",
     "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "turkish")
)  # fmt: skip
_IMPERIAL = frozenset((25.4, 304.8, 914.4, 28.349523125, 453.59237, 29.5735295625, 473.176473,
                       946.352946, 3785.411784, 0.09290304))  # fmt: skip
_US_VOLUMES = frozenset(
    ("pt", "pint", "pints", "qt", "quart", "quarts", "gal", "gallon", "gallons")
)
_EXACT, _ROUNDED = 4, 3  # digits, so that 65 inches are 165 cm and 12 oz 340 g
_SHORTEST_SPELT = 4  # letters of a unit that is a word of its own, too
_NUMBER = (
    r"(?:\d{1,6}[ -]\d{1,2}/\d{1,2}|\d{1,3}/\d{1,3}|\d{1,9}(?:,\d{1,9})*+(?:\.\d{1,9})*+"
    r"(?:,\d{1,9})?+)"
)
_LETTER = r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{N}]"
_SPELT = sorted(UNITS, key=len, reverse=True)
_WORDS = "|".join(name for name in _SPELT if name[0] <= "ӿ" and name not in ("in", "%", "'"))
_OTHERS = "|".join(name for name in _SPELT if name[0] > "ӿ")
_UNIT = (
    rf"(?:(?:fl\.?\ ?oz|sq\.?\ ?m|sq\.?\ ?ft|in(?![ -]?\d)|{_WORDS})(?!{_LETTER})\.?"
    rf"|%|\"|''|'(?!['\p{{L}}])|(?:{_OTHERS}))"
)
PATTERN = (  # of a text that is folded; what it tries at a place is bounded
    rf"(?<!{_LETTER}|[.,/]\d?)(?=\d)(?:"
    rf"(?P<side>{_NUMBER})\ ?(?P<side_unit>{_UNIT})?+\ ?x\ ?"
    rf"(?P<other>{_NUMBER})(?:[ -]?(?P<other_unit>{_UNIT}))?+"
    rf"(?:\ ?x\ ?(?P<third>{_NUMBER})(?:\ ?(?P<third_unit>{_UNIT}))?+)?+(?!{_LETTER})"
    rf"|(?P<number>{_NUMBER})[ -]?(?P<unit>{_UNIT})"
    rf"|(?P<plain>\d{{1,6}}[ -]\d{{1,2}}/\d{{1,2}}|\d{{1,2}}/\d{{1,2}}|\d{{1,9}}[.,]\d{{1,9}})"
    rf"(?![.,/]?{_LETTER}))"
)


_PACK_OF = regex.compile(
    r"\b(pack|set|box|case|bundle|lot|paquete|juego|confezione) (?:of|de|da|von) "
    r"(\d{1,4})(?![\d.,]\d|\d)"
)


_SPELT_NUMBERS = {
    "quarter": "0.25", "half": "0.5", "demi": "0.5", "medio": "0.5", "media": "0.5",
    "mezzo": "0.5", "halbe": "0.5", "halber": "0.5", "halbes": "0.5", "one": "1", "two": "2",
    "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "twelve": "12",
}  # fmt: skip
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred"
_NUMBER_NAMES = "|".join(_SPELT_NUMBERS)
_ALONE = rf"(?<!\d[.,/]?)(?<!\d )(?<!\b(?:{_NUMBER_NAMES}|{_TENS})[ -])(?<!\band )"  # no part
_PIECES = frozenset(("piece", "pieces", "piezas", "pezzi"))  # `one piece` is a swimsuit, too
_LONG_UNITS = "|".join(
    name
    for name in _SPELT
    if len(name) >= _SHORTEST_SPELT and name.isascii() and name not in _PIECES
)
_SPELT_AMOUNT = regex.compile(
    rf"{_ALONE}\b(?P<number>{_NUMBER_NAMES})[ -](?:an? )?(?=(?:{_LONG_UNITS})\b)"
)
_AND_A_HALF = regex.compile(
    rf"{_ALONE}\b(?P<number>{_NUMBER_NAMES}|\d{{1,3}}) and (?:a|one) half (?=(?:{_LONG_UNITS})\b)"
)
_DOZENS = regex.compile(
    rf"{_ALONE}\b(?:an? )?(?:(?P<number>{_NUMBER_NAMES}|\d/\d|\d{{1,3}}(?:\.\d)?)[ -](?:a )?)?"
    r"dozens?\b(?! of)"
)


def with_numerals(text: str) -> str:
    """Return a folded text with amounts in numerals, as its measures are read.

    `pack of 4` is written as `pack 4 pcs`, `half a gallon` as `0.5 gallon`, `a dozen` as `12 pcs`.
    """
    packs = _PACK_OF.sub(r"\1 \2 pcs", text)
    packs = _AND_A_HALF.sub(lambda match: f"{_spelt(match['number']) + 0.5:g} ", packs)
    dozens = _DOZENS.sub(lambda match: f"{12 * _spelt(match['number'] or 'one'):g} pcs", packs)
    return str(_SPELT_AMOUNT.sub(lambda match: f"{_spelt(match['number']):g} ", dozens))


def _spelt(number: str) -> float:
    above, _, below = _SPELT_NUMBERS.get(number, number).partition("/")
    return float(above) / float(below or 1)


class Measure(NamedTuple):
    """A measure of a text: terms of which the first says most, and words to find it by besides."""

    terms: tuple[str, ...]
    words: tuple[str, ...] = ()


class MeasureReader:
    """Reads the measures of texts in one language, which says how decimals are written."""

    def __init__(self, language: str) -> None:
        self._comma = language in COMMA_DECIMALS

    def read(self, match: "regex.Match[str]") -> Measure:
        """Return the measure that PATTERN matched."""
        groups = match.groupdict()
        if groups["side"]:
            names = [name for name in ("side", "other", "third") if groups[name]]
            values = [self._value(groups[name]) for name in names]
            units = [groups[f"{name}_unit"] for name in names]
            return _multiple(values, units) or _sides(values, units)
        if groups["number"]:
            return _amount(self._value(groups["number"]), groups["unit"])
        value = self._value(groups["plain"])
        whole = _number_words(value // 1) if value >= 1 else ()
        return Measure((_plain(value),), whole)

    def _value(self, number: str) -> float:
        """Return a number as the language writes it; `1 1/2` is 1.5, `1,000` may be a thousand."""
        whole, _, fraction = number.replace("-", " ").rpartition(" ")
        if "/" in fraction:
            above, below = map(int, fraction.split("/"))
            return float(whole or 0) + (above / below if below else 0)
        point, other = (",", ".") if self._comma else (".", ",")
        if other in number and not _groups(number, other) and point not in number:
            point, other = other, point  # 0.5 in a language of commas
        whole, _, decimals = number.replace(other, "").partition(point)
        return float(f"{whole}.{decimals.replace(point, '')}")


def _amount(value: float, unit: str) -> Measure:
    name = _bare(unit)
    spelt = (name,) if len(name) >= _SHORTEST_SPELT and name.isalpha() else ()
    words = (*_number_words(value), *spelt)
    if name == "floz":  # mostly written `oz`
        return Measure((_term(UNITS[name], value), _term(UNITS["oz"], value)), words)
    if name in _US_VOLUMES:  # whose labels mostly say ounces
        ounces = value * UNITS[name].size / UNITS["floz"].size
        return Measure((_term(_unit(unit), value), _term(UNITS["oz"], ounces)), words)
    return Measure((_term(_unit(unit), value),), words)


def _multiple(values: list[float], units: list[str | None]) -> Measure | None:
    """Return several of one amount, such as 2 x 500 ml; None for anything else."""
    [pieces, value, *others], unit = values, units[1]
    if others or units[0] or not unit or not pieces.is_integer() or _unit(unit).base == "mm":
        return None
    one = _amount(value, unit)
    whole = f"{MARK}{pieces:.0f}x{one.terms[0].removeprefix(MARK)}"
    return Measure((whole, *one.terms), (*_number_words(pieces), *one.words))


def _sides(values: list[float], units: list[str | None]) -> Measure:
    """Return the sides of a thing: as lengths where a unit is given, and as they are written."""
    written = MARK + "x".join(f"{value:.5g}" for value in values)
    words = [word for value in values for word in _number_words(value)]
    if len(values) > 2:
        words.append(MARK + "x".join(f"{value:.5g}" for value in values[:2]))
    last = next((unit for unit in reversed(units) if unit), None)
    if last is None or any(_unit(unit or last).base != "mm" for unit in units):
        return Measure((written,), tuple(words))
    sides = [_term(_unit(unit or last), value) for unit, value in zip(units, values, strict=True)]
    lengths = "x".join(side.removeprefix(f"{MARK}mm") for side in sides)
    return Measure((f"{MARK}mm{lengths}", written), (*words, *sides))


def _term(unit: Unit, value: float) -> str:
    digits = _ROUNDED if unit.size in _IMPERIAL else _EXACT
    return f"{MARK}{unit.base}{float(f'{value * unit.size:.{digits}g}'):.15g}"


def _plain(value: float) -> str:
    return f"{MARK}n{value:.5g}"


def _unit(name: str) -> Unit:
    plain = _bare(name)
    return UNITS["in"] if plain in ('"', "''") else UNITS[plain]


def _bare(unit: str) -> str:
    return unit.replace(".", "").replace(" ", "")


def _groups(number: str, separator: str) -> bool:
    """Tell whether a separator parts thousands: three digits follow each, and no zero leads."""
    first, *others = number.split(separator)
    return first not in ("", "0") and len(first) <= 3 and all(len(part) == 3 for part in others)


def _number_words(value: float) -> tuple[str, ...]:
    """Return a number alone: as the word that it also is, or as a measure without a unit."""
    return (f"{value:.0f}",) if value.is_integer() else (_plain(value),)
