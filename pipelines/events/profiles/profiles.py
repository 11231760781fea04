"""Profiles: what is known of a shopper's recent acts, behind one protocol."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from pipelines.events.kept_act import Purpose
from pipelines.people.people import People
from pipelines.people.people_ledger import PeopleLedger
from retrieval.types import EventType


class ProfileLine(NamedTuple):
    """One product of one recent act, or an act without products."""

    at_ms: int  # since 1970, UTC
    type: EventType
    product: str  # "": none
    quantity: float
    visit: str  # of the basket or session; "": not said
    text: str  # that was searched
    purposes: frozenset[Purpose]
    sequence: int
    person: str  # as the archive calls who acted: a user, or a visitor whom nobody had named


def usable(
    lines: Sequence[ProfileLine], purpose: Purpose, ledger: PeopleLedger
) -> list[ProfileLine]:
    """Return the lines that serve a purpose, and of which it was not withdrawn since."""
    ends = {one: ledger.end_of(purpose, (one,)) for one in {line.person for line in lines}}
    return [
        line for line in lines if purpose in line.purposes and not _is_over(line, ends[line.person])
    ]


def _is_over(line: ProfileLine, end: datetime | None) -> bool:
    """Tell whether its shopper withdrew a purpose after an act."""
    return end is not None and line.at_ms <= 1_000 * end.timestamp()


class Profiles(Protocol):
    """Recent acts by shopper; its methods are called from several threads."""

    @property
    def upto(self) -> int:
        """The number of the newest act that the profiles show."""
        ...

    @property
    def log(self) -> str:
        """The id of the log that the acts come from."""
        ...

    @property
    def people(self) -> People:
        """The names under which shoppers are kept, and who withdrew or was erased."""
        ...

    def lines(self, users: Sequence[str], visitors: Sequence[str]) -> list[ProfileLine]:
        """Return the lines of a shopper's recent acts, oldest first, at most MOST_LINES.

        `users` and `visitors` are the names under which the shopper and the browser are kept. A
        visitor's acts without a name belong to the user who was the next to log in there, and
        to the visitor alone while nobody was. A request that names both is such a login.
        """
        ...

    def withholds(self, purpose: Purpose, users: Sequence[str], visitors: Sequence[str]) -> bool:
        """Tell whether a recent act of a shopper may not serve a purpose.

        What somebody did without a name on a browser of the user counts, too.
        """
        ...

    def close(self) -> None:
        """Close what is open."""
        ...
