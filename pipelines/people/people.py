"""People: under which names shoppers are kept, and what of them may not be used any more."""

from pathlib import Path
from typing import NamedTuple

from pipelines.config.sections import Config, PeopleConfig
from pipelines.people import people_ledger, pseudonyms
from pipelines.people.people_ledger import PeopleLedger
from pipelines.people.pseudonyms import Pseudonyms, open_pseudonyms

VISITOR = "visitor/"  # before the name of a visitor, where files and releases name whoever acted


class People(NamedTuple):
    """The names of a shop's people, and the ledger of those who withdrew or were erased."""

    names: Pseudonyms
    ledger: PeopleLedger

    def names_of(self, user: str | None, visitor: str | None) -> tuple[str, ...]:
        """Return the names under which a user and a visitor are kept, the newest first."""
        visitors = (VISITOR + one for one in self.names.visitors(visitor))
        return (*self.names.users(user), *visitors)


def names_of_stored(names: Pseudonyms, stored: str) -> tuple[str, ...]:
    """Return the names in an archive of whom a shop's own file names so, the newest first."""
    if stored.startswith(VISITOR):
        return tuple(VISITOR + one for one in names.visitors(stored.removeprefix(VISITOR)))
    return names.users(stored)


def open_people(live: Path, config: PeopleConfig, *, make: bool = False) -> People:
    """Open the key and the ledger, by default in the folder of --live; ConfigError if unfit.

    With `make` a key that is not there is made.
    """
    key = Path(config.key) if config.key else live / pseudonyms.FILE
    ledger = Path(config.ledger) if config.ledger else live / people_ledger.FILE
    people = People(open_pseudonyms(key, make=make), PeopleLedger(ledger))
    people.ledger.check()
    return people


def people_of(archive: Path | None, live: Path | None, config: Config) -> People | None:
    """Return the people of a shop from where its acts are, or None where nobody has names.

    The key is where the configuration says, else in the folder of --live, which an archive is in
    and the configuration may name, too.
    """
    folder = live if archive is None else archive.parent.parent
    if folder is None and config.serve.live:
        folder = Path(config.serve.live)
    if config.people.key:
        return open_people(folder or Path(config.people.key).parent, config.people)
    if folder is None or not (folder / pseudonyms.FILE).exists():
        return None
    return open_people(folder, config.people)
