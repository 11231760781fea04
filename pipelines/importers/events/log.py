"""Opens a log of events, checks its columns, and looks at how its dates are written."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pipelines.importers.events.date_order import Survey, survey
from pipelines.importers.mapping import EventColumns, Names, check_columns, fields_of, names_of
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Rows


class OpenLog(NamedTuple):
    """A log whose columns are there, and the order of its dates."""

    rows: Rows
    survey: Survey


def open_log(path: Path, columns: EventColumns, separator: str = "") -> OpenLog:
    """Open a log, or raise a ShopError that names the column which is not there."""
    rows = open_rows(path, separator)
    check_columns(path, rows, _wanted(columns, rows), required=("user", "time", "product"))
    order = survey(open_rows(path, separator).rows, columns, datetime.now())
    return OpenLog(rows, order)


def _wanted(columns: EventColumns, rows: Rows) -> dict[str, Names]:
    """Return the columns that must be there: of a path the first step, of several that is there.

    What stands in the objects of a list cannot be seen in the columns of the file.
    """
    wanted = {"each": (columns.each,)} if columns.each else fields_of(columns)
    found: dict[str, Names] = {}
    for field, several in wanted.items():
        names = [_first_step(name, rows) for name in names_of(several)]
        seen = tuple(name for name in names if name in rows.columns)
        found[field] = seen if seen and len(names) > 1 else tuple(names[:1])
    return found


def _first_step(name: str, rows: Rows) -> str:
    return name if name in rows.columns else name.partition(".")[0]
