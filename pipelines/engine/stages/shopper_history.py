"""What a shopper did before a request, known from the release and from the acts since."""

from collections.abc import Sequence
from functools import lru_cache, partial

from pipelines.config.place import ShopPlace
from pipelines.config.sections import ConsentConfig
from pipelines.engine.request import declared, purpose_of
from pipelines.events.archived import archived_upto
from pipelines.events.profiles.live_history import LiveHistory
from pipelines.events.profiles.profiles import ProfileLine, Profiles, usable
from pipelines.people.people import VISITOR
from pipelines.release.manifest import Manifest
from pipelines.release.parts import Parts
from retrieval import EventType, Query
from retrieval.behaviour.purchases import NO_HISTORY, History
from retrieval.encoded_query import NO_VISIT, Visit
from retrieval.types import local_seconds

CACHED_SHOPPERS = 4_096  # with what is declared of them, which no act changes


class ShopperHistory:
    """The histories of one release, joined with the profiles where there are any."""

    def __init__(
        self,
        parts: Parts,
        manifest: Manifest,
        place: ShopPlace,
        profiles: Profiles | None,
        unset: ConsentConfig,
    ) -> None:
        """Read the history of who said nothing of a purpose as `unset` means it."""
        self._unset = unset
        self._parts = parts
        self._profiles = profiles
        self._place = place
        self._kind = kind_of(manifest)
        self._live = LiveHistory(self._rows_of, place, self._kind)
        self._manifest = manifest
        self._declared = lru_cache(CACHED_SHOPPERS)(partial(declared, parts.users))

    def of(self, query: Query, at_seconds: int) -> tuple[History, Visit]:
        """Return what the shopper of a request did before it, oldest first, and in this visit.

        Acts without consent for the purpose of this request are not looked at.
        """
        purpose = purpose_of(query)
        allows = self._allows(query.user, purpose)
        if allows is False:
            return NO_HISTORY, NO_VISIT
        kept = () if self._profiles is None else _kept_names(query, self._profiles)
        released = NO_HISTORY
        if allows or getattr(self._unset, purpose) == "granted":
            released = self._released(_own_name(query), kept, at_seconds)
        if self._profiles is None:
            return released, NO_VISIT
        end = self._profiles.people.ledger.end_of(purpose, kept)
        if end is not None:
            released = _after(released, local_seconds(self._place.local(end)))
        lines = self._lines(query, kept, self._profiles)
        return self._live.joined(released, lines, at_seconds, now=query.scene.at is None)

    def traits(self, query: Query) -> dict[str, str]:
        """Return what is declared of the shopper of a request, as far as it may be used for it."""
        record = self._declared(query.user)
        if record is None or not record["consent"][purpose_of(query)]:
            return {}
        assert query.user is not None, "nobody without an id is declared"
        if self._profiles is not None:
            people = self._profiles.people
            if people.ledger.erased_at(people.names.users(query.user)) is not None:
                return {}
        return dict(record["traits"])

    def _allows(self, user: str | None, purpose: str) -> bool | None:
        """Tell whether a shopper who is declared allows a purpose; None of everybody else."""
        record = self._declared(user)
        return None if record is None else bool(record["consent"][purpose])

    def _released(self, own: str | None, kept: Sequence[str], at_seconds: int) -> History:
        """Return the history that the release has under a shopper's own name, else another."""
        for name in (own, *kept):
            history = self._parts.behaviour.history(name, at_seconds)
            if len(history.rows):
                return history
        return NO_HISTORY

    def _lines(self, query: Query, kept: Sequence[str], profiles: Profiles) -> list[ProfileLine]:
        """Return the acts that this request may use and that the release does not hold.

        A visitor's acts that a later login gave to a user stand under the visitor in a release.
        """
        names, ledger = profiles.people
        lines = profiles.lines(names.users(query.user), names.visitors(query.visitor))
        if not lines:
            return []
        upto = archived_upto(self._manifest.shop, profiles.log)
        return [
            line
            for line in usable(lines, purpose_of(query), ledger)
            if not (line.person in kept and self._is_released(line, upto))
        ]

    def _is_released(self, line: ProfileLine, upto: int) -> bool:
        """Tell whether the release's history has an act that its build read from the archive."""
        if line.sequence > upto or "train" not in line.purposes:
            return False
        if line.type not in (self._kind, EventType.REFUND):
            return False
        return self._live.seconds(line.at_ms) < self._parts.behaviour.until_seconds

    def _rows_of(self, ids: list[str]) -> dict[str, int]:
        rows, missing = self._parts.products.rows_of(ids)
        absent = set(missing)
        known = [name for name in ids if name not in absent]
        return dict(zip(known, rows.tolist(), strict=True))


def _own_name(query: Query) -> str | None:
    """Return the name under which a shop's own files have whoever asks."""
    if query.user is None and query.visitor is not None:
        return VISITOR + query.visitor
    return query.user


def _kept_names(query: Query, profiles: Profiles) -> tuple[str, ...]:
    """Return the names under which an archive has whoever asks, the newest first."""
    people = profiles.people
    if query.user is not None:
        return people.names_of(query.user, None)
    return people.names_of(None, query.visitor)


def _after(history: History, seconds: int) -> History:
    """Return what was bought after a moment."""
    later = history.seconds > seconds
    return History(*(column[later] for column in history))


def kind_of(manifest: Manifest) -> EventType:
    """Return the type of event that a release's baskets are made of."""
    kinds = (one.measured["events"] for one in manifest.stages.values() if "events" in one.measured)
    return EventType(next(kinds, EventType.PURCHASE))
