"""Prices as shops of many countries write them."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.importers.values.currencies import CODES, SIGNS, currency_of
from pipelines.importers.values.prices import Price, PriceStyle, price_of, read_price
from pipelines.importers.values.survey import SaidStyle, Survey
from pipelines.importers.values.texts import RowError
from pipelines.shop.remarks import Remarks
from tests.assertions import each, every


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("1.299,00 €", 1299.0, "EUR"),
        ("1\u202f299,00\u00a0€", 1299.0, "EUR"),
        ("CHF 1'299.00", 1299.0, "CHF"),
        ("CHF 1’299.–", 1299.0, "CHF"),
        ("12,- €", 12.0, "EUR"),
        ("99p", 0.99, "GBP"),
        ("99 ct", 0.99, "EUR"),
        ("1e+05", 100000.0, ""),  # R
        ("1.25E+04", 12500.0, ""),
        ("Was $20.00 Now $15.00", 15.0, "USD"),
        ("UVP 99,- € jetzt nur 79,- €", 79.0, "EUR"),
        ("was 20 EUR, now 15 EUR", 15.0, "EUR"),
        ("statt 20,00 CHF jetzt 15,00 CHF", 15.0, "CHF"),
        ("RRP £20, now £15 per kg", 15.0, "GBP"),
        ("kr 1.299,-", 1299.0, "SEK"),
        ("12:- kr", 12.0, "SEK"),
        ("12€50", 12.5, "EUR"),
        ("₹1,29,900.00", 129900.0, "INR"),
        ("Rs. 1,29,900", 129900.0, "INR"),
        ("١٢٫٥٠", 12.5, ""),
        ("１２００円", 1200.0, "JPY"),
        ("Rp 150.000", 150000.0, "IDR"),
        ("1.000.000 ₫", 1000000.0, "VND"),
        ("KD 1.250", 1.25, "KWD"),
        ("US $12.50", 12.5, "USD"),
        ("USD $12", 12.0, "USD"),
        ("C$12", 12.0, "CAD"),
        ("S/ 12.00", 12.0, "PEN"),
        ("99,95 Kč", 99.95, "CZK"),
        ("1 990 Ft", 1990.0, "HUF"),
        ("25 lei", 25.0, "RON"),
        ("10 лв.", 10.0, "BGN"),
        ("1 200 ₽", 1200.0, "RUB"),
        ("250 บาท", 250.0, "THB"),
        ("usd 5", 5.0, "USD"),
        ("&euro;&nbsp;5,50", 5.5, "EUR"),
        ("<span>5.00</span>", 5.0, ""),
        ("2,49 € / 100 g", 2.49, "EUR"),
        ("0.99 per 100 g", 0.99, ""),
        ("3.50/kg", 3.5, ""),
        ("From 12.00", 12.0, ""),
        ("ab 12,00 €*", 12.0, "EUR"),
        ("à partir de 12,00 €", 12.0, "EUR"),
        ("12.00 - 15.00", 12.0, ""),
        ("$12.00 to $15.00", 12.0, "USD"),
        ("12–15 €", 12.0, "EUR"),
        ("de 12,00 à 15,00 €", 12.0, "EUR"),
        ("zwischen 12 und 15 €", 12.0, "EUR"),
        ("12,00 € inkl. 19% MwSt.", 12.0, "EUR"),
        ("12.00 EUR (incl. tax)", 12.0, "EUR"),
        ("Price: 12.00", 12.0, ""),
        ("free", 0.0, ""),
        ("Gratis!", 0.0, ""),
        ("1.299.00", 1299.0, ""),
        ("0,299", 0.299, ""),
        ("1299.000", 1299.0, ""),
    ],
)
def test_a_price_is_read_with_its_currency(text: str, amount: float, currency: str) -> None:
    assert price_of(text) == (amount, currency)


@pytest.mark.parametrize("text", ["NT$1,299", "US$ 1.299", "฿1,299"])
def test_prices_in_another_currency_tell_of_thousands_and_of_no_three_decimals(text: str) -> None:
    style = PriceStyle(",", "EUR", {"EUR": ","})

    price = price_of(text, style)

    assert price is not None
    assert price.amount == 1299


def test_hundredths_are_of_the_shops_own_currency_where_several_have_them() -> None:
    assert price_of("99¢", PriceStyle(currency="CAD")) == Price(0.99, "CAD")


@pytest.mark.parametrize("currency", ["", "GBP"])
@pytest.mark.parametrize("text", ["99p", "99 p", "99p each", "99p - 150p", "99 pence"])
def test_pence_stand_behind_a_number_in_a_shop_of_pounds(text: str, currency: str) -> None:
    assert price_of(text, PriceStyle(currency=currency)) == Price(0.99, "GBP")


@pytest.mark.parametrize("text", ["99P", "99 P", "99p.", "99 p", "99 P.", "only 99p!", "99P each"])
def test_pence_are_read_with_a_capital_or_a_stop_where_the_file_is_in_pounds(text: str) -> None:
    seen = surveyed(["£1.50", "£12.00", text], SaidStyle())[0]

    for style in (PriceStyle(currency="GBP"), seen):
        assert price_of(text, style) == Price(0.99, "GBP")


@pytest.mark.parametrize("text", ["12,50 EUR.", "12,50 €!", "12,50 Euro."])
def test_the_stop_of_a_sentence_is_no_part_of_a_sign(text: str) -> None:
    assert price_of(text) == Price(12.5, "EUR")


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("P100", ""), ("P100", "GBP"), ("P100", "PHP"), ("p100", ""), ("100 P", "BWP"),
        ("100P", ""), ("100 p", "EUR"), ("100 p", "RUB"), ("$5 ct", ""), ("£1 p", "GBP"),
    ],
)  # fmt: skip
def test_other_letters_p_and_second_signs_are_no_hundredths(text: str, currency: str) -> None:
    with pytest.raises(RowError, match="is not a number"):
        price_of(text, PriceStyle(currency=currency))


@pytest.mark.parametrize("text", ["", " ", "-", "N/A", "n.a.", "NULL", "\\N", "auf Anfrage", "TBD"])
def test_a_cell_may_say_that_there_is_no_price(text: str) -> None:
    assert price_of(text) is None


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_missing_number_is_no_price(value: float | None) -> None:
    assert price_of(value) is None


@pytest.mark.parametrize(
    "text",
    ["cheap", "2 for 10.00", "2024-01-05", "12 34", "12.5.3", "12,34,56", "-5 €", "$-5", "1e9",
     "12 EUR USD", "1.5k", "9" * 300, "1" + " 0" * 90],
)  # fmt: skip
def test_what_is_no_price_is_named(text: str) -> None:
    with pytest.raises(RowError, match=r"price .* is (not a number|impossible)"):
        price_of(text)


PLACES = ("{sign}{number}", "{sign} {number}", "{number} {sign}", "{number}{sign}")


def test_every_sign_and_code_stands_before_or_after_the_number() -> None:
    for sign, place in product(sorted(CODES | SIGNS.keys()), PLACES):
        text = place.format(sign=sign, number="12.50")

        assert (text, price_of(text)) == (text, (12.5, currency_of(sign)))


@given(st.integers(0, 10**8), st.sampled_from([" ", ".", ",", "'", "\u00a0"]), st.booleans())
def test_grouped_numbers_are_read_back(cents: int, group: str, comma: bool) -> None:  # noqa: FBT001
    mark = "," if comma else "."
    if group == mark:
        return
    text = f"{cents // 100:,}".replace(",", group) + f"{mark}{cents % 100:02}"

    assert price_of(text) == Price(cents / 100, "")


def test_a_sign_of_several_currencies_is_that_of_the_shop() -> None:
    shops = {"NOK": "kr", "AUD": "$", "CNY": "¥", "PKR": "Rs.", "MAD": "dh"}

    for currency, sign in each(shops.items()):
        assert price_of(f"12.50 {sign}", PriceStyle(currency=currency)) == (12.5, currency)


def test_what_is_chosen_is_said() -> None:
    texts = ["from 5", "5-9", "5 kr", "5/kg", "free", "N/A", "5", "$5", "5 €"]

    assert [bool(read_price(text).choice) for text in texts] == [True] * 6 + [False] * 3


@pytest.mark.parametrize(
    ("column", "amounts"),
    [
        (["1.299", "849,00"], [1299.0, 849.0]),
        (["1.299", "2.149", "849"], [1299.0, 2149.0, 849.0]),
        (["1.299", "12.5"], [1.299, 12.5]),
        (["1,299", "12.50"], [1299.0, 12.5]),
        (["1,299", "12,50"], [1.299, 12.5]),
        (["1.299 €", "12,50 €", "$1,299", "$12.50"], [1299.0, 12.5, 1299.0, 12.5]),
        (["₩12,000", "12,50 €"], [12000.0, 12.5]),
    ],
)
def test_a_whole_column_tells_its_decimal_mark(column: list[str], amounts: list[float]) -> None:
    style = surveyed(column, SaidStyle())[0]

    assert [price_of(text, style).amount for text in column] == amounts


@pytest.mark.parametrize(("decimal", "amount"), [(",", 1299.0), (".", 1.299)])
def test_a_mapping_may_say_the_decimal_mark(decimal: str, amount: float) -> None:
    style = surveyed(["1.299", "849.00", "849,00"], SaidStyle(decimal=decimal))[0]

    assert price_of("1.299", style) == (amount, "")
    assert price_of("849.00", style) == (849.0, "")


def test_both_marks_in_a_column_are_a_warning_with_a_line_of_each() -> None:
    _, remarks = surveyed(["12,50", "13,50", "12.50"], SaidStyle())

    assert "prices have decimal commas and decimal points" in remarks
    assert "line 1: '12,50'; line 3: '12.50'" in remarks


def surveyed(column: list[str], said: SaidStyle) -> tuple[PriceStyle, str]:
    survey, remarks = Survey(said), Remarks()
    for line, text in enumerate(column, 1):
        survey.see(line, {"price": text})
    style = survey.style(remarks)
    return style.price, "\n".join(remark.sentence() for remark in remarks.all())


def test_every_sign_is_of_currencies_that_there_are() -> None:
    assert every(code in CODES for codes in SIGNS.values() for code in codes)
    assert not [sign for sign, code in product(SIGNS, CODES) if sign.upper() == code]
