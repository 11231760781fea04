"""Notes who withdraws a purpose, and turns away acts that nobody may keep."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from pipelines.events.event_log import UnwrittenAct
from pipelines.events.kept_act import KeptAct, Purpose
from pipelines.people.people import VISITOR
from pipelines.people.people_ledger import LedgerEntry, PeopleLedger

NOT_KEPT = UnwrittenAct(204)
Uses = Callable[[str, Purpose, datetime | None, datetime], bool]


class Withdrawals:
    """Looks at each act before it is written; called by the thread that writes the log."""

    def __init__(self, ledger: PeopleLedger, uses: Uses) -> None:
        """Ask `uses` whether acts of a name serve a purpose after one moment and up to another."""
        self._ledger = ledger
        self._uses = uses

    def look_at(self, acts: Sequence[KeptAct]) -> list[KeptAct | UnwrittenAct]:
        """Return each act, or why it is not kept.

        A purpose that is denied is withdrawn from the acts before, those of this call included.
        """
        granted: set[tuple[str, Purpose]] = set()
        seen: list[KeptAct | UnwrittenAct] = []
        for act in acts:
            names = names_in(act)
            self._withdraw(act, names, granted)
            granted |= {(name, purpose) for name in names for purpose in act.purposes}
            seen.append(NOT_KEPT if not act.purposes or self._is_erased(act, names) else act)
        return seen

    def _withdraw(
        self, act: KeptAct, names: Iterable[str], granted: set[tuple[str, Purpose]]
    ) -> None:
        at = act.act.at
        assert at is not None, "a kept act has its instant"
        for name in names:
            ended = tuple(
                one
                for one in act.denied
                if (name, one) in granted
                or self._uses(name, one, self._ledger.end_of(one, [name]), at)
            )
            if ended:
                self._ledger.append(LedgerEntry(at=at, names=(name,), purposes=ended))
                granted -= {(name, one) for one in ended}

    def _is_erased(self, act: KeptAct, names: Iterable[str]) -> bool:
        """Tell whether somebody was erased after an act: it comes again, from a copy."""
        end = self._ledger.erased_at(names)
        return end is not None and act.act.at is not None and act.act.at <= end


def names_in(act: KeptAct) -> tuple[str, ...]:
    """Return the names of the user and of the visitor of an act."""
    users = () if act.act.user is None else (act.act.user,)
    return users if act.act.visitor is None else (*users, VISITOR + act.act.visitor)
