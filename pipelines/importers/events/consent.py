"""Reads what a shopper allowed: a yes, a no or nothing for each purpose."""

from pipelines.importers.columns import ConsentColumns
from pipelines.importers.events.fields import first_at
from pipelines.importers.mapping import fields_of, names_of
from pipelines.importers.tables.rows import Row
from pipelines.importers.values.texts import NULLS
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks

PURPOSES = ("search", "recommend", "ads", "train")
PROFILED = ("recommend", "train")  # what nobody's acts may not be used for
YES = frozenset(
    "yes true granted grant allow allowed accept accepted optin opted_in in 1 1.0 y t".split()
)
NO = frozenset(
    "no false denied deny decline declined reject rejected optout opted_out out 0 0.0 n f".split()
)
UNSET = frozenset(("", "unset", "unknown", "(not set)", "undefined", "not_set", "unspecified")) | {
    word.casefold() for word in NULLS
}
LONGEST_WORD = 100  # characters
UNREADABLE = "consent that says neither yes nor no counts as no"


class ConsentReader:
    """Reads the consent of each act, and remarks on what could not be read."""

    def __init__(self, columns: ConsentColumns, remarks: Remarks) -> None:
        self._columns = {name: names_of(names) for name, names in fields_of(columns).items()}
        self._remarks = remarks

    @property
    def is_told(self) -> bool:
        """Whether the mapping names a column for any purpose."""
        return bool(self._columns)

    def of(self, row: Row) -> dict[str, bool | None]:
        """Return for each purpose whether it is allowed; None where nothing is said."""
        said = {purpose: self._said(row, purpose) for purpose in PURPOSES}
        return said | dict.fromkeys(PROFILED, False) if self.is_transient(row) else said

    def is_transient(self, row: Row) -> bool:
        """Return whether the ids of an act last for one visit only."""
        return self._said(row, "transient") is True

    def _said(self, row: Row, name: str) -> bool | None:
        columns = self._columns.get(name)
        if not columns:
            return None
        value = first_at(row.values, columns)
        word = "" if value is None else str(value).strip().casefold()[:LONGEST_WORD]
        if word in UNSET:
            return None
        if word in YES or word in NO:
            return word in YES
        self._remarks.add(UNREADABLE, row.line, f"{name} {shown(value)}")
        return False


def is_refused(consent: dict[str, bool | None]) -> bool:
    """Return whether a shopper allowed no purpose at all."""
    return all(allowed is False for allowed in consent.values())
