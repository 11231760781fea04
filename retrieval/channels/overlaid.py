"""Extends a channel to products that were changed or added after the release was built."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import DeltaIndex, Hits, WordMatches
from index.top_k import best
from retrieval.channels.types import Channel, WordChannel
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

    def matches(self, text: str) -> WordMatches:
        """Return the share of the query's words that each row holds."""
        matches = self.words.matches(text, self.size)
        return WordMatches(*(column[self.places] for column in matches))

    def holding_all(self, text: str) -> Bool[np.ndarray, "m"]:
        """Return which rows hold all words of the query."""
        return np.asarray(self.words.holding_all(text, self.size)[self.places])

    def holds_new(self, text: str) -> bool:
        """Tell whether some row holds a word of the query that no row of the release has."""
        return bool(self.words.holding_new(text, self.size)[self.places].any())

    def permitted(self, text: str) -> Bool[np.ndarray, "m"] | None:
        """Return which rows the query's operators permit; None: it has none."""
        permitted = self.words.permitted(text, self.size)
        return None if permitted is None else permitted[self.places]


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
        known = self._known(rows)
        found = self._channel.score(self._of_channel(ask), rows[known])
        if found is None:
            return None
        scores[known] = found
        beside = None if self._segment is None else self._segment.scores(ask)
        if beside is not None and self._segment is not None and len(beside):
            held, places = self._in_segment(self._segment.rows, rows)
            scores[held] = beside[places]
        return scores

    def _known(self, rows: Int64[np.ndarray, "c"]) -> Bool[np.ndarray, "c"]:
        """Return which rows are as the channel knows them."""
        known = rows < self._size
        if self._fresh is not None:
            known[known] = self._fresh[rows[known]]
        return np.asarray(known)

    def _in_segment(
        self, changed: Int64[np.ndarray, "m"], rows: Int64[np.ndarray, "c"]
    ) -> tuple[Bool[np.ndarray, "c"], Int64[np.ndarray, "h"]]:
        """Return which rows the delta index holds, and the place there of each of those."""
        places = np.searchsorted(changed, rows).clip(max=len(changed) - 1)
        held = ~self._known(rows) & (changed[places] == rows)
        return held, places[held]

    def _of_channel(self, ask: EncodedQuery) -> EncodedQuery:
        """Return the request as the channel understands it: about the rows that it has."""
        allowed = None if ask.allowed is None else ask.allowed[: self._size]
        if self._fresh is not None:
            allowed = self._fresh if allowed is None else allowed & self._fresh
        return ask._replace(allowed=allowed)


class OverlaidWordChannel(OverlaidChannel):
    """The channel of words over built rows, and beside it the words of changed and later rows."""

    def __init__(
        self,
        channel: WordChannel,
        size: int,
        segment: WordSegment,
        fresh: Bool[np.ndarray, "n"] | None = None,
        *,
        num_rows: int,
    ) -> None:
        """Know `size` rows of the channel as OverlaidChannel does; there are `num_rows` in all."""
        super().__init__(channel, size, segment, fresh)
        self._words = channel
        self._changed = segment
        self._num_rows = num_rows

    def matches(self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]) -> WordMatches:
        """Return the share of the request's words that each row holds."""
        found = WordMatches(*np.zeros((len(WordMatches._fields), len(rows)), np.float32))
        known = self._known(rows)
        built, changed = self._words.matches(ask, rows[known]), self._changed.matches(ask.text)
        for shares, of_built, of_changed in zip(found, built, changed, strict=True):
            shares[known] = of_built
            if len(of_changed):
                held, places = self._in_segment(self._changed.rows, rows)
                shares[held] = of_changed[places]
        return found

    def holding_all(self, ask: EncodedQuery) -> Int64[np.ndarray, "m"]:
        """Return, ascending, every allowed row that holds all words of the request."""
        beside = self._changed.rows[self._changed.holding_all(ask.text)]
        if ask.allowed is not None:
            beside = beside[ask.allowed[beside]]
        if self._changed.holds_new(ask.text):
            return np.asarray(beside)
        return np.union1d(self._words.holding_all(self._of_channel(ask)), beside)

    def permitted(self, ask: EncodedQuery) -> Bool[np.ndarray, "n"] | None:
        """Return which rows the request's operators permit; None: it has none."""
        built, changed = self._words.permitted(ask), self._changed.permitted(ask.text)
        if built is None or changed is None:
            return built
        mask = np.concatenate([built, np.zeros(self._num_rows - len(built), bool)])
        mask[self._changed.rows] = changed
        return mask
