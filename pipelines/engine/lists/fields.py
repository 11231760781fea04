"""Which fields of a product can be counted, sorted by or collapsed."""

from collections.abc import Iterator

import pyarrow as pa

from index import Field, field_named
from pipelines.errors import RequestError
from pipelines.shop.schemas import PRODUCT_SCHEMA

LONG = ("id", "title", "description", "images", "videos")  # hardly two products share one
MAPS = tuple(field.name for field in PRODUCT_SCHEMA if pa.types.is_map(field.type))
NUMBERS = tuple(field.name for field in PRODUCT_SCHEMA if pa.types.is_floating(field.type))
WORDS = tuple(field.name for field in PRODUCT_SCHEMA if pa.types.is_string(field.type))
LISTS = tuple(field.name for field in PRODUCT_SCHEMA if pa.types.is_list(field.type))
USES = {
    "counted": tuple(name for name in (*WORDS, *LISTS, *NUMBERS) if name not in LONG),
    "sorted by": (*WORDS, *NUMBERS),
    "collapsed": tuple(name for name in WORDS if name not in LONG),
}


def field_for(use: str, text: str, where: str) -> Field:
    """Return a field of a request, or a RequestError that names those that can be used so."""
    field = field_named(text)
    if field.key is None and field.name in USES[use]:
        return field
    if field.key and field.name in MAPS:
        return field
    usable = ", ".join((*USES[use], *(f"{name}.NAME" for name in MAPS)))
    raise RequestError(where, f"{text[:80]!r} cannot be {use}; choose one of {usable}")


def is_number(field: Field) -> bool:
    """Tell whether a field holds numbers."""
    return field.name in NUMBERS


def numbered(name: str, count: int) -> Iterator[str]:
    """Yield what messages call the parts of a list in a request: `sort[0]`, `sort[1]`…"""
    return (f"{name}[{place}]" for place in range(count))
