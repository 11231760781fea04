"""Reads cells that are text, and ids, within limits of length."""

import re
import unicodedata
from datetime import date
from decimal import Decimal
from typing import Any

from pipelines.shop.quality import shown

MAX_VALUES = 100  # categories, images, tags or attributes of one product
MAX_CHARACTERS = {
    "id": 128,
    "title": 2_000,
    "description": 100_000,
    "brand": 500,
    "currency": 20,
    "item_group_id": 128,
    "categories": 2_000,
    "attributes": 10_000,
    "images": 4_000,
    "videos": 4_000,
    "tags": 200,
}
PLAIN = (str, int, float, Decimal, date)
NULLS = frozenset(
    {r"\N", "NULL", "null", "(null)", "<null>", "NaN", "nan", "None", "#N/A", "#NV", "#NULL!"}
    | {"#VALUE!", "#WERT!", "#REF!", "#NAME?", "#DIV/0!"}
)  # what databases, spreadsheets and programs write for an empty cell

# Tab and newline are none; half a pair of surrogates is no letter either.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
IDS = (
    "id",
    "product",
    "user",
    "visitor",
    "item_group_id",
)  # compared letter by letter, and never composed
AS_SPACE = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"
_ROUNDED = re.compile(r"[1-9](?:[.,]\d{1,14}E\+?|E\+)[12]\d", re.IGNORECASE)
# What two or more bytes of UTF-8 are in Windows-1252.
UTF_8_TWICE = re.compile("[ÂÃÄÅÐÑâã][\x80-¿ŒœŠšŸŽžƒˆ˜–—‘’‚“”„†‡•…‰‹›€™]")


class RowError(ValueError):
    """A row that is refused: `kind` is the reason in the report, the message has the details."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def id_of(value: Any, name: str = "id") -> str:
    """Return an id as text: a whole number is one too."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = _plain_text(value) if value is not None and value == value else ""
    if text and (strange := CONTROL.search(text)):
        raise RowError(f"{name} unprintable", f"{name} holds the control character {strange[0]!a}")
    return required(text_of(value, name, at_most=MAX_CHARACTERS["id"]), name)


def text_of(value: Any, name: str, at_most: int | None = None) -> str:
    """Return one text without spaces around it, "" where there is none.

    Control letters are taken out, as `printable` does, and letters composed (NFC) except in ids.
    """
    if value is None or value != value:  # NaN is how pandas writes a missing text
        return ""
    text = _plain_text(value)
    if text is None:
        raise RowError(f"{name} is not text", f"{name} {shown(value)} is not text")
    text = printable(text)
    if not text.isascii() and name not in IDS:
        text = unicodedata.normalize("NFC", text)
    text = limited(text, name, at_most)
    return "" if text in NULLS and name not in ("title", "id") else text


def limited(text: str, name: str, at_most: int | None = None) -> str:
    """Return a text, or refuse the row where it is too long."""
    limit = at_most or MAX_CHARACTERS[name]
    if len(text) > limit:
        raise RowError(
            f"{name} too long", f"{name} has {len(text):,} characters, at most {limit:,} are taken"
        )
    return text


def printable(text: str) -> str:
    """Return a text without control letters: some are spaces, some Windows-1252, others nothing."""
    return CONTROL.sub(_printable, text).strip() if CONTROL.search(text) else text


def decoded_twice(text: str) -> str:
    """Return what a text says that is UTF-8 read as Windows-1252: `Café` for `CafÃ©`."""
    if not UTF_8_TWICE.search(text):
        return text
    try:
        return text.encode("cp1252").decode()
    except UnicodeError:
        return text


def is_destroyed(text: str) -> bool:
    """Return whether a text is a number of eleven or more digits as spreadsheets round it."""
    return _ROUNDED.fullmatch(text) is not None


def required(text: str, name: str) -> str:
    """Return a text, or refuse the row that lacks it."""
    if not text:
        raise RowError(f"no {name}", f"{name} is empty")
    return text


def _printable(match: re.Match[str]) -> str:
    letter = match[0]
    if letter in AS_SPACE:
        return " "
    if letter < "\x80":
        return ""
    if letter > "\x9f":
        return "\ufffd"
    return letter.encode("latin-1").decode("cp1252", "ignore")


def _plain_text(value: Any) -> str | None:
    """Return text, a number, a date or a yes and no as text; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return str(value).strip() if isinstance(value, PLAIN) else None
    except ValueError:  # a whole number of thousands of digits
        return None
