"""Nearest products under a filter that an index may read itself."""

from typing import Any

import numpy as np
import pytest

from index import FilterPlan, Hits, Way, parse
from retrieval.channels.nearest import nearest
from retrieval.encoded_query import EncodedQuery


class SelfFilteringIndex:
    """Three rows; remembers whether it was given a filter or rows."""

    dim, size = 2, 3

    def __init__(self) -> None:
        self.given = ""

    def search(self, queries: Any, k: int, allowed: Any = None) -> list[Hits]:
        self.given = "rows"
        rows = np.flatnonzero(allowed)
        return [Hits(rows, np.ones(len(rows), np.float32))]

    def search_where(self, queries: Any, k: int, where: Any) -> list[Hits]:
        self.given = "filter"
        return [Hits(np.arange(3), np.ones(3, np.float32))]

    def plan(self, allowed: Any, found: int, k: int) -> FilterPlan:
        return FilterPlan(way=Way.SELECT, passed=1, of=3, effort=1, exactness=1.0)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("price > 1", "filter"),
        ('attributes.size: ANY("42")', "filter"),
        ("attributes.size > 40", "rows"),  # the index holds no numbers of attributes
        ('NOT (brand: ANY("A") OR attributes.size: IN(1, 2))', "rows"),
    ],
)
def test_an_index_is_given_only_the_filters_that_its_columns_can_answer(
    text: str, given: str
) -> None:
    index = SelfFilteringIndex()
    ask = EncodedQuery(allowed=np.array([True, False, True]), where=parse(text))

    hits = nearest(index, np.ones(2, np.float32), 3, ask)

    assert index.given == given
    assert hits.rows.tolist() == [0, 2]
