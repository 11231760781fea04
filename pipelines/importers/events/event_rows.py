"""Reads one row of a log as an event: who did what to which product, when, and for how much."""

import re
from contextlib import suppress
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple

from pipelines.importers.columns import EventColumns
from pipelines.importers.events.acts import type_of
from pipelines.importers.events.amounts import amount_of, position_of, propensity_of, quantity_of
from pipelines.importers.events.date_order import LogStyle
from pipelines.importers.events.fields import (
    NO_NAME,
    NOBODY,
    first_at,
    is_guest,
    says_nothing,
    time_at,
    value_at,
)
from pipelines.importers.events.product_names import ProductNames
from pipelines.importers.events.statuses import is_in_part, is_never_done, is_undone, words_of
from pipelines.importers.events.times import (
    local_of,
    moment_of,
    names_second,
    names_unknown_zone,
    written_moment,
)
from pipelines.importers.mapping import fields_of, names_of
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import RowError, id_of, text_of
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks
from retrieval import EventType

MAX_TEXT = 2_000
REMEMBERED = 100_000  # distinct amounts, quantities and names of acts
WITHOUT_PRODUCT = (EventType.SEARCH, EventType.REFUND)  # a refund may be of a whole order
LOOKS = (EventType.IMPRESSION, EventType.VIEW, EventType.CLICK)  # of pages as well as of products
IDS = ("user", "product")
NAMES_OF = (*IDS, "session", "id")
OF_ORDER = ("user", "time", "status", "undone_at")  # what the rows of one order have in common
MONEY = (EventType.PURCHASE, EventType.REFUND, EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART)
# A status that is a date is that of a cancellation; a code such as 2 says nothing.
A_DATE = re.compile(r"\d{1,4}[-./]\d|\d{8}")


class LeftOut(RowError):
    """An event that is none of ours, which is no mistake of its row."""


class Amount(NamedTuple):
    """How many pieces, and the money for them together."""

    quantity: float
    value: float | None


class EventReader:
    """Reads rows as events, and counts what it had to choose."""

    def __init__(
        self,
        columns: EventColumns,
        style: LogStyle,
        names: ProductNames | None = None,
        remarks: Remarks | None = None,
    ) -> None:
        """Prepare for rows whose times and amounts are written in a style.

        `names` are those by which orders may show the products.
        """
        self.anonymous = 0  # events that name nobody
        self.guests = 0  # events whose user is a word such as guest
        self.undated = 0  # events of orders that were undone at nobody knows when
        self.zoned = 0  # times that name a zone, or count from 1970
        self.zones_unknown = 0  # times with letters for a zone that are not known
        self._to_second = style.to_second
        self._columns = columns
        self._order = style.order
        remembered = lru_cache(REMEMBERED, typed=True)
        self._amount_of = remembered(lambda text: amount_of(text, style.price))
        self._quantity_of = remembered(quantity_of)
        self._type_of = remembered(lambda text: type_of(text, columns.types))
        self._columns_of = {
            name: names_of(of) for name, of in fields_of(columns).items() if name != "each"
        }
        self._names = names or ProductNames()
        self._remarks = remarks or Remarks()
        self._last: dict[str, Any] = {}  # of the row before: whose order it is

    def read(self, row: Row) -> list[dict[str, Any]]:
        """Return the columns of an event, or raise a RowError that says what is wrong.

        A purchase that was undone later is two events: it, and its refund.
        """
        row = self._completed(row)
        kind, undone = self._kind(row), self._undone(row)
        kind, amount = self._amount(row, kind)
        event = self._event(row, kind, amount)
        if undone is None:
            return [event]
        if kind != EventType.PURCHASE:
            raise LeftOut("undone order", "the order was undone")
        refund = {"type": EventType.REFUND.value, "time": max(undone, event["time"])}
        return [event, event | refund]

    def event_id(self, row: Row) -> Any:
        """Return the id of a row's event; None where it has none."""
        return self._at(row, "id")

    def tells_event(self, row: Row) -> bool:
        """Return whether a row tells of one event: by an id, an order, or a user and a second.

        A purchase needs the first or the second: one receipt may name a product on two lines. And
        times tell no second where those of the first rows are full minutes.
        """
        if self._at(row, "id") is not None or self._at(row, "session") is not None:
            return True
        if self._at(row, "user") is None or not self._to_second:
            return False
        return names_second(self._at(row, "time")) and not self._is_purchase(row)

    def _is_purchase(self, row: Row) -> bool:
        try:
            return self._kind(row) == EventType.PURCHASE
        except RowError:
            return False

    def _event(self, row: Row, kind: EventType, amount: Amount) -> dict[str, Any]:
        return {
            "type": kind.value,
            "time": self._time(row),
            "product": self._product(row, kind),
            "user": self._user(row, kind),
            "session": self._text(row, "session", 200),
            "quantity": amount.quantity,
            "value": amount.value,
            "text": self._searched(row, kind),
            "position": position_of(self._at(row, "position")),
            "propensity": propensity_of(self._at(row, "propensity")),
            "placement": self._text(row, "placement", 200),
        }

    def _completed(self, row: Row) -> Row:
        """Return a row with what the first row of its order says, where it says nothing itself.

        Shopify writes the columns of an order in the first of its rows alone.
        """
        session = self._at(row, "session")
        if session is None or session != self._last.get("session"):
            cells = {field: self._cells(row, field) for field in OF_ORDER}
            self._last = cells | {"session": session}
            return row
        lacking = [
            field for field in OF_ORDER if self._last[field] and self._at(row, field) is None
        ]
        more = {name: cell for field in lacking for name, cell in self._last[field].items()}
        return Row(row.line, row.values | more) if more else row

    def _cells(self, row: Row, field: str) -> dict[str, Any]:
        """Return the cells of a row that hold a field, those that are empty left out."""
        cells = {name: value_at(row.values, name) for name in self._columns_of.get(field, ())}
        return {name: cell for name, cell in cells.items() if cell not in (None, "")}

    def _at(self, row: Row, field: str) -> Any:
        columns = self._columns_of.get(field)
        if not columns:
            return None
        if field in NAMES_OF:
            # 0 is no variation
            nothing = NOBODY if field in IDS and len(columns) > 1 else NO_NAME
            found = (value_at(row.values, column) for column in columns)
            is_none = is_guest if field == "user" else partial(says_nothing, nothing=nothing)
            return next((one for one in found if not is_none(one)), None)
        dates = field in ("time", "undone_at")
        return time_at(row.values, columns) if dates else first_at(row.values, columns)

    def _read(self, row: Row, field: str) -> Any:
        """Return a value that can be remembered: lists and objects are no numbers."""
        value = self._at(row, field)
        return shown(value) if isinstance(value, list | dict) else value

    def _text(self, row: Row, field: str, at_most: int) -> str:
        return text_of(self._at(row, field), field, at_most=at_most)

    def _kind(self, row: Row) -> EventType:
        columns = self._columns
        name = self._at(row, "type") if columns.type else columns.default_type
        return self._type_of(name) if isinstance(name, str) else type_of(name, columns.types)

    def _undone(self, row: Row) -> datetime | None:
        """Return when the order of a row was cancelled or refunded; None where it stands.

        Raises LeftOut where no column says when: the status is of the moment of the export.
        """
        status = self._text(row, "status", 200)
        words = words_of(status)
        if is_in_part(words):
            return None
        date = status if A_DATE.match(status) else self._at(row, "undone_at")
        if date is None and not is_undone(words) and not is_never_done(words):
            return None
        if date is not None and not is_never_done(words):
            with suppress(RowError):
                return moment_of(date, self._order)
        self.undated += is_undone(words)
        raise LeftOut("undone order", f"status {shown(status)}: the order was undone")

    def _time(self, row: Row) -> Any:
        value = self._at(row, "time")
        moment = written_moment(value, self._order)
        self.zoned += moment.tzinfo is not None
        self.zones_unknown += moment.tzinfo is None and names_unknown_zone(value)
        return local_of(moment, self._order)

    def _product(self, row: Row, kind: EventType) -> str | None:
        value, name = self._at(row, "product"), self._at(row, "name")
        found = self._names.product_of(value, name, row.line, self._remarks)
        if found is not None:
            return found
        if kind in WITHOUT_PRODUCT:
            return None
        error = LeftOut if kind in LOOKS else RowError
        raise error("no product", f"product is empty, in an event of type {kind}")

    def _user(self, row: Row, kind: EventType) -> str:
        """Return who acted: a user, else the session, else a name that nobody else has.

        Searches of nobody share the user "", so that no search of one person counts as one of many.
        """
        value = self._at(row, "user")
        self.guests += value is None and self._names_guest(row)
        value = self._at(row, "session") if value is None else value
        if value is not None:
            return id_of(value, "user")
        self.anonymous += 1
        return "" if kind == EventType.SEARCH else f"anonymous:{row.line}"

    def _names_guest(self, row: Row) -> bool:
        """Return whether a row without a user has a word for one."""
        cells = (value_at(row.values, column) for column in self._columns_of.get("user", ()))
        return any(not says_nothing(cell, NO_NAME) for cell in cells)

    def _searched(self, row: Row, kind: EventType) -> str:
        text = self._text(row, "text", MAX_TEXT)
        if kind == EventType.SEARCH and not text:
            raise RowError("no text", "text is empty, in an event of type search")
        return text

    def _amount(self, row: Row, kind: EventType) -> tuple[EventType, Amount]:
        """Return the type and the amount: a purchase of less than nothing is a refund."""
        given = self._quantity_of(self._read(row, "quantity"))
        quantity = 1.0 if given is None or (given == 0 and kind not in MONEY) else given
        value = self._amount_of(self._read(row, "value"))
        price = self._amount_of(self._read(row, "unit_price"))
        if value is None and price is not None:
            value = price * quantity
        if kind == EventType.PURCHASE and (quantity < 0 or (value is not None and value < 0)):
            kind = EventType.REFUND
        if kind == EventType.REFUND:
            quantity, value = abs(quantity), None if value is None else abs(value)
        if quantity <= 0:
            raise RowError("impossible quantity", f"quantity {quantity:g} is impossible")
        if value is not None and value < 0:
            raise RowError("impossible value", f"value {value:g} is impossible")
        return kind, Amount(quantity, value)
