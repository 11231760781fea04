"""Words of products that changed or came after the build."""

from pathlib import Path

import numpy as np
import pytest

from index import DeltaIndex, LexicalIndex
from retrieval.channels.lexical import LexicalChannel
from retrieval.channels.overlaid import OverlaidWordChannel, WordSegment
from retrieval.encoded_query import EncodedQuery


@pytest.fixture
def channel(tmp_path: Path) -> OverlaidWordChannel:
    """Three rows of a release, of which row 1 has new words, and one row that is new."""
    titles = [{"title": title} for title in ("oat milk", "oat drink", "rye bread")]
    index = LexicalIndex.build(tmp_path / "x", {"title": 2.0}, titles)
    delta = DeltaIndex(index)
    for title in ("rye crisp", "oat milk barista"):
        delta.add({"title": title})
    segment = WordSegment(np.array([1, 3]), delta, delta.size, np.array([0, 1]))
    fresh = np.array([True, False, True])
    return OverlaidWordChannel(LexicalChannel(index), 3, segment, fresh, num_rows=4)


def test_changed_and_new_rows_hold_their_new_words(channel: OverlaidWordChannel) -> None:
    matches = channel.matches(EncodedQuery(text="oat milk"), np.array([3, 2, 1, 0]))

    assert matches.named.tolist() == [1, 0, 0, 1]


def test_all_rows_that_hold_all_words_are_told(channel: OverlaidWordChannel) -> None:
    oat, rye = EncodedQuery(text="oat milk"), EncodedQuery(text="rye")
    allowed = np.array([True, False, True, True])

    assert channel.holding_all(oat).tolist() == [0, 3]
    assert channel.holding_all(rye).tolist() == [1, 2]
    assert channel.holding_all(rye._replace(allowed=allowed)).tolist() == [2]


def test_operators_are_obeyed_by_changed_and_new_rows(channel: OverlaidWordChannel) -> None:
    permitted = channel.permitted(EncodedQuery(text="oat -barista -rye"))

    assert permitted is not None
    assert permitted.tolist() == [True, False, False, False]
    assert channel.permitted(EncodedQuery(text="oat")) is None


def test_a_word_that_only_changed_rows_have_is_one_of_all_words(
    channel: OverlaidWordChannel,
) -> None:
    assert channel.holding_all(EncodedQuery(text="oat barista")).tolist() == [3]
    assert channel.holding_all(EncodedQuery(text="rye crisp")).tolist() == [1]
    assert channel.holding_all(EncodedQuery(text="crisp barista")).tolist() == []


def test_a_rewritten_product_is_scored_by_the_words_that_it_has_now(
    channel: OverlaidWordChannel,
) -> None:
    rows = np.array([3, 2, 1, 0])

    drink = channel.score(EncodedQuery(text="drink"), rows)
    crisp = channel.score(EncodedQuery(text="crisp"), rows)
    oat = channel.score(EncodedQuery(text="oat"), rows)

    assert drink is not None
    assert crisp is not None
    assert oat is not None
    assert drink.tolist() == [0, 0, 0, 0]  # row 1 had this word when the release was built
    assert np.flatnonzero(crisp).tolist() == [2]
    assert np.flatnonzero(oat).tolist() == [0, 3]


def test_a_rewritten_product_is_proposed_by_the_words_that_it_has_now(
    channel: OverlaidWordChannel,
) -> None:
    oat = channel.propose(EncodedQuery(text="oat"), 4)
    rye = channel.propose(EncodedQuery(text="rye"), 4)
    drink = channel.propose(EncodedQuery(text="drink"), 4)

    assert oat is not None
    assert rye is not None
    assert drink is not None
    assert [set(hits.rows.tolist()) for hits in (oat, rye, drink)] == [{0, 3}, {1, 2}, set()]
