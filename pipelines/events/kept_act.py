"""What is kept of an act: when it happened, what makes it unique, and the purposes it may serve."""

from datetime import datetime, timedelta, tzinfo
from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec

from pipelines.acts.clock import FIRST_YEAR, LAST_YEAR, as_utc, believed
from pipelines.config.sections import ConsentConfig
from pipelines.config.zones import local_time
from pipelines.people.people import VISITOR
from pipelines.people.pseudonyms import Pseudonyms
from retrieval.types import Act, ConsentState, EventType, Noun, StatedConsent

Purpose = Literal["search", "recommend", "ads", "train"]
PURPOSES: tuple[Purpose, ...] = ("search", "recommend", "ads", "train")
OF_A_PRODUCT = frozenset(EventType) - {EventType.SEARCH, EventType.REFUND, EventType.IMPRESSION}


class ActFault(NamedTuple):
    """Why an act cannot be kept: the field, and what to do."""

    field: str
    message: str


class KeptAct(Noun, frozen=True, kw_only=True):
    """An act as the log, the profiles and the archive have it.

    `act.at` is the instant that is believed, in UTC, `local_at` the same in the shop's local time
    to the second, and `created_at` what the sender said; `shift` lies between, and `difference` is
    that of the clocks, the way included. `key` is the same for each copy of an act, `order_key` for
    each that tells of the same purchase. `purposes` are granted, and `denied` those that the
    shopper said no to. What a robot did is in the log, and nothing is made of it.
    """

    act: Act
    key: str
    order_key: str | None = None
    local_at: datetime
    created_at: datetime | None = None
    received_at: datetime
    clamped: bool = False
    shift: timedelta = timedelta()
    difference: timedelta | None = None
    purposes: tuple[Purpose, ...] = ()
    denied: tuple[Purpose, ...] = ()
    robot: bool = False

    @property
    def person(self) -> str:
        """Who acted: the user, or the visitor where nobody logged in."""
        return self.act.user or visitor_name(self.act.visitor or "")

    @property
    def visit(self) -> str:
        """What the lines of one basket share; "" where only the day is known.

        Of what was bought or paid back it is the order, as a shop's own files have it.
        """
        first, second = self.act.session, self.act.order
        if self.act.type in (EventType.PURCHASE, EventType.REFUND):
            first, second = second, first
        return first or second


def visitor_name(visitor: str) -> str:
    """Return the name of a visitor among users."""
    return VISITOR + visitor


def pseudonymous(act: Act, names: Pseudonyms) -> Act:
    """Return an act whose visitor and user have the names under which they are kept."""
    return msgspec.structs.replace(
        act,
        visitor=None if act.visitor is None else names.visitor(act.visitor),
        user=None if act.user is None else names.user(act.user),
    )


def kept_act(act: Act, received_at: datetime, zone: tzinfo, unset: ConsentConfig) -> KeptAct:
    """Return what is kept of an act; without any purpose it may not be kept at all."""
    instant = believed(act.at, act.sent_at, received_at, zone)
    order_key = None
    if act.type is EventType.PURCHASE and act.order:
        order_key = _digest(["order", act.type, act.order, *_lines(act)])
    return KeptAct(
        act=msgspec.structs.replace(act, at=instant.at, id=None, agent=""),  # the key has the id
        key=_key(act, order_key, received_at if act.at is None else as_utc(act.at, zone)),
        order_key=order_key,
        local_at=local_time(instant.at, zone).replace(microsecond=0),
        created_at=act.at,
        received_at=received_at,
        clamped=instant.clamped,
        shift=instant.shift,
        difference=instant.difference,
        purposes=granted(act.consent, unset),
        denied=tuple(one for one in PURPOSES if getattr(act.consent, one) is ConsentState.DENIED),
    )


def granted(consent: StatedConsent, unset: ConsentConfig) -> tuple[Purpose, ...]:
    """Return the purposes that are granted, `unset` saying what silence means for each."""

    def allows(purpose: Purpose) -> bool:
        state = getattr(consent, purpose)
        return bool((getattr(unset, purpose) if state == "unset" else state) == "granted")

    return tuple(one for one in PURPOSES if allows(one))


def fault_of(act: Act) -> ActFault | None:
    """Return why an act says too little or contradicts itself, or None."""
    for field, moment in (("at", act.at), ("sent_at", act.sent_at)):
        if moment is not None and not FIRST_YEAR <= moment.year < LAST_YEAR:
            return ActFault(field, f"is {moment}, not between {FIRST_YEAR} and {LAST_YEAR}")
    if act.visitor is None and act.user is None:
        return ActFault("visitor", "is missing; name a visitor, a user or both")
    if act.user is not None and act.user.startswith(VISITOR):
        return ActFault("user", f"begins with {VISITOR!r}, which marks visitors; send another id")
    if act.type in OF_A_PRODUCT and not act.lines:
        return ActFault("lines", f"is empty; a {act.type} has at least one line with a product")
    if act.type is EventType.SEARCH and not act.text.strip():
        return ActFault("text", "is empty; a search has the words that were searched")
    if act.type is EventType.REFUND and not (act.lines or act.order):
        return ActFault("order", "is missing; a refund names its order, its products or both")
    if act.currency == "" and _has_money(act):
        return ActFault("currency", "is missing; an amount has a currency such as EUR")
    return None


def _has_money(act: Act) -> bool:
    amounts = (line.price_micros or line.discount_micros for line in act.lines)
    return any(amounts) or bool(act.value_micros and act.type is not EventType.RATING)


def _key(act: Act, order_key: str | None, moment: datetime) -> str:
    """Return the sender's id, else what an order or the whole act says, as a digest.

    An id makes an act unique among those of its type: a sender may name a purchase and its refund
    by their order. An act without an id and a time cannot be told from one a moment later.
    """
    if act.id is not None:
        return _digest(["id", act.id, act.type])
    if order_key is not None:
        return order_key
    if act.type is EventType.REFUND and act.order:
        return _digest(["refund", act.order, *_lines(act)])
    who = [act.visitor or "", act.user or ""]
    what = [act.type, moment.isoformat(), act.order, act.answer, act.session, act.text]
    return _digest(["act", *who, *what, *_lines(act)])


def _lines(act: Act) -> list[str]:
    """Return what the lines say, in one order: two senders may list an order in two ways."""
    return sorted(f"{line.product} {line.quantity!r}" for line in act.lines)


def _digest(parts: list[str]) -> str:
    return blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()
