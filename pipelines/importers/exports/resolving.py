"""Makes the mapping of one file of a format: with the columns that this file has."""

from typing import Any, NamedTuple

from pipelines.config.sections import Section
from pipelines.importers.columns import (
    EventColumns,
    ProductColumns,
    SaleColumns,
    StockColumns,
    VariantColumns,
)
from pipelines.importers.exports.formats import Format
from pipelines.importers.exports.header import Header
from pipelines.importers.mapping import SETTINGS
from pipelines.importers.tables.rows import Rows

ANY = "{any}"  # the name of attributes that are named by their columns
SECTIONS: dict[str, type[Section]] = {  # their values are columns
    "columns": ProductColumns,
    "sale": SaleColumns,
    "stock": StockColumns,
    "variants": VariantColumns,
    "events": EventColumns,
}
VALUES = ("leave_out", "only_as_variant")  # their keys are


class Resolved(NamedTuple):
    """A mapping as it stands in YAML, and the columns of the file that it uses."""

    mapping: dict[str, Any]
    columns: tuple[str, ...]
    marks: tuple[str, ...]  # that the file has, as it writes them


def resolved(form: Format, rows: Rows) -> Resolved:
    """Return the mapping of a file; what it has no column for is left out."""
    fallbacks = form.mapping.get("fallbacks", {})
    names = {name: (*form.names.get(name, ()), *_listed(fallbacks.get(name, ())))
             for name in (*form.names, *fallbacks)}  # fmt: skip
    header = Header(rows.columns, names, nested=rows.nested)
    open_ended = rows.nested and not rows.complete  # a later row may have what none had yet
    mapping = {
        key: _section(key, value, header, open_ended=open_ended)
        for key, value in form.mapping.items()
    }
    mapping = {key: value for key, value in mapping.items() if value not in ({}, [], "", None)}
    if header.currency:
        mapping.setdefault("currency", header.currency)
    used = tuple(header.found)
    marks = [header.one(mark) for mark in form.marks]
    return Resolved(mapping, used, tuple(dict.fromkeys(filter(None, marks))))


def _section(key: str, value: Any, header: Header, *, open_ended: bool) -> Any:
    if key == "each":
        return header.one(value)
    if key == "events":
        return _events(value, header, open_ended=open_ended)
    if key in SECTIONS:
        return _columns(value, header, SETTINGS.get(SECTIONS[key], frozenset()))
    if key == "attributes":
        return _columns(value, header, frozenset()) | _named_by_columns(value.get(ANY, ()), header)
    if key == "fallbacks":
        found = {
            header.one(name): _named(_listed(others), header) for name, others in value.items()
        }
        return {
            name: others for name, others in found.items() if name and others != name and others
        }
    if key in VALUES:
        return {column: several for name, several in value.items() if (column := header.one(name))}
    if key == "options":
        return [list(pair) for names in value for pair in header.pairs(*names)]
    if key == "pairs":
        return _named(value, header)
    return value


def _named_by_columns(patterns: Any, header: Header) -> dict[str, str]:
    """Return attributes whose names stand in those of their columns: `product_attribute_{Size}`."""
    found: dict[str, str] = {}
    for pattern in _listed(patterns):
        for name, column in header.all_like(pattern):
            found.setdefault(name.strip("{} ").lower(), column)
    return {name: column for name, column in found.items() if name}


def _events(section: dict[str, Any], header: Header, *, open_ended: bool) -> dict[str, Any]:
    """Return the columns of a log; what stands in the objects of a list cannot be seen yet."""
    settings = SETTINGS[EventColumns]
    lists = _listed(section.get("each", ()))
    there = [name for name in lists if header.one(name)]
    if not (there or (lists and open_ended)):
        found = {field: names for field, names in section.items() if field != "each"}
        return _with_consent(_columns(found, header, settings), header)
    found = {
        field: names if field in settings else _inside(names, header)
        for field, names in section.items()
    }
    if not open_ended:
        found["each"] = there[0] if len(there) == 1 else there
    return _with_consent(found, header)


def _with_consent(section: dict[str, Any], header: Header) -> dict[str, Any]:
    if "consent" not in section:
        return section
    consent = {purpose: _inside(names, header) for purpose, names in section["consent"].items()}
    return section | {"consent": consent}


def _inside(names: Any, header: Header) -> Any:
    """Return columns of which some may stand in the objects of a list, where none is seen yet."""
    found = list(dict.fromkeys(header.one(name) or name for name in _listed(names)))
    return found[0] if len(found) == 1 else found


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _columns(section: dict[str, Any], header: Header, settings: frozenset[str]) -> dict[str, Any]:
    found = {
        field: names if field in settings else _named(names, header)
        for field, names in section.items()
        if field != ANY
    }
    return {field: names for field, names in found.items() if names}


def _named(names: Any, header: Header) -> Any:
    """Return the columns of some names: a text for one, a list for several."""
    if isinstance(names, str):
        columns = header.several(names)
        return columns if "{n}" in names else next(iter(columns), "")
    found = list(dict.fromkeys(column for name in names for column in header.several(name)))
    return found[0] if len(found) == 1 else found
