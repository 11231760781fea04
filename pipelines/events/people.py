"""What a person may ask for: everything that is kept of them, and its end, with a receipt."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.events.event_log import replay
from pipelines.people.people import People
from pipelines.release import store
from pipelines.release.layout import BEHAVIOUR, USERS
from pipelines.shop.archive import archive_parts, read_index
from retrieval.types import Noun, UserId


class Person(Noun, frozen=True, kw_only=True):
    """Who asks, by the ids that requests have; one of both is needed."""

    user: UserId | None = None
    visitor: UserId | None = None


class Receipt(Noun, frozen=True, kw_only=True):
    """What was erased and what is still to come, signed with the key of the names.

    `names` are those of the ledger. `left_on_disk` says that a name was still found in a file of
    the log or of the profiles. `releases` hold the person until they are pruned; no answer reads
    it, and the next build leaves the person out, also in what it learns.
    """

    at: datetime
    names: tuple[str, ...]
    acts: int  # of the log
    lines: int  # of profiles
    rows: int  # of the archive
    auctions: int  # of ads, of which no record names the person any more
    left_on_disk: bool
    releases: tuple[str, ...]
    signature: str = ""


def signed(receipt: Receipt, people: People) -> Receipt:
    """Return a receipt with its signature."""
    return msgspec.structs.replace(receipt, signature=people.names.signature(_content(receipt)))


def is_genuine(receipt: Receipt, people: People) -> bool:
    """Tell whether a receipt was signed with a key of these names, and is unchanged."""
    return people.names.signed(_content(receipt), receipt.signature)


def export_of(person: Person, folder: Path, archive: Path, people: People) -> dict[str, Any]:
    """Return everything that the log and the archive have of a person, in the order of the log."""
    names = people.names_of(person.user, person.visitor)
    acts = [
        {"sequence": one.sequence} | msgspec.to_builtins(one.kept)
        for one in replay(folder)
        if one.kept.person in names
    ]
    return {
        "user": person.user,
        "visitor": person.visitor,
        "at": datetime.now(UTC),
        "names": names,
        "acts": acts,
        "archived": list(_archived(archive, names)),
    }


def releases_with(person: Person, releases: Path | None, people: People) -> tuple[str, ...]:
    """Return the releases that have a person among their users or in their purchases."""
    from index import Columns
    from retrieval.behaviour.tables import Behaviour

    names = {*people.names_of(person.user, person.visitor)}
    names |= {person.user} if person.user else set()
    found = []
    if releases is None:
        return ()
    for name in store.names(releases):
        folder = releases / name
        held = {*Columns.open(folder / USERS).ids}
        held |= {*Behaviour.open(folder / BEHAVIOUR).purchases.user_ids.tolist()}
        if names & held:
            found.append(name)
    return tuple(found)


def _content(receipt: Receipt) -> str:
    """Return what a signature is of: the receipt without it, in one form."""
    unsigned = msgspec.structs.replace(receipt, signature="")
    return msgspec.json.encode(unsigned, order="deterministic").decode()


def _archived(archive: Path, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for _, paths in archive_parts(archive, read_index(archive)):
        for path in paths:
            table = pq.read_table(path, partitioning=None)
            wanted = pc.is_in(table["user"], value_set=pa.array(names, pa.string()))
            yield from table.filter(wanted).to_pylist()
