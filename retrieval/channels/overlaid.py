"""Extends a channel to products that were changed or added after the release was built."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import DeltaIndex, Hits
from index.top_k import best
from retrieval.channels.types import Channel
from retrieval.encoded_query import EncodedQuery


@runtime_checkable
class Segment(Protocol):
    """A delta index: rows that changed or were added after the build; all of them are scored."""

    @property
    def rows(self) -> Int64[np.ndarray, "m"]:
        """Which rows these are, ascending."""
        ...

    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "m"] | None:
        """Return the channel's score of each; 0 or None as the channel says it."""
        ...


class VectorSegment(NamedTuple):
    """A delta index of vectors in the joined space, compared one by one."""

    rows: Int64[np.ndarray, "m"]
    vectors: Float32[np.ndarray, "c d"]
    places: Int64[np.ndarray, "m"]  # of each row's vector

    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "m"] | None:
        """Return cosines with the query."""
        if ask.joined_vector is None:
            return None
        return np.asarray((self.vectors @ ask.joined_vector)[self.places], np.float32)


class WordSegment(NamedTuple):
    """A delta index of words, scored with the statistics of the main index."""

    rows: Int64[np.ndarray, "m"]
    words: DeltaIndex
    size: int  # documents that were there when this was made
    places: Int64[np.ndarray, "m"]

    def scores(self, ask: EncodedQuery) -> Float32[np.ndarray, "m"] | None:
        """Return BM25."""
        if not ask.text.strip():
            return None
        return np.asarray(self.words.scores(ask.text, self.size)[self.places])


class OverlaidChannel:
    """A channel over built rows, and beside it a delta index of changed and later rows.

    Without a delta index, built rows keep their score and later rows have none.
    """

    def __init__(
        self,
        channel: Channel,
        size: int,
        segment: Segment | None = None,
        fresh: Bool[np.ndarray, "n"] | None = None,
    ) -> None:
        """Know `size` rows of the channel, of which those that are `fresh` are as it knows them."""
        self._channel = channel
        self._size = size
        self._segment = segment
        self._fresh = fresh

    @property
    def name(self) -> str:
        """How explanations call the channel."""
        return self._channel.name

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the best `k` of both, ties by the lower row."""
        known = self._channel.propose(self._of_channel(ask), k)
        scores = None if self._segment is None else self._segment.scores(ask)
        if known is None or scores is None or self._segment is None:
            return known
        keep = scores != 0
        if ask.allowed is not None:
            keep &= ask.allowed[self._segment.rows]
        rows = np.concatenate([known.rows, self._segment.rows[keep]])
        found = best(rows, np.concatenate([known.scores, scores[keep]]), k)
        return Hits(found.rows, found.scores, known.plan)  # of the rows beside it every one is seen

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return the score of each row, 0 where nobody has an opinion."""
        scores = np.zeros(len(rows), np.float32)
        known = rows < self._size
        if self._fresh is not None:
            known[known] = self._fresh[rows[known]]
        found = self._channel.score(self._of_channel(ask), rows[known])
        if found is None:
            return None
        scores[known] = found
        beside = None if self._segment is None else self._segment.scores(ask)
        if beside is not None and self._segment is not None and len(beside):
            places = np.searchsorted(self._segment.rows, rows).clip(max=len(beside) - 1)
            held = ~known & (self._segment.rows[places] == rows)
            scores[held] = beside[places[held]]
        return scores

    def _of_channel(self, ask: EncodedQuery) -> EncodedQuery:
        """Return the request as the channel understands it: about the rows that it has."""
        allowed = None if ask.allowed is None else ask.allowed[: self._size]
        if self._fresh is not None:
            allowed = self._fresh if allowed is None else allowed & self._fresh
        return ask._replace(allowed=allowed)
