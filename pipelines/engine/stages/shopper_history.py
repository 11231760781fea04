"""What a shopper did before a request, known from the release and from the acts since."""

from collections.abc import Sequence

from pipelines.config.place import ShopPlace
from pipelines.events.archived import archived_upto
from pipelines.events.kept_act import visitor_name
from pipelines.events.live_history import LiveHistory
from pipelines.events.profiles import ProfileLine, Profiles
from pipelines.release.manifest import Manifest
from pipelines.release.parts import Parts
from retrieval import EventType, Query
from retrieval.behaviour.purchases import NO_HISTORY, History
from retrieval.encoded_query import NO_VISIT, Visit


class ShopperHistory:
    """The histories of one release, joined with the profiles where there are any."""

    def __init__(
        self, parts: Parts, manifest: Manifest, place: ShopPlace, profiles: Profiles | None
    ) -> None:
        self._parts = parts
        self._profiles = profiles
        self._kind = kind_of(manifest)
        self._live = LiveHistory(self._rows_of, place, self._kind)
        self._manifest = manifest

    def of(self, query: Query, at_seconds: int) -> tuple[History, Visit]:
        """Return what the shopper of a request did before it, oldest first, and in this visit.

        Acts without consent for the purpose of this request are not looked at.
        """
        if self._profiles is None:
            return self._parts.behaviour.history(query.user, at_seconds), NO_VISIT
        kept = _kept_names(query, self._profiles)
        released = self._released(query.user, kept, at_seconds)
        lines = self._lines(query, kept, self._profiles)
        return self._live.joined(released, lines, at_seconds, now=query.scene.at is None)

    def _released(self, user: str | None, kept: Sequence[str], at_seconds: int) -> History:
        """Return the history that the release has under a shopper's id, else under a name."""
        for name in (user, *kept):
            history = self._parts.behaviour.history(name, at_seconds)
            if len(history.rows):
                return history
        return NO_HISTORY

    def _lines(self, query: Query, kept: Sequence[str], profiles: Profiles) -> list[ProfileLine]:
        """Return the acts that this request may use and that the release does not hold.

        A visitor's acts that a later login gave to a user stand under the visitor in a release.
        """
        names = profiles.names
        lines = profiles.lines(names.users(query.user), names.visitors(query.visitor))
        if not lines:
            return []
        purpose = "search" if query.is_search else "recommend"
        upto = archived_upto(self._manifest.shop, profiles.log)
        return [
            line
            for line in lines
            if purpose in line.purposes
            and not (line.person in kept and self._is_released(line, upto))
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


def _kept_names(query: Query, profiles: Profiles) -> tuple[str, ...]:
    """Return the names under which an archive has whoever asks, the newest first."""
    if query.user is not None:
        return profiles.names.users(query.user)
    return tuple(visitor_name(one) for one in profiles.names.visitors(query.visitor))


def kind_of(manifest: Manifest) -> EventType:
    """Return the type of event that a release's baskets are made of."""
    kinds = (one.measured["events"] for one in manifest.stages.values() if "events" in one.measured)
    return EventType(next(kinds, EventType.PURCHASE))
