"""Reads the quantities and amounts of events, with their signs, units and currencies."""

import re
from decimal import Decimal
from typing import Any

from pipelines.importers.values.prices import PLAIN_STYLE, PriceStyle, price_of
from pipelines.importers.values.texts import RowError, text_of
from pipelines.shop.quality import shown
from retrieval.types.act import MOST_MICROS

MAX_TEXT = 100
MOST = 1e12
MOST_PIECES = 1e6
MICROS = 1_000_000
MOST_PLACES = 1_000_000
_QUANTITY = re.compile(r"(\d[\d., '\u00a0\u202f]*)\s*[^\W\d]{0,20}\.?")
_NEGATIVE = re.compile(r"[-\u2212\u2013]\s*(.+)|(.+?)\s*[-\u2212\u2013]|\((.+)\)")


def quantity_of(value: Any) -> float | None:
    """Return a number of pieces, below 0 for a return; None where there is none.

    `6`, `1.5`, `1,5`, `2 pcs` and `1.000` (which is 1) are read: a single comma or point is a
    decimal one, since pieces are weighed more often than counted by thousands.
    """
    if isinstance(value, bool):
        raise _impossible("quantity", value)
    if isinstance(value, int | float | Decimal):
        return _finite(value, "quantity")
    text, sign = _unsigned(text_of(value, "quantity", at_most=MAX_TEXT))
    if not text:
        return None
    found = _QUANTITY.fullmatch(text)
    if not found:
        raise RowError("impossible quantity", f"quantity {shown(value)} is not a number")
    return _finite(sign * _decimal(found[1]), "quantity")


def amount_of(value: Any, style: PriceStyle = PLAIN_STYLE) -> float | None:
    """Return an amount of money, below 0 for a refund; None where there is none.

    The text is read as the price of a product is, with a sign or brackets: `-12,00 €`, `(3.50)`.
    """
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _finite(value, "value")
    text, sign = _unsigned(text_of(value, "value", at_most=MAX_TEXT))
    try:
        price = price_of(text, style)
    except RowError:
        raise RowError("impossible value", f"value {shown(value)} is not an amount") from None
    return None if price is None else sign * price.amount


def position_of(value: Any, first: int = 1) -> int | None:
    """Read a place on the page and return it as one that counts from 1; the log's from `first`."""
    number = quantity_of(value)
    if number is None:
        return None
    if number != int(number) or not first <= number <= MOST_PLACES:
        raise RowError(
            "impossible position", f"position {shown(value)} is no place from {first} on"
        )
    return int(number) + 1 - first


def micros_of(amount: float | None) -> int | None:
    """Return an amount of money in millionths of the currency's unit; None where there is none."""
    if amount is None:
        return None
    micros = round(Decimal(repr(amount)) * MICROS)
    if micros > MOST_MICROS:
        raise _impossible("value", amount)
    return micros


def propensity_of(value: Any) -> float | None:
    """Read the chance that something was seen, above 0 and at most 1."""
    try:
        number = None if value is None or value == "" else float(value)
    except (TypeError, ValueError, OverflowError):
        raise _impossible("propensity", value) from None
    if number is not None and not 0 < number <= 1:
        raise RowError("impossible propensity", f"propensity {shown(value)} is not in (0, 1]")
    return number


def _unsigned(text: str) -> tuple[str, int]:
    """Return a text without its sign, and 1 or -1; brackets are a minus in bookkeeping."""
    if found := _NEGATIVE.fullmatch(text):
        return next(part for part in found.groups() if part).strip(), -1
    return text.removeprefix("+").strip(), 1


def _decimal(digits: str) -> float:
    """Read digits whose last separator is a decimal one, unless it comes several times."""
    digits = re.sub(r"[ '\u00a0\u202f]", "", digits)
    last = max(digits.rfind("."), digits.rfind(","))
    if last < 0 or digits.count(digits[last]) > 1:
        return float(re.sub(r"[.,]", "", digits))
    return float(re.sub(r"[.,]", "", digits[:last]) + "." + digits[last + 1 :])


def _finite(number: float | Decimal, name: str) -> float | None:
    if number != number:  # NaN is how pandas writes a missing number
        return None
    if not -MOST <= number <= MOST:
        raise _impossible(name, number)
    return float(number)


def _impossible(name: str, value: Any) -> RowError:
    return RowError(f"impossible {name}", f"{name} {shown(value)} is impossible")
