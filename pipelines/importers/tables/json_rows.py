"""Reads the rows of JSON: an object a line, or an array of objects."""

from collections.abc import Iterable, Iterator, Mapping
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
IDS = ("id", "sku", "handle", "product_id")  # of a row that is an object within an object
TABLES = ("products", "items", "data", "rows", "results", "entries", "offers", "orders", "events")
MAX_BYTES = 1_000_000_000  # of an array, which is read whole


def read_jsonl(path: Path, form: TableFormat) -> Rows:
    """Read lines of JSON objects; an array is read, too."""
    if _first_letter(path) == "[" and not _is_object_a_line(path, form):
        return read_json(path, form)
    remarks = Remarks(path)
    return _rows(path, _lines(path, form, remarks), remarks)


def read_json(path: Path, form: TableFormat) -> Rows:
    """Read an array of objects, or one in an object such as {"products": […]}; or lines of JSON."""
    if _is_object_a_line(path, form) and not _is_wrapped(path):
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
    lines = text_lines(path, form.encoding, Remarks(), skip_long=True)
    line = next((line for _, line in lines if line is None or line.strip()), "")
    try:
        return isinstance(msgspec.json.decode(line or ""), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


def _is_wrapped(path: Path) -> bool:
    """Tell whether a file is one object around one list of objects."""
    with opened(path) as file:
        line = file.readline(MAX_LINE)
        if file.read(1000).strip():
            return False
    value, within = msgspec.json.decode(line), False
    for _ in range(MOST_WRAPPED):
        [*inside] = value.values()
        if len(inside) != 1 or not isinstance(inside[0], dict):
            break
        value, within = inside[0], True
    if within and _is_row({name: msgspec.json.encode(one) for name, one in value.items()}):
        return True
    return sum(_is_table(one) for one in value.values()) == 1


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and isinstance(value[0], dict)


def _is_row(value: Mapping[str, bytes | msgspec.Raw]) -> bool:
    """Tell whether an object of JSON by name is a row: it has an id, and no list of products."""
    begins = {name.lower(): bytes(raw).lstrip()[:1] for name, raw in value.items()}
    if any(begins.get(name) == b"[" for name in TABLES):
        return False
    return any(begins.get(name, b"[") not in b"[{n" for name in IDS)  # n of null


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
        outer = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        for _ in range(MOST_WRAPPED):
            [*inside] = outer.values()
            if len(inside) != 1 or bytes(inside[0]).lstrip()[:1] != b"{":
                break
            outer = msgspec.json.decode(inside[0], type=dict[str, msgspec.Raw])
            if _is_row(outer):
                return [inside[0]]
        lists = [raw for raw in outer.values() if bytes(raw).lstrip()[:1] == b"["]
        tables = [msgspec.json.decode(raw, type=list[msgspec.Raw]) for raw in lists]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ShopError(
            f"{path}: not JSON: {e}; expected an array of objects, or an object a line"
        ) from None
    tables = [table for table in tables if table and bytes(table[0]).lstrip()[:1] == b"{"]
    if len(tables) > 1:
        raise ShopError(f"{path} holds several lists of objects; write the products' list alone")
    return tables[0] if tables else [msgspec.Raw(content)]
