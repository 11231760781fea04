"""Reads cells that are text, and ids, within limits of length."""

import re
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
    "currency": 10,
    "item_group_id": 128,
    "categories": 2_000,
    "attributes": 10_000,
    "images": 4_000,
    "videos": 4_000,
    "tags": 200,
}
PLAIN = (str, int, float, Decimal, date)

_STRANGE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # tab and newline are not


class RowError(ValueError):
    """A row that is refused: `kind` is the reason in the report, the message has the details."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def id_of(value: Any, name: str = "id") -> str:
    """Return an id as text: a whole number is one too."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return required(text_of(value, name, at_most=MAX_CHARACTERS["id"]), name)


def text_of(value: Any, name: str, at_most: int | None = None) -> str:
    """Return one text without spaces around it, "" where there is none."""
    if value is None or value != value:  # NaN is how pandas writes a missing text
        return ""
    text = _plain_text(value)
    if text is None:
        raise RowError(f"{name} is not text", f"{name} {shown(value)} is not text")
    limit = at_most or MAX_CHARACTERS[name]
    if len(text) > limit:
        raise RowError(
            f"{name} too long", f"{name} has {len(text):,} characters, at most {limit:,} are taken"
        )
    if strange := _STRANGE.search(text):
        raise RowError(f"{name} unprintable", f"{name} holds the control character {strange[0]!a}")
    return text


def _plain_text(value: Any) -> str | None:
    """Return text, a number, a date or a yes and no as text; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return str(value).strip() if isinstance(value, PLAIN) else None
    except ValueError:  # a whole number of thousands of digits
        return None


def texts_of(value: Any, name: str) -> list[str]:
    """Return some texts; one alone is a list of one, and empty ones are left out."""
    values = value if isinstance(value, list | tuple) else [value]
    if len(values) > MAX_VALUES:
        raise RowError(
            f"{name} too many", f"{name} has {len(values):,} values, at most {MAX_VALUES} are taken"
        )
    texts = (text_of(one, name) for one in values)
    return list(dict.fromkeys(text for text in texts if text))


def required(text: str, name: str) -> str:
    """Return a text, or refuse the row that lacks it."""
    if not text:
        raise RowError(f"no {name}", f"{name} is empty")
    return text
