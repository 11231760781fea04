"""The retrieval stage: proposes candidates from the products as they are now."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TypeVar

import msgspec
import numpy as np
from jaxtyping import Bool, Int64

from pipelines.engine.stages.eligibility import Eligible
from pipelines.engine.stages.faults import FaultLog, StageFault
from pipelines.live.snapshot import CatalogueSnapshot
from retrieval import Candidates, Query
from retrieval.channels.checked import ChannelFault, checked
from retrieval.channels.image import ImageChannel
from retrieval.encoded_query import EncodedQuery
from retrieval.retriever import Retriever

CACHED_SNAPSHOTS = 2  # what is live now, and before

T = TypeVar("T")


class RetrievalStage:
    """A retriever over a release, with the changes of a snapshot laid over it."""

    def __init__(self, retriever: Retriever) -> None:
        self.tolerant = False  # whether the other channels answer where one fails
        self._faults = FaultLog()
        self._retriever = retriever
        self._at = lru_cache(CACHED_SNAPSHOTS)(partial(_over, retriever))
        self._checked_at = lru_cache(CACHED_SNAPSHOTS)(partial(_checked_over, retriever))
        self.searches_words = bool(retriever.word_channels)

    def at(self, snapshot: CatalogueSnapshot) -> Retriever:
        """Return the retriever as it answers at the moment of a snapshot."""
        return self._at(snapshot)

    def permitted(self, snapshot: CatalogueSnapshot, text: str) -> Bool[np.ndarray, "n"] | None:
        """Return which products the operators of a search permit; None: it has none."""
        return self.at(snapshot).permitted(EncodedQuery(text=text))

    def retrieve(self, encoded: EncodedQuery, eligible: Eligible, limit: int) -> Candidates:
        """Return at most `limit` candidates, best first; given ones are all returned.

        StageFault where the stage is tolerant and no channel answers.
        """

        def alone(retriever: Retriever) -> tuple[Candidates, None]:
            return _candidates(encoded, eligible, limit, retriever), None

        return self._answered(eligible, alone)[0]

    def retrieve_by_words(
        self, query: Query, encoded: EncodedQuery, eligible: Eligible, limit: int
    ) -> Candidates:
        """Return the candidates of a search by its words alone; `silent` names the others.

        StageFault where the channel of words fails.
        """
        retriever = self._checked_at(eligible.snapshot)
        others = set(retriever.channels(searching=True)) - set(retriever.word_channels)
        try:
            found = _candidates(encoded, eligible, limit, retriever.without(others))
        except ChannelFault as e:
            raise StageFault("retrieve") from e
        silent = tuple(n for n in self.channels_for(query) if n not in retriever.word_channels)
        return msgspec.structs.replace(found, silent=silent)

    def channels_for(self, query: Query) -> tuple[str, ...]:
        """Return the names of the channels that can have something to say about a request."""
        names = self._retriever.channels(searching=query.is_search)
        return tuple(n for n in names if n != ImageChannel.name or query.image is not None)

    def retrieve_all(
        self, encoded: EncodedQuery, eligible: Eligible, limit: int
    ) -> tuple[Candidates, Int64[np.ndarray, "m"] | None]:
        """Return candidates as `retrieve` does, and all rows that hold every word of a search.

        None instead of rows: the request has no words.
        """

        def both(retriever: Retriever) -> tuple[Candidates, Int64[np.ndarray, "m"] | None]:
            matching = retriever.matching(encoded)
            return _candidates(encoded, eligible, limit, retriever), matching

        return self._answered(eligible, both)

    def _answered(
        self, eligible: Eligible, answer: Callable[[Retriever], tuple[Candidates, T]]
    ) -> tuple[Candidates, T]:
        """Return an answer, of the channels that do not fail where the stage is tolerant."""
        if not self.tolerant:
            return answer(self.at(eligible.snapshot))
        retriever, failed = self._checked_at(eligible.snapshot), dict[str, ChannelFault]()
        while True:
            try:
                candidates, rest = answer(retriever.without(failed) if failed else retriever)
            except ChannelFault as e:
                self._faults.report(str(e), e)
                failed[e.channel] = e
                continue
            if not failed:
                return candidates, rest
            if not candidates.positions:
                raise StageFault("retrieve") from next(iter(failed.values()))
            return msgspec.structs.replace(candidates, silent=tuple(failed)), rest


def _candidates(
    encoded: EncodedQuery, eligible: Eligible, limit: int, retriever: Retriever
) -> Candidates:
    if eligible.given is None:
        return retriever.retrieve(encoded, limit)
    return retriever.order(encoded, eligible.given)


def _over(retriever: Retriever, snapshot: CatalogueSnapshot) -> Retriever:
    return snapshot.over(retriever)


def _checked_over(retriever: Retriever, snapshot: CatalogueSnapshot) -> Retriever:
    return snapshot.over(retriever).over(checked)
