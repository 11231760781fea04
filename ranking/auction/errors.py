"""What an auction refuses, and the checks of its fields."""

from collections import Counter
from typing import Any

LONGEST_ID = 128  # characters
LONGEST_SHOWN = 80  # characters of a wrong value in a message


class AuctionError(ValueError):
    """One field of an auction that cannot be used; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def check_whole(field: str, value: Any, low: int, high: int) -> None:
    """Refuse what is not an int (a bool is none) from `low` to `high`."""
    if type(value) is not int or not low <= value <= high:
        raise AuctionError(
            field, f"{_shown(value)} is not a whole number from {low:,} to {high:,}; give an int"
        )


def check_share(field: str, value: Any) -> None:
    """Refuse what is not a float in [0, 1]; NaN is not."""
    if type(value) is not float or not 0.0 <= value <= 1.0:
        raise AuctionError(field, f"{_shown(value)} is not in [0, 1]; give a float")


def check_id(field: str, value: Any) -> None:
    """Refuse what is not text of 1 to `LONGEST_ID` characters that UTF-8 can hold."""
    if type(value) is not str or not 0 < len(value) <= LONGEST_ID or not _is_unicode(value):
        raise AuctionError(
            field, f"{_shown(value)} is not text of 1 to {LONGEST_ID} characters in UTF-8"
        )


def check_tuple(field: str, value: Any, kind: type, longest: int) -> None:
    """Refuse what is not a tuple of at most `longest` values, each exactly of one type."""
    if type(value) is not tuple:
        raise AuctionError(field, f"{_shown(value)} is not a tuple; give a tuple")
    if len(value) > longest:
        raise AuctionError(field, f"has {len(value):,} entries; give at most {longest:,}")
    wrong = set(map(type, value)) - {kind}
    if wrong:
        place = next(i for i, entry in enumerate(value) if type(entry) is not kind)
        raise AuctionError(f"{field}[{place}]", f"{_shown(value[place])} is no {kind.__name__}")


def check_distinct(field: str, keys: list[Any]) -> None:
    """Refuse a list in which a key stands twice."""
    if len(set(keys)) < len(keys):
        [(twice, _)] = Counter(keys).most_common(1)
        raise AuctionError(field, f"{_shown(twice)} stands twice or more; give each once")


def _is_unicode(text: str) -> bool:
    """Return whether UTF-8 can hold the text: half of a surrogate pair it cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
