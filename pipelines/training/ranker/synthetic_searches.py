"""Makes up searches for past baskets: some to learn from, others to judge what was learnt."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from pipelines.shop.purchases.log import Basket
from pipelines.training.held_out_searches import judging_products, never_learnt

SEARCH_SHARE = 0.2  # of training requests are also asked in words


class SyntheticSearch(NamedTuple):
    """A search made up from the words of a product that was then bought."""

    text: str
    vector: Float32[np.ndarray, "d"]
    row: int


class SyntheticSearches:
    """Makes up searches of two neighbouring words of the title of a product that was bought.

    To be asked for windows to learn from first: what judges is for other products, in words of
    which no search was learnt from.
    """

    def __init__(
        self,
        ids: Sequence[str],
        titles: Sequence[str],
        encode: Callable[[Sequence[str]], Float32[np.ndarray, "q d"]],
        random: np.random.Generator,
    ) -> None:
        self._judging = judging_products(ids)
        self._titles = titles
        self._encode = encode
        self._learnt: set[str] = set()
        self._random = random

    def for_some_of(
        self, baskets: Sequence[Basket], *, judging: bool
    ) -> dict[str, SyntheticSearch]:
        """Return a search for some of the baskets, by shopper."""
        meant = {
            basket.user_id: int(self._random.choice(rows))
            for basket in baskets
            if len(rows := self._fit(basket, judging=judging))
            and self._random.random() < SEARCH_SHARE
        }
        texts = [_words(str(self._titles[row]), self._random) for row in meant.values()]
        fit = never_learnt(texts, self._learnt) if judging else np.ones(len(texts), bool)
        asked = {
            user: (row, text)
            for (user, row), text, kept in zip(meant.items(), texts, fit, strict=True)
            if kept
        }
        if not judging:
            self._learnt.update(texts)
        vectors = self._encode([text for _, text in asked.values()])
        return {
            user: SyntheticSearch(text, vector, row)
            for (user, (row, text)), vector in zip(asked.items(), vectors, strict=True)
        }

    def _fit(self, basket: Basket, *, judging: bool) -> Int64[np.ndarray, "b"]:
        fit: np.ndarray = basket.rows[self._judging[basket.rows] == judging]
        return fit


def _words(title: str, random: np.random.Generator) -> str:
    words = title.replace(",", " ").split()
    start = int(random.integers(0, max(len(words) - 1, 1)))
    return " ".join(words[start : start + 2])
