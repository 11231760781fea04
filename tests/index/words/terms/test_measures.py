"""Measures have one form, however they are written."""

import pytest
import regex

from index.words.terms.folding import folder
from index.words.terms.measures import PATTERN, Measure, MeasureReader, with_numerals


def read(text: str, language: str = "english") -> list[Measure]:
    reader = MeasureReader(language)
    return [reader.read(match) for match in regex.finditer(PATTERN, folder(language)(text))]


def first_terms(text: str, language: str = "english") -> list[str]:
    return [measure.terms[0] for measure in read(text, language)]


@pytest.mark.parametrize(
    "forms",
    [
        ("5kg", "5 kg", "5-kg", "5000 g", "5 KG", "5 kilos"),
        ("500ml", "0.5 L", "0,5 l", "50 cl", "½ l", "1/2 l", "500 мл", "500毫升", "500มล."),
        ("1l", "1 litre", "1 Liter", "1,0 l", "1 ltr", "1000 ml"),
        ("1.5 l", "1,5l", "1½ l", "1 1/2 l", "1-1/2 L"),
        ('65"', "65 inch", "65-inch", "65''", "65″", "65”", "65 in.", "65in", "165 cm"),
        ("12oz", "12 oz", "12 ounces", "340 g"),
        ("12 fl oz", "12 fl. oz.", "355 ml"),
        ("1TB", "1000 GB", "1 tb"),
        ("100W", "100 watt", "0.1 kW"),
        ("1.5 m", "150cm", "1500 mm", "1,5 Meter"),
        ("2x500ml", "2 x 500 ml", "2 × 0.5 l"),  # noqa: RUF001
        ("140x200", "140 x 200", "140×200"),  # noqa: RUF001
        ("140x200 cm", "140 cm x 200 cm", "1.4 m x 2 m"),
        ("2 in. x 4 in. x 8 ft.", "2 in x 4 in x 8 ft"),
        ("4 pack", "4-pack", "4 pcs", "4 Stück", "4er"),
        ("6 ft", "6'", "6 feet", "6-foot"),
        ("1/2", "½"),
        ("5%", "5 %", "5 percent"),
        ("1,000 ml", "1 l"),
    ],
)
def test_the_same_size_is_one_term(forms: tuple[str, ...]) -> None:
    terms = [first_terms(form) for form in forms]

    assert terms == [terms[0]] * len(forms)
    assert len(terms[0]) == 1


@pytest.mark.parametrize("text", ["Pack of 4", "Set of 4", "lot de 4", "confezione da 4"])
def test_a_pack_of_several_is_a_number_of_pieces(text: str) -> None:
    assert first_terms(with_numerals(folder("none")(text))) == first_terms("4 pack")


@pytest.mark.parametrize(
    ("spelt", "numerals"),
    [
        ("half gallon", "0.5 gallon"),
        ("half a gallon", "1/2 gallon"),
        ("half-pint", "0.5 pint"),
        ("two and a half pounds", "2.5 lb"),
        ("1 and a half liter", "1.5 l"),
        ("two liter", "2 l"),
        ("medio litro", "500 ml"),
        ("six pack", "6 ct"),
        ("a dozen", "12 ct"),
        ("half a dozen", "6 ct"),
        ("2 dozen", "24 ct"),
        ("1.5 dozen", "18 ct"),
        ("1/2 dozen", "6 ct"),
        ("112 dozen", "1344 ct"),
    ],
)
def test_an_amount_in_words_is_the_one_in_numerals(spelt: str, numerals: str) -> None:
    folded = with_numerals(folder("none")(spelt))

    assert first_terms(folded) == first_terms(numerals)


@pytest.mark.parametrize(
    "text",
    [
        "half and half", "quarter pounder", "three ring binder", "dozens of roses", "two",
        "forty five watt", "twenty two inch", "three quarter inch", "2 1/2 dozen", "one piece",
        "half and half quart",
    ],
)  # fmt: skip
def test_other_numbers_in_words_stay_words(text: str) -> None:
    assert with_numerals(text) == text


def test_gallons_quarts_and_pints_are_also_the_ounces_of_labels() -> None:
    assert read("1/2 gal")[0].terms == ("=ml1890", *first_terms("64 oz"))
    assert read("1 quart")[0].terms == ("=ml946", *first_terms("32 oz"))


@pytest.mark.parametrize("text", ["pack of 4.5 kg", "box of 12345", "backpack of 4me", "501's"])
def test_other_numbers_are_no_number_of_pieces(text: str) -> None:
    assert "=pieces4" not in first_terms(with_numerals(folder("none")(text)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("500 ml", "500 g"),
        ("1.5 l", "15 l"),
        ("2x500ml", "500ml"),
        ("5 g", "5 kg"),
        ("1 m", "1 ml"),
    ],
)
def test_different_sizes_are_different_terms(one: str, other: str) -> None:
    assert first_terms(one) != first_terms(other)


@pytest.mark.parametrize(
    "text",
    ["AA", "size M", "XL", "5 in 1", "2-in-1", "C15-03", "M2262D", "AC1200", "iPhone 14", "16-07",
     "1.2.3", "4006381333948", "0707-60", "1080p", "a5 g"],
)  # fmt: skip
def test_words_and_codes_are_no_measures(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("language", "text", "term"),
    [
        ("german", "1.000 ml", "=ml1000"),
        ("english", "1.000 ml", "=ml1"),
        ("german", "1,000 ml", "=ml1"),
        ("german", "1.299,50 g", "=g1300"),  # to four digits
        ("german", "0.5 l", "=ml500"),
        ("french", "0,5 l", "=ml500"),
    ],
)
def test_decimals_are_read_by_the_language(language: str, text: str, term: str) -> None:
    assert first_terms(text, language) == [term]


def test_a_measure_is_also_found_by_its_number_and_its_parts() -> None:
    assert read("500ml")[0].words == ("500",)
    assert read("1/2 inch")[0].words == ("=n0.5", "inch")
    assert read("2x500ml")[0].terms == ("=2xml500", "=ml500")
    assert "=mm1400" in read("140 x 200 cm")[0].words
    assert "=140x200" in read("140 x 200 cm")[0].terms


@pytest.mark.parametrize("part", ["1", "1 ", "1/1 ", "1,", "1x", "1 x ", "1.1", "1 1/1 ", "1in "])
def test_repeated_numbers_are_read_a_bounded_number_of_times(part: str) -> None:
    short, long = (steps(part * times) for times in (500, 2_000))

    assert long <= 5 * short + 50


def steps(text: str) -> int:
    """Return how many measures a text has, which the scanner finds without going back."""
    return sum(1 for _ in regex.finditer(PATTERN, text, timeout=20))
