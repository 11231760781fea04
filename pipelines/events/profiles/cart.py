"""What a shopper's recent acts say for a page: what lies in the cart, and what was done last."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pipelines.events.people import Person
from pipelines.events.profiles.profiles import ProfileLine, Profiles, usable
from retrieval.types import EventType, Noun

MOST_RECENT = 20
ENOUGH = 1e-6  # pieces that are left by the rounding of quantities


class CartLine(Noun, frozen=True, kw_only=True):
    """So many pieces of a product, which were put into the cart last at `at`."""

    product: str
    quantity: float
    at: datetime


class RecentAct(Noun, frozen=True, kw_only=True):
    """One product of one act, or a search."""

    type: EventType
    at: datetime
    product: str = ""
    text: str = ""


class ShopperProfile(Noun, frozen=True, kw_only=True):
    """The cart, what was put in first first, and the newest acts, the newest first."""

    cart: tuple[CartLine, ...] = ()
    recent: tuple[RecentAct, ...] = ()


def profile_of(person: Person, profiles: Profiles) -> ShopperProfile:
    """Return what recent acts say of somebody, as far as they may be used to recommend."""
    names, ledger = profiles.people
    lines = profiles.lines(names.users(person.user), names.visitors(person.visitor))
    lines = usable(lines, "recommend", ledger)
    recent = [
        RecentAct(type=line.type, at=_instant(line), product=line.product, text=line.text)
        for line in reversed(lines[-MOST_RECENT:])
    ]
    return ShopperProfile(cart=cart_of(lines), recent=tuple(recent))


def cart_of(lines: Sequence[ProfileLine]) -> tuple[CartLine, ...]:
    """Return what lies in the cart after some acts, oldest first.

    What is bought or taken out leaves the cart, and never more than lies there.
    """
    cart: dict[str, CartLine] = {}
    for line in lines:
        there = cart.get(line.product)
        pieces = 0.0 if there is None else there.quantity
        if line.type is EventType.ADD_TO_CART:
            more = CartLine(
                product=line.product, quantity=pieces + line.quantity, at=_instant(line)
            )
            cart[line.product] = more
        elif line.type in (EventType.REMOVE_FROM_CART, EventType.PURCHASE) and there is not None:
            if pieces - line.quantity > ENOUGH:
                cart[line.product] = CartLine(
                    product=line.product, quantity=pieces - line.quantity, at=there.at
                )
            else:
                del cart[line.product]
    return tuple(cart.values())


def _instant(line: ProfileLine) -> datetime:
    return datetime.fromtimestamp(line.at_ms / 1_000, UTC)
