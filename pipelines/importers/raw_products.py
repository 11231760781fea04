"""Puts the cells of a row under our names, as a mapping says."""

from functools import lru_cache
from typing import Any

from pipelines.importers.columns import Names, ProductColumns
from pipelines.importers.mapping import LISTS, Mapping, fields_of, names_of
from pipelines.importers.tables.json_rows import inner

JOINED = {"title": " ", "description": "\n", "categories": " > "}  # when it is several columns


@lru_cache(maxsize=16)
def _plan(columns: ProductColumns) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((field, names_of(names)) for field, names in fields_of(columns).items())


def raw_product(values: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    """Return a row's values by our names for them, not yet validated."""
    raw: dict[str, Any] = {}
    for field, columns in _plan(mapping.columns):
        cells = [inner(values, column) for column in columns]
        if len(cells) > 1 and field in JOINED:
            cells = [_join(cells, JOINED[field])]
        raw[field] = _listed(cells) if field in LISTS else cells[0]
    raw["attributes"] = {
        name: _attribute(values, columns) for name, columns in mapping.attributes.items()
    }
    return raw


def _attribute(values: dict[str, Any], columns: Names) -> Any:
    """Return the value of one column, or the filled ones of several."""
    found = [inner(values, column) for column in names_of(columns)]
    return found[0] if len(found) == 1 else [one for one in found if one not in (None, "")]


def _listed(cells: list[Any]) -> list[Any]:
    return [part for cell in cells for part in (cell if isinstance(cell, list) else [cell])]


def _join(cells: list[Any], joiner: str) -> Any:
    """Join what is text; anything else is left for the validation to name."""
    strange = next(
        (v for v in cells if v is not None and not isinstance(v, str | int | float)), None
    )
    if strange is not None:
        return strange
    texts = (str(value).strip() for value in cells if value is not None and value == value)
    return joiner.join(text for text in texts if text)
