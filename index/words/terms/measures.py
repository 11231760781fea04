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
_EXACT, _ROUNDED = 4, 3  # digits, so that 65 inches are 165 cm and 12 oz 340 g
_SHORTEST_SPELT = 4  # letters of a unit that is a word of its own, too
_LONGEST_DENOMINATOR = 64
_NUMBER = (
    r"(?:\d{1,6}[ -]\d{1,2}/\d{1,2}|\d{1,3}/\d{1,3}|\d{1,9}(?:,\d{1,9})*+(?:\.\d{1,9})*+"
    r"(?:,\d{1,9})?+)"
)
_LETTER = r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{N}]"
_SPELT = sorted(UNITS, key=len, reverse=True)
_WORDS = "|".join(name for name in _SPELT if name[0] <= "ӿ" and name not in ("in", "%"))
_OTHERS = "|".join(name for name in _SPELT if name[0] > "ӿ")
_UNIT = (
    rf"(?:(?:fl\.?\ ?oz|sq\.?\ ?m|sq\.?\ ?ft|in(?![ -]?\d)|{_WORDS})(?!{_LETTER})"
    rf"|%|\"|''|(?:{_OTHERS}))"
)
PATTERN = (  # of a text that is folded; no part can be read in two ways, so time is in proportion
    rf"(?<!{_LETTER}|[.,/]\d?)(?=\d)(?:"
    rf"(?P<pieces>\d{{1,4}})\ ?x\ ?(?P<of>{_NUMBER})[ -]?(?P<of_unit>{_UNIT})(?!\ ?x)"
    rf"|(?P<side>{_NUMBER})\ ?(?P<side_unit>{_UNIT})?+\ ?x\ ?(?P<other>{_NUMBER})"
    rf"(?:\ ?(?P<other_unit>{_UNIT})?+\ ?x\ ?(?P<third>{_NUMBER}))?(?:\ ?(?P<sides_unit>{_UNIT}))?"
    rf"(?!{_LETTER})"
    rf"|(?P<number>{_NUMBER})[ -]?(?P<unit>{_UNIT})"
    rf"|(?P<plain>\d{{1,6}}[ -]\d{{1,2}}/\d{{1,2}}|\d{{1,2}}/\d{{1,2}}|\d{{1,9}}[.,]\d{{1,9}})"
    rf"(?![.,/]?{_LETTER}))"
)


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
        if groups["pieces"]:
            return self._multiple(groups["pieces"], groups["of"], groups["of_unit"])
        if groups["side"]:
            return self._sides(groups)
        if groups["number"]:
            return self._amount(groups["number"], groups["unit"])
        value = self._value(groups["plain"])
        return Measure((f"{MARK}n{value:.5g}",), _whole(value // 1) if value >= 1 else ())

    def _amount(self, number: str, unit: str) -> Measure:
        name = unit.replace(".", "").replace(" ", "")
        spelt = (name,) if len(name) >= _SHORTEST_SPELT and name.isalpha() else ()
        value = self._value(number)
        words = (*_whole(value), *spelt)
        if name == "floz":  # mostly written `oz`
            return Measure((_term(UNITS[name], value), _term(UNITS["oz"], value)), words)
        return Measure((_term(_unit(name), value),), words)

    def _multiple(self, pieces: str, number: str, unit: str) -> Measure:
        amount = self._amount(number, unit)
        if amount.terms[0].startswith(f"{MARK}mm"):  # 2 x 3 m are sides
            sides = {"side": pieces, "other": number, "sides_unit": unit}
            return self._sides(sides)
        whole = f"{MARK}{pieces}x{amount.terms[0].removeprefix(MARK)}"
        return Measure((whole, *amount.terms), (pieces, *amount.words))

    def _sides(self, groups: "dict[str, str | None]") -> Measure:
        numbers = [number for name in ("side", "other", "third") if (number := groups.get(name))]
        plain = MARK + "x".join(f"{self._value(number):.5g}" for number in numbers)
        words = tuple(word for number in numbers for word in _whole(self._value(number)))
        spelt = groups.get("sides_unit") or groups.get("other_unit") or groups.get("side_unit")
        if spelt is None or _unit(spelt).base != "mm":
            return Measure((plain,), words)
        lengths = (self._value(number) * _unit(spelt).size for number in numbers)
        return Measure((f"{MARK}mm{'x'.join(f'{one:.4g}' for one in lengths)}", plain), words)

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


def _term(unit: Unit, value: float) -> str:
    digits = _ROUNDED if unit.size in _IMPERIAL else _EXACT
    return f"{MARK}{unit.base}{value * unit.size:.{digits}g}"


def _unit(name: str) -> Unit:
    plain = name.replace(".", "").replace(" ", "")
    return UNITS["in"] if plain in ('"', "''") else UNITS[plain]


def _groups(number: str, separator: str) -> bool:
    """Tell whether a separator parts thousands: three digits follow each, and no zero leads."""
    first, *others = number.split(separator)
    return first not in ("", "0") and len(first) <= 3 and all(len(part) == 3 for part in others)


def _whole(value: float) -> tuple[str, ...]:
    """Return a whole number as the word that it also is."""
    return (f"{value:.0f}",) if value.is_integer() else ()
