import numpy as np

from retrieval.channels.catalogue import CatalogueChannel
from retrieval.encoded_query import EncodedQuery


def test_each_category_has_its_turn_the_largest_first() -> None:
    channel = CatalogueChannel(np.array([0, 1, 1, 1, 0, 2], np.int32))

    hits = channel.propose(EncodedQuery(), 6)

    assert hits is not None
    assert hits.rows.tolist() == [1, 0, 5, 2, 4, 3]


def test_only_what_may_be_shown_is_proposed() -> None:
    channel = CatalogueChannel(np.array([0, 0, 1], np.int32))

    hits = channel.propose(EncodedQuery(allowed=np.array([False, True, True])), 2)

    assert hits is not None
    assert hits.rows.tolist() == [2, 1]
