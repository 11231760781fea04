"""Opens a log of events, checks its columns, and looks at how its dates are written."""

from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from pipelines.config.zones import local_time, zone_of
from pipelines.errors import ConfigError
from pipelines.importers.columns import EventColumns, Names
from pipelines.importers.events.date_order import LogStyle, survey
from pipelines.importers.events.fields import WHOLE, Fields, first_at, rows_inside
from pipelines.importers.mapping import Mapping, check_columns, fields_of, names_of, said_style
from pipelines.importers.tables.opening import open_rows
from pipelines.importers.tables.rows import Rows
from pipelines.importers.values.survey import Survey
from pipelines.shop.remarks import Remarks

LOOKED_AT = 20_000  # rows that tell how amounts are written, and where places begin
ZERO = (0, "0", "0.0")


class OpenLog(NamedTuple):
    """A log whose columns are there, and how its cells are written."""

    rows: Rows
    style: LogStyle


def open_log(path: Path, mapping: Mapping) -> OpenLog:
    """Open a log, or raise a ShopError that names the column which is not there."""
    columns = mapping.events
    if not columns:
        raise ConfigError(f"{path}: the mapping does not say which columns are `events`")
    rows = _open(path, mapping, columns)
    check_columns(path, rows, _wanted(columns, rows), required=("user", "time", "product"))
    now = local_time(datetime.now(UTC), zone_of(columns.zone))
    style = survey(_open(path, mapping, columns).rows, columns, now)
    amounts = Survey(said_style(mapping))
    money = (*names_of(columns.value), *names_of(columns.unit_price))
    fields, zero = Fields(columns), False
    look = money or (columns.position and columns.first_position is None)
    for row in islice(_open(path, mapping, columns).rows if look else (), LOOKED_AT):
        for part in rows_inside(row, columns):
            amounts.see(row.line, {"price": first_at(part.values, money)})
            zero = zero or fields.at(part, "position") in ZERO
    first = columns.first_position
    return OpenLog(
        rows,
        style._replace(
            price=amounts.style(Remarks(path)).price,
            first_position=int(not zero) if first is None else first,
        ),
    )


def _open(path: Path, mapping: Mapping, columns: EventColumns) -> Rows:
    names = () if columns.each else tuple(chain(*map(names_of, fields_of(columns).values())))
    return open_rows(path, mapping.separator, encoding=mapping.encoding, columns=names)


def _wanted(columns: EventColumns, rows: Rows) -> dict[str, Names]:
    """Return the columns that must be there: of a path the first step, of several that is there.

    What stands in the objects of a list cannot be seen in the columns of the file.
    """
    wanted = {"each": columns.each} if columns.each else fields_of(columns)
    found: dict[str, Names] = {}
    for field, several in wanted.items():
        names = [_first_step(name, rows) for name in names_of(several)]
        seen = tuple(name for name in names if name in rows.columns)
        found[field] = seen if seen and len(names) > 1 else tuple(names[:1])
    return found


def _first_step(name: str, rows: Rows) -> str:
    return name if name in rows.columns else name.removeprefix(WHOLE).partition(".")[0]
