"""The protocol of a channel."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import Hits, WordMatches
from retrieval.encoded_query import EncodedQuery


@runtime_checkable
class Channel(Protocol):
    """One reason to propose products. None means that the request is not for this channel."""

    @property
    def name(self) -> str:
        """How explanations call the channel."""
        ...

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the best `k` products of the channel."""
        ...

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return the channel's score of each given row, 0 for no opinion."""
        ...


@runtime_checkable
class WordChannel(Channel, Protocol):
    """A channel that also tells which words of a request each product holds."""

    def matches(self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]) -> WordMatches:
        """Return the share of the request's words that each row holds."""
        ...

    def holding_all(self, ask: EncodedQuery) -> Int64[np.ndarray, "m"]:
        """Return, ascending, every allowed row that holds all words of the request."""
        ...

    def permitted(self, ask: EncodedQuery) -> Bool[np.ndarray, "n"] | None:
        """Return which rows the request's operators permit; None: it has none."""
        ...
