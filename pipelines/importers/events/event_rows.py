"""Reads one row of a log as an event: who did what to which product, when, and for how much."""

import re
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from pipelines.importers.columns import EventColumns
from pipelines.importers.events.acts import ActNames, IgnoredAct, is_page
from pipelines.importers.events.amounts import (
    MOST_PIECES,
    amount_of,
    micros_of,
    position_of,
    propensity_of,
    quantity_of,
)
from pipelines.importers.events.consent import ConsentReader, is_refused
from pipelines.importers.events.date_order import LogStyle
from pipelines.importers.events.fields import NO_NAME, PLACE, WHOLE, Fields
from pipelines.importers.events.instants import Clock
from pipelines.importers.events.product_names import ProductNames
from pipelines.importers.events.shoppers import Shoppers
from pipelines.importers.events.statuses import is_in_part, is_never_done, is_undone, words_of
from pipelines.importers.events.times import moment_of, names_second
from pipelines.importers.matching.finding import ProductFinder
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.currencies import currency_of
from pipelines.importers.values.texts import RowError, text_of
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks
from retrieval import EventType

MAX_TEXT = 2_000
MAX_WORDS = 1_000  # of a filter, a list and the like; the rest is cut off
REMEMBERED = 100_000  # distinct amounts, quantities and names of acts
WITHOUT_PRODUCT = (EventType.SEARCH, EventType.REFUND)  # a refund may be of a whole order
LOOKS = (EventType.IMPRESSION, EventType.VIEW, EventType.CLICK)  # of pages as well as of products
OF_ORDER = ("user", "visitor", "time", "status", "undone_at")  # what rows of one order share
MONEY = (EventType.PURCHASE, EventType.REFUND, EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART)
OF_MONEY = ("value", "unit_price", "total")
FURTHER = ("answer", "list", "filter", "experiment")  # texts that are kept as they are
NO_CURRENCY = "currencies that are none of ISO 4217 are left out"
CUT = f"texts of over {MAX_WORDS:,} characters are cut"
# A status that is a date is that of a cancellation; a code such as 2 says nothing.
A_DATE = re.compile(r"\d{1,4}[-./]\d|\d{8}")


class LeftOut(RowError):
    """An event that is none of ours, which is no mistake of its row."""


class Amount(NamedTuple):
    """How many pieces, and the money for them together."""

    quantity: float
    value: float | None
    price: float | None = None  # of one piece, before the discount
    discount: float | None = None  # of all pieces


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
        self.fields = Fields(columns)
        self.undated = 0  # events of orders that were undone at nobody knows when
        self.unpriced = 0  # amounts without a currency
        self._columns = columns
        self._order = style.order
        self._usual_currency = style.price.currency
        self._has_money = any(map(self.fields.has, OF_MONEY))
        self._first_position = style.first_position
        remembered = lru_cache(REMEMBERED, typed=True)
        self._amount_of = remembered(lambda text: amount_of(text, style.price))
        self._quantity_of = remembered(quantity_of)
        self._acts = ActNames(columns.types, columns.ignored)
        self._may_be_undone = self.fields.has("status") or self.fields.has("undone_at")
        self._names = names or ProductNames()
        self.finder = ProductFinder(self.fields.columns("product"))
        self._remarks = remarks or Remarks()
        self.clock = Clock(columns, style.order, self.fields, to_second=style.to_second)
        self.shoppers = Shoppers(self.fields)
        self._consent = ConsentReader(columns.consent, self._remarks)
        self._last: dict[str, Any] = {}  # of the row before: whose order it is

    def kind(self, row: Row) -> EventType:
        """Return the type of a row's act, or raise a RowError that says why it is none."""
        columns = self._columns
        name = self.fields.at(row, "type") if columns.type else columns.default_type
        return self._acts.type_of(name)

    def read(self, row: Row) -> list[dict[str, Any]]:
        """Return the columns of an event, or raise a RowError that says what is wrong.

        A purchase that was undone later is two events: it, and its refund. A search with a product
        in a list of results is two: the search, and the product shown.
        """
        row = self._completed(row)
        kind, undone = self.kind(row), self._undone(row)
        kind, amount = self._amount(row, kind)
        if kind == EventType.SEARCH and WHOLE in row.values:
            return self._search(row, amount)
        event = self._event(row, kind, amount)
        if undone is None:
            return [event]
        if kind != EventType.PURCHASE:
            raise LeftOut("undone order", "the order was undone")
        refund = {"type": EventType.REFUND.value, "time": max(undone, event["time"])}
        refund["at"] = event["at"] + (refund["time"] - event["time"])
        return [event, event | refund]

    def event_id(self, row: Row) -> Any:
        """Return the id of a row's event; None where it has none."""
        return self.fields.at(row, "id")

    def tells_event(self, row: Row) -> bool:
        """Return whether a row tells of one event: by an id, an order, or a user and a second.

        A purchase needs the first or the second: one receipt may name a product on two lines. And
        times tell no second where those of the first rows are full minutes.
        """
        at = self.fields.at
        if any(at(row, name) is not None for name in ("id", "session", "order")):
            return True
        if at(row, "user") is None and at(row, "visitor") is None:
            return False
        if not self.clock.to_second:
            return False
        return names_second(at(row, "time")) and not self._is_purchase(row)

    def _is_purchase(self, row: Row) -> bool:
        try:
            return self.kind(row) == EventType.PURCHASE
        except RowError:
            return False

    def _search(self, row: Row, amount: Amount) -> list[dict[str, Any]]:
        """Return a search and the product that it showed, which a list of results has."""
        whole = Row(row.line, row.values[WHOLE])
        return [
            self._event(whole, EventType.SEARCH, Amount(1.0, None)),
            self._event(row, EventType.IMPRESSION, amount),
        ]

    def _event(self, row: Row, kind: EventType, amount: Amount) -> dict[str, Any]:
        consent = self._consent.of(row) if self._consent.is_told else None
        if consent is not None and is_refused(consent):
            raise LeftOut("consent denied", "consent is denied for every purpose")
        known = consent is None or not self._consent.is_transient(row)
        visit = self.shoppers.visit(row)
        product = self._product(row, kind)
        shopper = self.shoppers.of(row, kind, visit, known=known)
        who = (shopper.visitor or shopper.user, visit.session)
        moment = self.clock.of(row, who)
        event = {
            "type": kind.value,
            "time": moment.local,
            "product": product,
            "user": shopper.user,
            "session": visit.of(kind),
            "quantity": amount.quantity,
            "value": amount.value,
            "text": self._searched(row, kind),
            "position": self._position(row, kind),
            "propensity": propensity_of(self.fields.at(row, "propensity")),
            "placement": self.fields.text(row, "placement", 200),
            "line": row.values.get(PLACE, 1) - 1,
            "visitor": shopper.visitor,
            "order": visit.order,
            "at": moment.at,
        }
        if consent is not None:
            event["consent"] = consent
        if self._has_money:
            self._add_money(event, row, amount)
        for field in FURTHER:
            if self.fields.has(field):
                event[field] = self._words(row, field)
        return event

    def _add_money(self, event: dict[str, Any], row: Row, amount: Amount) -> None:
        """Add amounts in millionths, and their currency, to an event that has some."""
        total = self._read_amount(row, "total")
        if total is not None and event["type"] == EventType.REFUND:
            total = abs(total)
        _not_negative("total", total)
        event["value_micros"] = micros_of(total)
        event["price_micros"] = micros_of(amount.price)
        event["discount_micros"] = micros_of(amount.discount)
        event["currency"] = self._currency(row)
        if event["value"] is None and total is not None and self._is_alone(row):
            event["value"] = total
        has_money = event["value"] is not None and event["type"] != EventType.RATING
        self.unpriced += has_money and not event["currency"]

    def _is_alone(self, row: Row) -> bool:
        """Return whether a row is all lines of its act, so that the act's worth is its own."""
        return bool(self._columns.each) and PLACE not in row.values

    def _currency(self, row: Row) -> str:
        value = self.fields.at(row, "currency")
        if value is None:
            return self._usual_currency
        text = text_of(value, "currency", at_most=MAX_WORDS)
        code = currency_of(text, self._usual_currency)
        if not code:
            self._remarks.add(NO_CURRENCY, row.line, shown(text))
        return code

    def _words(self, row: Row, field: str) -> str:
        """Return a text, or those of a list, cut where it is too long."""
        value = self.fields.at(row, field)
        if isinstance(value, list):
            value = ", ".join(str(one) for one in value if isinstance(one, str | int | float))
        text = text_of(value, field, at_most=1_000_000)
        if len(text) > MAX_WORDS:
            self._remarks.add(CUT, row.line, f"{field} of {len(text):,} characters")
        return text[:MAX_WORDS]

    def _completed(self, row: Row) -> Row:
        """Return a row with what the first row of its order says, where it says nothing itself.

        Shopify writes the columns of an order in the first of its rows alone.
        """
        at, name = self.fields.at, "order" if self.fields.has("order") else "session"
        order = at(row, name)
        if order is None:
            self._last = {}
            return row
        if order != self._last.get("order"):
            cells = {field: self.fields.cells(row, field) for field in OF_ORDER}
            self._last = cells | {"order": order}
            return row
        lacking = [field for field in OF_ORDER if self._last[field] and at(row, field) is None]
        more = {name: cell for field in lacking for name, cell in self._last[field].items()}
        return Row(row.line, row.values | more) if more else row

    def _read(self, row: Row, field: str) -> Any:
        """Return a value that can be remembered: lists and objects are no numbers."""
        value = self.fields.at(row, field)
        return shown(value) if isinstance(value, list | dict) else value

    def _read_amount(self, row: Row, field: str) -> float | None:
        return self._amount_of(self._read(row, field))

    def _undone(self, row: Row) -> datetime | None:
        """Return when the order of a row was cancelled or refunded; None where it stands.

        Raises LeftOut where no column says when: the status is of the moment of the export.
        """
        if not self._may_be_undone:
            return None
        status = self.fields.text(row, "status", 200)
        words = words_of(status)
        if is_in_part(words):
            return None
        date = status if A_DATE.match(status) else self.fields.at(row, "undone_at")
        if date is None and not is_undone(words) and not is_never_done(words):
            return None
        if date is not None and not is_never_done(words):
            with suppress(RowError):
                return moment_of(date, self._order)
        self.undated += is_undone(words)
        raise LeftOut("undone order", f"status {shown(status)}: the order was undone")

    def _product(self, row: Row, kind: EventType) -> str | None:
        if kind == EventType.SEARCH and self._columns.each:
            return None  # what a search shows are its lines
        value, name = self.finder.product_of(row.values), self.fields.at(row, "name")
        if value is None:
            value = self.fields.at(row, "product")
        found = self._names.product_of(value, name, row.line, self._remarks)
        if found is not None:
            return found
        if kind in WITHOUT_PRODUCT:
            return None
        if kind in LOOKS and is_page(act := self.fields.at(row, "type")):
            raise IgnoredAct(act)
        error = LeftOut if kind in LOOKS else RowError
        raise error("no product", f"product is empty, in an event of type {kind}")

    def _position(self, row: Row, kind: EventType) -> int | None:
        """Return the place of a product; its place in a list counts where products are shown."""
        place = position_of(self.fields.at(row, "position"), self._first_position)
        if place is None and self.fields.counts_places and kind == EventType.IMPRESSION:
            return row.values.get(PLACE)
        return place

    def _searched(self, row: Row, kind: EventType) -> str:
        text = self.fields.text(row, "text", MAX_TEXT)
        text = "" if text in NO_NAME else text
        if kind == EventType.SEARCH and not text:
            raise RowError("no text", "text is empty, in an event of type search")
        return text

    def _amount(self, row: Row, kind: EventType) -> tuple[EventType, Amount]:
        """Return the type and the amount: a purchase of less than nothing is a refund."""
        if kind == EventType.RATING and self.fields.has("rating"):
            return kind, Amount(1.0, _not_negative("rating", self._read_amount(row, "rating")))
        given = self._quantity_of(self._read(row, "quantity"))
        quantity = 1.0 if given is None or (given == 0 and kind not in MONEY) else given
        value = self._read_amount(row, "value")
        price = self._read_amount(row, "unit_price")
        off = _not_negative("discount", self._read_amount(row, "discount"))
        if value is None and price is not None:
            value = price * quantity
        if kind == EventType.PURCHASE and (quantity < 0 or (value is not None and value < 0)):
            kind = EventType.REFUND
        if kind == EventType.REFUND:
            quantity, value = abs(quantity), None if value is None else abs(value)
            price = None if price is None else abs(price)
        if not 0 < quantity <= MOST_PIECES:
            raise RowError("impossible quantity", f"quantity {quantity:g} is impossible")
        _not_negative("price", price)
        _not_negative("value", value)
        if off is not None and price is not None:
            return kind, Amount(quantity, value, price + off, off * quantity)
        return kind, Amount(quantity, value, price)


def _not_negative(name: str, amount: float | None) -> float | None:
    if amount is not None and amount < 0:
        raise RowError(f"impossible {name}", f"{name} {amount:g} is impossible")
    return amount
