"""Makes a row of each variant that stands in a list inside the row of its product."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipelines.importers.tables.json_rows import inner
from pipelines.importers.tables.rows import Row, Rows

MOST_VARIANTS = 10_000  # of one row


def with_each(rows: Rows, path: str) -> Rows:
    """Return rows with one for each object of a list, which stands there in place of the list.

    A row without such objects stays one row.
    """
    return replace(rows, rows=_each(rows.rows, path)) if path else rows


def _each(rows: Iterator[Row], path: str) -> Iterator[Row]:
    for row in rows:
        value = None if row.mistake else inner(row.values, path)
        parts = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
        if not parts:
            yield row
        for part in parts[:MOST_VARIANTS]:
            yield Row(row.line, _put(row.values, path, part))
        if len(parts) > MOST_VARIANTS:
            mistake = f"{path} holds over {MOST_VARIANTS:,} objects; the first are read"
            yield Row(row.line, {}, mistake)


def _put(values: dict[str, Any], path: str, part: dict[str, Any]) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    if path in values or not rest:
        return values | {path: part}
    return values | {name: _put(values[name], rest, part)}
