"""The forms in which logs write ids: numbers as floats, addresses, names with prefixes…"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

LONGEST = 2_000  # characters of an id or address
GTIN_LENGTHS = (8, 12, 13, 14)
QUOTES = "'\"`´‘’“”„‚«»‹›"
SHOPIFY = re.compile(r"shopify_([A-Za-z]{2})_(\d{1,20})_(\d{1,20})", re.IGNORECASE)
GLOBAL_ID = re.compile(r"gid://[^/\s]+/[^/\s]+/([^/?#\s]+)(?:[?#]\S*)?")
ADDRESS = re.compile(r"(?:https?:)?//\S+|/\S+|www\.\S+", re.IGNORECASE)
PARAMETERS = ("variant", "sku", "product_id", "productid", "product", "pid", "item", "id", "p")
ENDING = re.compile(r"\.(?:html?|php|aspx?)$", re.IGNORECASE)
PARTED = re.compile(r"(.+[_\-:|/#.])([^_\-:|/#.]+)")
_WHOLE_FLOAT = re.compile(r"(\d+)[.,]0+")
_SPACE = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")

SAME = "as it stands"
VARIANT_OF_SHOPIFY = "the variant in shopify_COUNTRY_PRODUCT_VARIANT"
PRODUCT_OF_SHOPIFY = "the product in shopify_COUNTRY_PRODUCT_VARIANT"
OF_GLOBAL_ID = "the end of a global id"
OF_PARAMETER = "a parameter of an address"
OF_ADDRESS = "the end of an address"
WITHOUT_PREFIX = "without its prefix"
WITHOUT_SUFFIX = "without its suffix"
GTIN = "the length of the GTIN"


class Key(NamedTuple):
    """What an id may mean in one form; `rest` is what was left out and might tell two apart."""

    form: str
    text: str
    rest: str = ""


def keys_of(text: str) -> Iterator[Key]:
    """Yield what an id of a log may mean, the likeliest first, each comparable by `plain`."""
    yield Key(SAME, text)
    bare = text.strip().strip(QUOTES).strip()
    if found := SHOPIFY.fullmatch(bare):
        yield Key(VARIANT_OF_SHOPIFY, found[3])
        yield Key(PRODUCT_OF_SHOPIFY, found[2], found[3])
    elif found := GLOBAL_ID.fullmatch(bare):
        yield Key(OF_GLOBAL_ID, found[1])
    elif ADDRESS.fullmatch(bare):
        yield from _in_address(bare)
    elif (found := PARTED.fullmatch(bare)) and not _WHOLE_FLOAT.fullmatch(bare):
        yield Key(WITHOUT_PREFIX, found[2], found[1])
        yield Key(WITHOUT_SUFFIX, found[1][:-1], found[2])


def _in_address(text: str) -> Iterator[Key]:
    try:
        parts = urlsplit(text)
    except ValueError:  # brackets that are no address of IPv6
        return
    said = {name.lower(): values for name, values in parse_qs(parts.query).items()}
    for name in PARAMETERS:
        if name in said:
            yield Key(OF_PARAMETER, said[name][0])
    last = unquote(parts.path.rstrip("/").rpartition("/")[2])
    if last:
        yield Key(OF_ADDRESS, ENDING.sub("", last))


def plain(text: str) -> str:
    """Return an id as it is compared where nothing equal is found."""
    for step in STEPS.values():
        text = step(text)
    return text


def difference(one: str, other: str) -> str:
    """Return in what two ids differ that are the same by `plain`; "" where they are equal."""
    if one == other:
        return ""
    if {len(one), len(other)} <= {*GTIN_LENGTHS} and (one + other).isdecimal():
        return GTIN
    for name, step in STEPS.items():
        if step(one) == step(other):
            return name
    names = []
    for name, step in STEPS.items():
        if one != other and (step(one), step(other)) != (one, other):
            names.append(name)
            one, other = step(one), step(other)
    return ", ".join(names)


def _without_quotes(text: str) -> str:
    return text.strip().strip(QUOTES).strip()


def _without_spaces(text: str) -> str:
    return _SPACE.sub("", text)


def _same_letters(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _whole_number(text: str) -> str:
    found = _WHOLE_FLOAT.fullmatch(text)
    return found[1] if found else text


def _without_zeros(text: str) -> str:
    return text.lstrip("0") or "0" if text.isascii() and text.isdigit() else text


STEPS: dict[str, Callable[[str], str]] = {
    "spaces": _without_spaces,
    "quotes": _without_quotes,
    "forms of one letter": _same_letters,
    "capitals": str.casefold,
    "a number with .0": _whole_number,
    "leading zeros": _without_zeros,
}
