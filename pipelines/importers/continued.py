"""Puts rows that go on with the product above them into one: same id, and no title."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pipelines.importers.variants.families import is_empty

MOST_ROWS = 1_000  # that go on with one product
LISTS = ("images", "videos", "tags", "categories")


class RawProduct(NamedTuple):
    """A product's raw values, with the first line that they come from."""

    line: int
    raw: dict[str, Any]
    lines: tuple[int, ...] = ()  # of further rows
    title: str = ""  # without the options
    options: tuple[str, ...] = ()  # their values


def joined(products: Iterable[RawProduct]) -> Iterator[RawProduct]:
    """Yield products, each with the pictures and values of the rows that go on with it."""
    last: RawProduct | None = None
    for product in products:
        if last and len(last.lines) < MOST_ROWS and _goes_on(product.raw, last.raw):
            last = last._replace(
                raw=_both(last.raw, product.raw), lines=(*last.lines, product.line)
            )
            continue
        if last:
            yield last
        last = product
    if last:
        yield last


def _goes_on(raw: dict[str, Any], before: dict[str, Any]) -> bool:
    return is_empty(raw.get("title")) and not is_empty(raw["id"]) and raw["id"] == before["id"]


def _both(raw: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return the first row's values, what it lacks from the second, and the lists of both."""
    found = more | {name: value for name, value in raw.items() if not is_empty(value)}
    for name in LISTS:
        found[name] = _several(raw.get(name), more.get(name))
    names = dict.fromkeys((*raw["attributes"], *more["attributes"]))
    found["attributes"] = {
        name: _several(raw["attributes"].get(name), more["attributes"].get(name)) for name in names
    }
    return found


def _several(*values: Any) -> list[Any]:
    flat = (one for value in values for one in (value if isinstance(value, list) else [value]))
    kept = [one for one in flat if not is_empty(one)]
    return [one for i, one in enumerate(kept) if one not in kept[:i]]
