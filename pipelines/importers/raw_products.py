"""Puts the cells of a row under our names, as a mapping says."""

from functools import lru_cache
from typing import Any, NamedTuple

from pipelines.importers.columns import Names, ProductColumns
from pipelines.importers.mapping import LISTS, Mapping, fields_of, names_of
from pipelines.importers.tables.json_rows import inner
from pipelines.importers.values.lists import opened

JOINED = {"title": " ", "description": "\n", "categories": " > "}  # when it is several columns


class _Plan(NamedTuple):
    """Which columns each field is read from, by how many there are of it."""

    single: tuple[tuple[str, str], ...]  # fields of one column
    listed: tuple[tuple[str, tuple[str, ...]], ...]  # fields of several values
    joined: tuple[tuple[str, tuple[str, ...]], ...]  # texts of several columns
    attributes: tuple[tuple[str, tuple[str, ...]], ...]


@lru_cache(maxsize=16)
def _plan(columns: ProductColumns, attributes: tuple[tuple[str, Names], ...]) -> _Plan:
    named = {field: names_of(names) for field, names in fields_of(columns).items()}
    joined = {field for field, names in named.items() if len(names) > 1 and field in JOINED}
    return _Plan(
        tuple((f, n[0]) for f, n in named.items() if f not in joined and f not in LISTS),
        tuple((f, n) for f, n in named.items() if f not in joined and f in LISTS),
        tuple((f, n) for f, n in named.items() if f in joined),
        tuple((name, names_of(columns)) for name, columns in attributes),
    )


def raw_product(values: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    """Return a row's values by our names for them, not yet validated."""
    plan = _plan(mapping.columns, tuple(mapping.attributes.items()))
    raw = {field: _cell(values, column) for field, column in plan.single}
    for field, columns in plan.listed:
        raw[field] = _listed([opened(_cell(values, column)) for column in columns])
    for field, columns in plan.joined:
        cell = _join([_cell(values, column) for column in columns], JOINED[field])
        raw[field] = _listed([cell]) if field in LISTS else cell
    raw["attributes"] = {name: _attribute(values, columns) for name, columns in plan.attributes}
    return raw


def _cell(values: dict[str, Any], column: str) -> Any:
    return values[column] if column in values else inner(values, column)


def _attribute(values: dict[str, Any], columns: tuple[str, ...]) -> Any:
    """Return the value of one column, or the filled ones of several."""
    if len(columns) == 1:
        return opened(_cell(values, columns[0]))
    found = [_cell(values, column) for column in columns]
    return [one for one in found if one not in (None, "")]


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
