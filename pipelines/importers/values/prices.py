"""Reads prices as shops write them."""

import re
from decimal import Decimal
from typing import Any, NamedTuple

from pipelines.importers.values.texts import RowError
from pipelines.shop.quality import shown

MAX_PRICE = 1e9
SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}

_PRICE = re.compile(r"([A-Z]{3}|[$€£¥₹])?\s*(-?\d[\d.,  ]*)\s*([A-Z]{3}|[$€£¥₹])?")


class Price(NamedTuple):
    """An amount, with its currency if the text names one."""

    amount: float
    currency: str


def price_of(value: Any) -> Price | None:
    """Read 19.99, "$19.99", "19.99 USD" or "1.299,00 EUR"; None where there is no price."""
    if value is None or value == "":
        return None
    currency = ""
    if isinstance(value, str):
        found = _PRICE.fullmatch(value.strip().upper())
        if not found:
            raise RowError("impossible price", f"price {shown(value)} is not a number")
        currency = found[1] or found[3] or ""
        value = _number(found[2])
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise RowError("impossible price", f"price {shown(value)} is not a number")
    if not 0 <= value <= MAX_PRICE:  # neither is NaN
        raise RowError(
            "impossible price",
            f"price {shown(value)} is impossible, expected 0 to {MAX_PRICE:,.0f}",
        )
    return Price(float(value), SYMBOLS.get(currency, currency))


def _number(text: str) -> float:
    """A comma is a decimal point where it stands last and not before three digits."""
    text = re.sub(r"\s", "", text)
    if "," in text and "." in text:
        thousands = "," if text.rindex(".") > text.rindex(",") else "."
        text = text.replace(thousands, "")
    if text.count(",") == 1 and not re.search(r",\d{3}$", text):
        text = text.replace(",", ".")
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise RowError("impossible price", f"price {shown(text)} is not a number") from None
