"""Makes up searches from titles of products that were bought, for want of a log of queries."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32
from scipy import sparse

from pipelines.training.held_out_searches import judging_products, never_learnt
from pipelines.training.towers.examples import TitleWords, split_words

SEARCHES = 16_000  # made up; more take minutes to encode on two cores


class PartedSearches(NamedTuple):
    """Made-up searches: those that are learnt from, and those that judge what was learnt."""

    learnt: TitleWords
    judging: TitleWords  # of other products, in other words


def synthetic_queries(
    titles: Sequence[str],
    shares: Float32[np.ndarray, "n"],
    encode: Callable[[Sequence[str]], Float32[np.ndarray, "s v"]],
    seed: int,
) -> TitleWords | None:
    """Return searches of one or two words that stand side by side in the title of a product.

    Products are drawn by the square root of how often they are bought, so that seldom ones are
    searched for as well. None where no title has a word.
    """
    random = np.random.default_rng(seed)
    words = [split_words(title) for title in titles]
    numbers: dict[str, int] = {}
    held = [[numbers.setdefault(word, len(numbers)) for word in title] for title in words]
    named = np.array([len(title) > 0 for title in words])
    chance = np.sqrt(shares) * named
    if not chance.any():
        return None
    meant = np.sort(random.choice(len(titles), SEARCHES, p=chance / chance.sum()))
    spans = np.empty((len(meant), 2), np.int64)
    for place, row in enumerate(meant.tolist()):
        first = int(random.integers(len(held[row])))
        last = min(first + int(random.random() < 0.75), len(held[row]) - 1)
        spans[place] = held[row][first], held[row][last]
    _, kept = np.unique(np.column_stack([meant, spans]), axis=0, return_index=True)
    meant, spans = meant[kept], spans[kept]
    names = list(numbers)
    texts = [names[a] if a == b else f"{names[a]} {names[b]}" for a, b in spans.tolist()]
    distinct = list(dict.fromkeys(texts))
    place_of = {text: place for place, text in enumerate(distinct)}
    vectors = encode(distinct)[[place_of[text] for text in texts]]
    return TitleWords(_incidence(held, len(names)), spans, vectors, meant.astype(np.int64), texts)


def part(words: TitleWords, ids: Sequence[str]) -> PartedSearches:
    """Part searches by the product that they mean, so that none judges what has learnt from it.

    A search that judges has words that no search has which is learnt from.
    """
    judges = judging_products(ids)[words.meant]
    learnt = _those(words, ~judges)
    new = never_learnt(words.texts, set(learnt.texts))
    return PartedSearches(learnt, _those(words, judges & new))


def _those(words: TitleWords, kept: Bool[np.ndarray, "s"]) -> TitleWords:
    return words._replace(
        searches=words.searches[kept],
        vectors=words.vectors[kept],
        meant=words.meant[kept],
        texts=[words.texts[place] for place in np.flatnonzero(kept).tolist()],
    )


def _incidence(held: list[list[int]], num_words: int) -> sparse.csr_matrix:
    counts = [len(set(words)) for words in held]
    columns = np.array([word for words in held for word in sorted(set(words))], np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(len(columns), np.int8)
    return sparse.csr_matrix((ones, columns, starts), shape=(len(held), num_words))
