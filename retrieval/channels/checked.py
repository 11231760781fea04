"""A channel whose failure is told by its name, so that the others can answer without it."""

from math import isnan
from typing import NoReturn

import numpy as np
from jaxtyping import Bool, Float32, Int64

from index import Hits, WordMatches
from retrieval.channels.types import Channel, WordChannel
from retrieval.encoded_query import EncodedQuery


class ChannelFault(Exception):
    """A channel raised an error, which is the cause, or gave something that is not a number."""

    def __init__(self, channel: str) -> None:
        super().__init__(f"the channel {channel!r} failed")
        self.channel = channel


class CheckedChannel:
    """A channel, with each of its errors as a ChannelFault."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def name(self) -> str:
        """How explanations call the channel."""
        return self._channel.name

    def propose(self, ask: EncodedQuery, k: int) -> Hits | None:
        """Return the best `k` products of the channel."""
        try:
            hits = self._channel.propose(ask, k)
        except Exception as e:
            self._fail(e)
        if hits is not None:
            self._check(hits.scores)
        return hits

    def score(
        self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]
    ) -> Float32[np.ndarray, "c"] | None:
        """Return the channel's score of each given row, 0 for no opinion."""
        try:
            scores = self._channel.score(ask, rows)
        except Exception as e:
            self._fail(e)
        if scores is not None:
            self._check(scores)
        return scores

    def _check(self, scores: Float32[np.ndarray, "c"]) -> None:
        if isnan(scores.sum()):
            raise ChannelFault(self.name)

    def _fail(self, error: Exception) -> NoReturn:
        raise ChannelFault(self.name) from error


class CheckedWordChannel(CheckedChannel):
    """A channel of words, with each of its errors as a ChannelFault."""

    def __init__(self, channel: WordChannel) -> None:
        super().__init__(channel)
        self._words = channel

    def matches(self, ask: EncodedQuery, rows: Int64[np.ndarray, "c"]) -> WordMatches:
        """Return the share of the request's words that each row holds."""
        try:
            return self._words.matches(ask, rows)
        except Exception as e:
            self._fail(e)

    def holding_all(self, ask: EncodedQuery) -> Int64[np.ndarray, "m"]:
        """Return, ascending, every allowed row that holds all words of the request."""
        try:
            return self._words.holding_all(ask)
        except Exception as e:
            self._fail(e)

    def permitted(self, ask: EncodedQuery) -> Bool[np.ndarray, "n"] | None:
        """Return which rows the request's operators permit; None: it has none."""
        try:
            return self._words.permitted(ask)
        except Exception as e:
            self._fail(e)


def checked(channel: Channel) -> Channel:
    """Return a channel whose errors are told by its name."""
    if isinstance(channel, WordChannel):
        return CheckedWordChannel(channel)
    return CheckedChannel(channel)
