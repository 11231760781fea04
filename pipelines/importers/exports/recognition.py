"""Recognises which exporter wrote a file, by its columns, or guesses by usual names."""

from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.config.loading import read_section
from pipelines.errors import ShopError
from pipelines.importers.exports.formats import Format, format_named
from pipelines.importers.exports.header import Header
from pipelines.importers.exports.inside import with_inner
from pipelines.importers.exports.names import FOLDER, LOGS, PRODUCTS, names_of_formats
from pipelines.importers.exports.resolving import Resolved, resolved
from pipelines.importers.exports.telling import LOOKED_AT, are_ratings, are_statuses, are_stocks
from pipelines.importers.mapping import shown_columns
from pipelines.importers.tables.rows import Row, Rows

HOW = "print one to correct with --print-mapping, and import with `vetrina import table`"


class Recognised(NamedTuple):
    """The mapping of a file as it stands in YAML, and a sentence that says why it is the one."""

    mapping: dict[str, Any]
    sentence: str
    missing: tuple[str, ...] = ()  # what a mapping must have, and no column is known for
    unused: tuple[str, ...] = ()  # columns that are not imported


class Kind(NamedTuple):
    """What a file may be: its formats, what its mapping must have, and how it is guessed."""

    folders: tuple[str, ...]
    section: str
    required: tuple[str, ...]
    guess: str
    also: tuple[str, ...] = ()  # fields that are guessed where a format has no column for them


OF_PRODUCTS = Kind(PRODUCTS, "columns", ("id", "title"), "guessing.yaml")
OF_EVENTS = Kind(
    LOGS,
    "events",
    ("time", "product"),
    "guessing_logs.yaml",
    also=("text", "undone_at", "id"),  # never amounts: a total may be of the order, not the line
)


def recognise(source: Path, rows: Rows, kind: Kind, name: str = "") -> Recognised:
    """Return the mapping of a file; with a name, of that format whatever the columns.

    ShopError where a named format does not fit. A guess may lack what a mapping must have.
    """
    if name:
        return _as_named(source, rows, kind, name)
    candidates = [(form, resolved(form, rows)) for form in map(format_named, _names(kind))]
    fitting = [
        (form, found)
        for form, found in candidates
        if len(found.marks) >= form.needs and not _missing(found.mapping, kind)
    ]
    if not fitting:
        return _guess(source, rows, kind)
    form, found = max(fitting, key=lambda one: (len(one[1].marks), len(one[1].columns)))
    return _completed(source, form, found, rows, kind)


def unknown(source: Path, rows: Rows, found: Recognised) -> ShopError:
    """Return what to say of a file for which there is no whole mapping."""
    return ShopError(
        f"{source}: no column is known to be {' or '.join(f'`{one}`' for one in found.missing)}; "
        f"it has {shown_columns(rows.columns)}; write a mapping: {HOW}"
    )


def known_names(kind: Kind, name: str = "") -> tuple[str, ...]:
    """Return the names of columns by which a format is recognised, or all of a kind are."""
    guess = read_section(FOLDER / kind.guess, Format)
    forms = [format_named(name)] if name else [*map(format_named, _names(kind)), guess]
    several = ((*form.marks, *form.names, *chain(*form.names.values())) for form in forms)
    return tuple(dict.fromkeys(chain(*several)))


def _names(kind: Kind) -> list[str]:
    return names_of_formats(kind.folders)


def _as_named(source: Path, rows: Rows, kind: Kind, name: str) -> Recognised:
    form = format_named(name)
    found = resolved(form, rows)
    if missing := _missing(found.mapping, kind):
        names = ", ".join(f"`{one}`" for one in missing)
        raise ShopError(
            f"{source} is not {form.title}: it lacks the columns of {names}; "
            f"it has {shown_columns(rows.columns)}; try `vetrina import auto`"
        )
    return Recognised(found.mapping, _sentence(source, form, found), unused=_unused(rows, found))


def _completed(source: Path, form: Format, found: Resolved, rows: Rows, kind: Kind) -> Recognised:
    """Return the mapping of a format, with columns that others add to its files, by their names."""
    sentence = _sentence(source, form, found)
    section = found.mapping.get(kind.section, {})
    unused = _unused(rows, found)
    guess = resolved(read_section(FOLDER / kind.guess, Format), rows).mapping.get(kind.section, {})
    more = {
        field: guess[field]
        for field in kind.also
        if field not in section and guess.get(field) in unused and not section.get("each")
    }
    if not more:
        return Recognised(found.mapping, sentence, unused=unused)
    named = ", ".join(f"{field} from {column!r}" for field, column in more.items())
    return Recognised(
        found.mapping | {kind.section: section | more},
        f"{sentence}; by its names also {named}",
        unused=tuple(column for column in unused if column not in more.values()),
    )


def _guess(source: Path, rows: Rows, kind: Kind) -> Recognised:
    form = read_section(FOLDER / kind.guess, Format)
    first = list(islice(rows.rows, LOOKED_AT))
    found = resolved(form, rows)
    if rows.nested:
        sections = (kind.section, "attributes")
        inside = {key: with_inner(found.mapping[key], first) for key in sections
                  if key in found.mapping}  # fmt: skip
        found = found._replace(mapping=found.mapping | inside)
    section = found.mapping.get(kind.section, {})
    if kind is OF_EVENTS:
        found = _with_told(form, rows, found, section, first)
    elif "availability" not in section:
        status = Header(rows.columns, form.names).one("status")
        section |= {"availability": status} if status and are_stocks(first, status) else {}
    columns = {field: column for field, column in section.items() if field != "default_type"}
    named = columns | found.mapping.get("attributes", {})
    taken = ", ".join(f"{field} from {column!r}" for field, column in named.items())
    if columns != section:
        taken += f", ratings from {found.columns[-1]!r}"
    sentence = (
        f"{source.name}: its columns are of no exporter that is known; guessed by their names: "
        f"{taken or 'nothing'}; if that is wrong, {HOW}"
    )
    missing = _missing(found.mapping, kind)
    return Recognised(found.mapping, sentence, missing, _unused(rows, found))


def _with_told(
    form: Format, rows: Rows, found: Resolved, section: dict[str, Any], first: list[Row]
) -> Resolved:
    """Put into a guessed section of events what the values of columns tell; return their names."""
    more: list[str] = []
    state = Header(rows.columns, form.names).one("state")
    if state and "status" not in section and are_statuses(first, state):
        section["status"] = state
        more.append(state)
    if column := _rating(form, rows, section, first):
        section["default_type"] = "rating"
        section.pop("text", "")  # of a review, not of a search
        more.append(column)
    return found._replace(columns=(*found.columns, *more))


def _rating(form: Format, rows: Rows, section: dict[str, Any], first: list[Row]) -> str:
    """Return the column of ratings in a log that says neither other acts nor amounts; "" if none.

    Such are MovieLens and reviews: user, product, rating and time. A score is one by its values.
    """
    if any(field in section for field in ("type", "quantity", "value", "unit_price", "session")):
        return ""
    header = Header(rows.columns, form.names)
    if column := header.one("rating"):
        return column
    scores = header.one("score") if {"user", "product"} <= section.keys() else ""
    return scores if scores and are_ratings(first, scores) else ""


def _unused(rows: Rows, found: Resolved) -> tuple[str, ...]:
    used = {name.partition(".")[0] for name in found.columns} | set(found.columns)
    return tuple(column for column in rows.columns if column not in used)


def _missing(mapping: dict[str, Any], kind: Kind) -> tuple[str, ...]:
    section = mapping.get(kind.section, {})
    has = {*section, "product"} if section.get("name") else set(section)
    return tuple(field for field in kind.required if field not in has)


def _sentence(source: Path, form: Format, found: Resolved) -> str:
    columns = found.marks or found.columns
    among = " and ".join(repr(column) for column in columns[:2])
    return (
        f"{source.name}: read as {form.title}: {len(found.columns):,} of its columns are known, "
        f"among them {among}"
    )
