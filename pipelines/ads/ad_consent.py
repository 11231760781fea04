"""Consent to ads: what a request says, what the shopper said in events, and what silence means."""

from pipelines.config.sections import ConsentConfig
from pipelines.events.profiles.profiles import Profiles
from pipelines.people.people import VISITOR
from retrieval import Query
from retrieval.types import ConsentState


class AdConsent:
    """Tells whether whoever asks allows ads; called from several threads."""

    def __init__(self, unset: ConsentConfig, profiles: Profiles | None = None) -> None:
        """Take silence for what `unset` says, but of who denied ads in an event of `profiles`."""
        self._unset = unset.ads == "granted"
        self._profiles = profiles

    def of(self, query: Query) -> bool:
        """Return whether a request allows ads.

        What it says counts. Silence is a denial of who withdrew ads, was erased, or has a recent
        act that may not be used for ads: only a request can grant them again.
        """
        if query.ads_consent is not ConsentState.UNSET:
            return query.ads_consent is ConsentState.GRANTED
        return self._unset and not self._denied(query)

    def name_of(self, query: Query) -> str:
        """Return the name of whoever asks, as the ledger of people has it; "" of nobody.

        A visitor stands before a user, because not every request of a visitor names the user.
        """
        if self._profiles is None:
            return query.visitor or query.user or ""
        names = self._profiles.people.names
        if query.visitor:
            return VISITOR + names.visitor(query.visitor)
        return names.user(query.user) if query.user else ""

    def _denied(self, query: Query) -> bool:
        if self._profiles is None:
            return False
        names, ledger = self._profiles.people
        if ledger.end_of("ads", self._profiles.people.names_of(query.user, query.visitor)):
            return True
        users, visitors = names.users(query.user), names.visitors(query.visitor)
        return self._profiles.withholds("ads", users, visitors)
