"""Tells rows of products that are not for sale: drafts, archived and hidden ones."""

from collections.abc import Mapping
from typing import Any

from pipelines.importers.tables.json_rows import inner


def is_left_out(values: dict[str, Any], rules: Mapping[str, tuple[str, ...]]) -> str:
    """Return the rule by which a row is left out, such as `Status is 'draft'`; "" for none.

    `rules` are the values of columns, whatever their capitals; "*" is any but an empty one.
    """
    for column, several in rules.items():
        value = inner(values, column)
        if value is None:
            continue
        text = str(value).strip().lower()
        if text and ("*" in several or text in (one.lower() for one in several)):
            return f"{column} is {text!r}"
    return ""
