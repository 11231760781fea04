"""The retrieval stage: proposes candidates from the products as they are now."""

from functools import lru_cache, partial

import numpy as np
from jaxtyping import Int64

from pipelines.engine.stages.eligibility import Eligible
from pipelines.live.snapshot import CatalogueSnapshot
from retrieval import Candidates
from retrieval.encoded_query import EncodedQuery
from retrieval.retriever import Retriever

CACHED_SNAPSHOTS = 2  # what is live now, and before


class RetrievalStage:
    """A retriever over a release, with the changes of a snapshot laid over it."""

    def __init__(self, retriever: Retriever) -> None:
        self._at = lru_cache(CACHED_SNAPSHOTS)(partial(_over, retriever))

    def at(self, snapshot: CatalogueSnapshot) -> Retriever:
        """Return the retriever as it answers at the moment of a snapshot."""
        return self._at(snapshot)

    def retrieve(self, encoded: EncodedQuery, eligible: Eligible, limit: int) -> Candidates:
        """Return at most `limit` candidates, best first; given ones are all returned."""
        retriever = self.at(eligible.snapshot)
        if eligible.given is None:
            return retriever.retrieve(encoded, limit)
        return retriever.order(encoded, eligible.given)

    def retrieve_all(
        self, encoded: EncodedQuery, eligible: Eligible, limit: int
    ) -> tuple[Candidates, Int64[np.ndarray, "m"] | None]:
        """Return candidates as `retrieve` does, and all rows that hold every word of a search.

        None instead of rows: the request has no words.
        """
        candidates = self.retrieve(encoded, eligible, limit)
        return candidates, self.at(eligible.snapshot).matching(encoded)


def _over(retriever: Retriever, snapshot: CatalogueSnapshot) -> Retriever:
    return snapshot.over(retriever)
