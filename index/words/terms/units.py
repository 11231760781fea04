"""Units of measure: their names in several languages, and the unit each is converted to."""

# ruff: noqa: RUF001 - Cyrillic names are no misspelt Latin ones

from typing import NamedTuple


class Unit(NamedTuple):
    """What a unit measures, as the unit that all of its kind are converted to, and how many."""

    base: str
    size: float


# SI Brochure (BIPM, 9th edition, 2019) and NIST Handbook 44, Appendix C (2024), which has 1 inch =
# 25.4 mm, 1 pound = 453.59237 g and 1 US gallon = 3785.411784 ml; bytes by IEC 80000-13 with SI
# prefixes. Names are folded: small letters, no accents.
_UNITS: dict[tuple[str, float], str] = {
    ("mm", 1.0): "mm millimeter millimeters millimetre millimetres milimetros мм 毫米 มม",
    ("mm", 10.0): "cm centimeter centimeters centimetre centimetres centimetros centimetri см"
    " 厘米 ซม センチ",
    ("mm", 1000.0): "m meter meters metre metres metro metros metri mtr mtrs mts м 米 เมตร"
    " メートル",
    ("mm", 25.4): "in inch inches zoll pouce pouces pulgada pulgadas pollici tum inc дюйм дюйма"
    " дюймов 英寸 寸 インチ นิ้ว",
    ("mm", 304.8): "' ft foot feet",
    ("mm", 914.4): "yd yard yards",
    ("mm", 1e6): "km kilometer kilometers kilometre kilometres км",
    ("g", 0.001): "mg milligram milligrams мг 毫克 มก",
    ("g", 1e-6): "mcg μg microgram micrograms мкг",
    ("g", 1.0): "g gr gram grams gramm gramme grammes gramos grammi г гр 克 กรัม グラム",
    ("g", 1000.0): "kg kgs kilo kilos kilogram kilograms kilogramm kilogramme кг 公斤 千克 กก"
    " กิโลกรัม キロ",
    ("g", 28.349523125): "oz ounce ounces onza onzas once onces",
    ("g", 453.59237): "lb lbs pound pounds",
    ("ml", 1.0): "ml milliliter milliliters millilitre millilitres mililitros мл 毫升 มล"
    " มิลลิลิตร ミリリットル cc",
    ("ml", 10.0): "cl centiliter centiliters centilitre",
    ("ml", 100.0): "dl deciliter deciliters",
    ("ml", 1000.0): "l ltr liter liters litre litres litro litros litri л литр литра литров lt"
    " 升 ลิตร リットル",
    ("ml", 29.5735295625): "floz",
    ("ml", 473.176473): "pt pint pints",
    ("ml", 946.352946): "qt quart quarts",
    ("ml", 3785.411784): "gal gallon gallons",
    ("w", 1.0): "w watt watts вт 瓦 วัตต์",
    ("w", 1000.0): "kw kilowatt kilowatts квт",
    ("v", 1.0): "v volt volts вольт 伏 โวลต์",
    ("a", 1.0): "a amp amps ampere",
    ("ah", 1.0): "ah",
    ("ah", 0.001): "mah мач มาห์",
    ("wh", 1.0): "wh",
    ("wh", 1000.0): "kwh",
    ("hz", 1.0): "hz hertz гц",
    ("hz", 1e3): "khz",
    ("hz", 1e6): "mhz",
    ("hz", 1e9): "ghz ггц",
    ("byte", 1e6): "mb megabyte megabytes мб",
    ("byte", 1e9): "gb gigabyte gigabytes гб go",
    ("byte", 1e12): "tb terabyte terabytes тб to",
    ("m2", 1.0): "m2 sqm qm",
    ("m2", 0.09290304): "ft2 sqft",
    ("s", 1.0): "s sec second seconds",
    ("s", 60.0): "min minute minutes",
    ("s", 3600.0): "h hr hrs hour hours",
    ("percent", 1.0): "% percent prozent",
    ("pieces", 1.0): "er pc pcs piece pieces pack packs pk ct count stuck stk st adet pezzi piezas"
    " pieces szt шт 片 个 個 ชิ้น",
}  # fmt: skip
UNITS = {name: Unit(base, size) for (base, size), names in _UNITS.items() for name in names.split()}
