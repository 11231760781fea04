import numpy as np
import pytest

from index import ExactIndex
from retrieval.channels.towers import TowersChannel
from retrieval.encoded_query import EncodedQuery

VECTORS = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], np.float32)
ROWS = np.arange(4)


@pytest.fixture
def channel() -> TowersChannel:
    return TowersChannel(ExactIndex(VECTORS), VECTORS, 0.1)


def test_a_product_counts_by_the_nearest_of_several_interests(channel: TowersChannel) -> None:
    both = EncodedQuery(interests=np.array([[1, 0], [0, 1]], np.float32))

    scores = channel.score(both, ROWS)
    hits = channel.propose(both, 4)

    assert scores is not None
    assert hits is not None
    assert scores == pytest.approx(np.exp((np.array([1, 0.8, 1, 0]) - 1) / 0.1))
    assert hits.rows.tolist() == [0, 2, 1, 3]
    assert hits.scores.tolist() == scores[hits.rows].tolist()


def test_what_is_not_allowed_is_not_proposed(channel: TowersChannel) -> None:
    ask = EncodedQuery(
        interests=np.array([[1, 0]], np.float32), allowed=np.array([False, True, True, True])
    )

    hits = channel.propose(ask, 2)

    assert hits is not None
    assert hits.rows.tolist() == [1, 2]


@pytest.mark.parametrize("interests", [None, np.zeros((0, 2), np.float32)])
def test_towers_that_were_not_asked_say_nothing(
    channel: TowersChannel, interests: np.ndarray | None
) -> None:
    ask = EncodedQuery(interests=interests)

    assert channel.propose(ask, 3) is None
    assert channel.score(ask, ROWS) is None
