"""Reads who acted, in which visit and for which order."""

import re
from typing import Any, NamedTuple

from cachetools import LRUCache

from pipelines.importers.events.fields import Fields
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import RowError, id_of, text_of
from pipelines.people.people import VISITOR
from pipelines.shop.quality import shown
from retrieval import EventType

MOST_NAME = 200  # characters of a session or an order
MOST_ORDERS = 1_000_000  # whose buyers are remembered
PAID = (EventType.PURCHASE, EventType.REFUND)
GLOBAL_ID = re.compile(r"gid://[^/\s]+/[^/\s]+/([^/?#\s]+)(?:[?#]\S*)?")  # of Shopify


class Visit(NamedTuple):
    """In which visit somebody acted, and for which order; "" where nobody says."""

    session: str
    order: str

    def of(self, kind: EventType) -> str:
        """Return what the acts of one basket share, as a server has it: of what was paid its
        order."""
        first, second = (self.order, self.session)[:: 1 if kind in PAID else -1]
        return first or second


class Shopper(NamedTuple):
    """Who acted: the name under which the act is kept, and the browser or device."""

    user: str
    visitor: str


class Shoppers:
    """Reads who acted, and counts who is not known."""

    def __init__(self, fields: Fields) -> None:
        self.anonymous = 0  # events that name nobody
        self.guests = 0  # events whose user is a word such as guest
        self._fields = fields
        self._buyers: LRUCache[str, str] = LRUCache(MOST_ORDERS)

    def visit(self, row: Row) -> Visit:
        """Return the visit and the order of a row."""
        return Visit(self._name(row, "session"), self._name(row, "order"))

    def of(self, row: Row, kind: EventType, visit: Visit, *, known: bool) -> Shopper:
        """Return who acted: a user, else a visitor, else the session, else nobody else's name.

        A refund is of whoever bought its order, if that was read. Without `known` the act is
        nobody's. Searches of nobody share the user "", so that no search of one person counts as
        one of many.
        """
        user = self._fields.at(row, "user") if known else None
        visitor = self._id(row, "visitor") if known else ""
        self.guests += known and user is None and self._fields.names_guest(row)
        name = self._buyers.get(visit.order, "") if kind == EventType.REFUND else ""
        if not name:
            name = _user(user) or (f"{VISITOR}{visitor}" if visitor else "")
        if not name and known:
            name = _user(visit.session or visit.order or None)
        if not name:
            self.anonymous += 1
            name = "" if kind == EventType.SEARCH else f"anonymous:{row.line}"
        elif kind == EventType.PURCHASE and visit.order and self._fields.has("order"):
            self._buyers[visit.order] = name
        return Shopper(name, visitor)

    def _id(self, row: Row, field: str) -> str:
        value = self._fields.at(row, field)
        return "" if value is None else id_of(value, field)

    def _name(self, row: Row, field: str) -> str:
        value = self._fields.at(row, field)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = text_of(value, field, at_most=MOST_NAME)
        found = GLOBAL_ID.fullmatch(text) if field == "order" else None
        return found[1] if found else text


def _user(value: Any) -> str:
    if value is None:
        return ""
    name = id_of(value, "user")
    if name.startswith(VISITOR):
        raise RowError("user is a visitor", f"user {shown(name)} begins as only visitors may")
    return name
