"""Reads the rows of JSON: an object a line, or an array of objects."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from index.lines import without_mark
from pipelines.errors import ShopError
from pipelines.importers.tables.files import opened
from pipelines.importers.tables.lines import MAX_LINE, text_lines
from pipelines.importers.tables.rows import Row, Rows, TableFormat
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks

LOOKED_AT = 100  # first rows that tell which columns there are
MOST_WRAPPED = 3  # objects around the one that holds a list
# Lists that are the table of a file, and those that are parts of one row.
TABLES = ("products", "items", "data", "rows", "results", "entries", "offers", "orders", "events")
PARTS = (
    "variants", "variations", "skus", "options", "images", "media", "pictures", "attributes",
    "line_items", "lineitems", "reviews",
)  # fmt: skip
IDS = ("id", "sku", "handle", "product_id")
OWN = ("title", "name", "product_name", "productname", "price")  # of a row, not of what wraps rows
MAX_BYTES = 1_000_000_000  # of an array, which is read whole
Object = dict[str, msgspec.Raw]  # by the names of its fields, which are not read yet


def read_jsonl(path: Path, form: TableFormat) -> Rows:
    """Read lines of JSON objects; an array is read, too."""
    if _first_letter(path) == "[" and not _is_object_a_line(path, form):
        return read_json(path, form)
    remarks = Remarks(path)
    return _rows(path, _lines(path, form, remarks), remarks)


def read_json(path: Path, form: TableFormat) -> Rows:
    """Read an array of objects, or one in an object such as {"products": […]}; or lines of JSON."""
    if _is_object_a_line(path, form) and not _is_wrapped(path, form):
        remarks = Remarks(path)
        return _rows(path, _lines(path, form, remarks), remarks)
    objects = _array(path, _bytes(path))
    remarks = Remarks(path)
    return _rows(path, (_row(n, one) for n, one in enumerate(objects, 1)), remarks)


def inner(values: dict[str, Any], path: str) -> Any:
    """Return the value of a field, or of an inner one by a path with dots; None if there is none.

    `price.amount` looks into objects, `images.src` into each object of a list, `images.0` takes
    one of a list. A field whose own name has the dots goes first.
    """
    if path in values or "." not in path:
        return values.get(path)
    name, _, rest = path.partition(".")
    while name not in values and "." in rest:  # the name of an outer field may have dots, too
        more, _, rest = rest.partition(".")
        name = f"{name}.{more}"
    return _inside(values.get(name), rest)


def first_of(values: dict[str, Any], paths: Iterable[str]) -> Any:
    """Return the first value among several fields that is not empty; None where all are."""
    found = (inner(values, path) for path in paths)
    return next((value for value in found if value not in (None, "") and value == value), None)


def _inside(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        return inner(value, path)
    if not isinstance(value, list):
        return None
    name, _, rest = path.partition(".")
    if name.isascii() and name.isdigit() and len(name) < 6:
        one = value[int(name)] if int(name) < len(value) else None
        return _inside(one, rest) if rest else one
    each = (_inside(one, path) for one in value)
    return [part for one in each for part in (one if isinstance(one, list) else [one])]


def _rows(path: Path, rows: Iterator[Row], remarks: Remarks) -> Rows:
    first = list(islice(rows, LOOKED_AT))
    if not first:
        raise ShopError(f"{path} holds no rows, only empty lines")
    columns = dict.fromkeys(name for row in first for name in row.values)
    if not columns:
        raise ShopError(f"{path}, line {first[0].line}: {first[0].mistake or 'an empty object'}")
    return Rows(tuple(columns), chain(first, rows), complete=False, nested=True, remarks=remarks)


def _lines(path: Path, form: TableFormat, remarks: Remarks) -> Iterator[Row]:
    for number, line in text_lines(path, form.encoding, remarks, skip_long=True):
        if line is None:
            yield Row(number, {}, f"longer than {MAX_LINE:,} characters")
        elif line.strip():
            yield _row(number, line)


def _row(number: int, text: str | msgspec.Raw) -> Row:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as e:
        return Row(number, {}, f"not JSON: {e}")
    except RecursionError:
        return Row(number, {}, "not JSON: nested too deep")
    if not isinstance(value, dict):
        return Row(number, {}, f"expected an object, got {shown(value)}")
    return Row(number, value)


def _first_letter(path: Path) -> str:
    with opened(path) as file:
        return without_mark(file.read(1000)).lstrip()[:1].decode("ascii", "replace")


def _is_object_a_line(path: Path, form: TableFormat) -> bool:
    """Tell whether the first line that says something is a whole JSON value."""
    try:
        return isinstance(msgspec.json.decode(next(_filled_lines(path, form), "")), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


def _is_wrapped(path: Path, form: TableFormat) -> bool:
    """Tell whether a file of one line is an object around one list of objects, or around a row."""
    [line, *more] = islice(_filled_lines(path, form), 2)
    if more:
        return False
    outer, row = _unwrapped(msgspec.Raw(line.encode()))
    tables = _tables(outer)
    return bytes(row) != line.encode() if _is_row(outer, tables) else len(tables) == 1


def _filled_lines(path: Path, form: TableFormat) -> Iterator[str]:
    """Yield the lines that say something, "" for one that is too long."""
    for _, line in text_lines(path, form.encoding, Remarks(), skip_long=True):
        if line is None or line.strip():
            yield line or ""


def _unwrapped(content: msgspec.Raw) -> tuple[Object, msgspec.Raw]:
    """Return the first object that has more than an object in it, by name and as it is written."""
    outer = msgspec.json.decode(content, type=Object)
    for _ in range(MOST_WRAPPED):
        [*inside] = outer.values()
        if len(inside) != 1 or not _begins(inside[0], b"{"):
            break
        content = inside[0]
        outer = msgspec.json.decode(content, type=Object)
    return outer, content


def _tables(value: Object) -> dict[str, list[msgspec.Raw]]:
    """Return the lists of objects in an object, by name."""
    lists = {
        name: msgspec.json.decode(raw, type=list[msgspec.Raw])
        for name, raw in value.items()
        if _begins(raw, b"[")
    }
    return {name: rows for name, rows in lists.items() if rows and _begins(rows[0], b"{")}


def _is_row(value: Object, tables: dict[str, list[msgspec.Raw]]) -> bool:
    """Tell whether an object is a row with lists of its parts, not one that wraps a table.

    A row has a title or a price of its own, or an id beside lists that only a row has. A list whose
    objects have titles is a table, unless its name says that it is a part of a row.
    """
    rows = {name.lower(): one for name, one in tables.items()}
    if not rows.keys().isdisjoint(TABLES):
        return False
    others = [msgspec.json.decode(one[0], type=Object) for name, one in rows.items()
              if name not in PARTS]  # fmt: skip
    if not others:
        return _has(value, OWN + IDS)
    return _has(value, OWN) and not any(_has(one, OWN) for one in others)


def _has(value: Object, names: tuple[str, ...]) -> bool:
    """Tell whether an object has a text or a number under one of some names."""
    filled = {name.lower() for name, raw in value.items() if not _begins(raw, b"[", b"{", b"n")}
    return not filled.isdisjoint(names)


def _begins(raw: msgspec.Raw, *letters: bytes) -> bool:
    return bytes(raw).lstrip()[:1] in letters


def _bytes(path: Path) -> bytes:
    with opened(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ShopError(
            f"{path}: an array of over {MAX_BYTES:,} bytes is not read; write an object a line "
            "(jq -c '.[]')"
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        content = content.decode("utf-16").encode()
    return without_mark(content)


def _array(path: Path, content: bytes) -> list[msgspec.Raw]:
    try:
        if content.lstrip()[:1] == b"[":
            return msgspec.json.decode(content, type=list[msgspec.Raw])
        outer, row = _unwrapped(msgspec.Raw(content))
        tables = _tables(outer)
        if _is_row(outer, tables):
            return [row]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ShopError(
            f"{path}: not JSON: {e}; expected an array of objects, or an object a line"
        ) from None
    if len(tables) > 1:
        raise ShopError(f"{path} holds several lists of objects; write the products' list alone")
    return next(iter(tables.values()), [msgspec.Raw(content)])
