"""Tells whether the towers find what a search is for, better than without them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from pipelines.config.sections import Config
from pipelines.metrics.intervals import Interval, mean_interval
from pipelines.release.parts import Parts
from pipelines.release.retriever import retriever, with_interests
from pipelines.shop.purchases.log import Basket
from pipelines.training.towers.examples import TitleWords
from retrieval import Placement, Scene
from retrieval.behaviour.tables import Behaviour
from retrieval.context_facts import hashed_facts
from retrieval.encoded_query import EncodedQuery

PAGE = 100  # products that are looked through for the one that was meant
MOST_SEARCHES = 300


class SearchQuality(NamedTuple):
    """What searches reach: the mean of 1 / position of the product that was meant and bought."""

    without: float
    difference: Interval
    num_searches: int  # that were asked

    @property
    def helps(self) -> bool:
        """Whether the towers are better, beyond chance."""
        return self.difference.low > 0


def compare_searches(
    parts: Parts,
    behaviour: Behaviour,
    baskets: list[Basket],
    traits: dict[str, dict[str, str]],
    words: TitleWords,
    config: Config,
) -> SearchQuality | None:
    """Ask made-up searches for products of these baskets, with the towers and without.

    `words` are searches that the towers have not learnt from. Each is asked by the shopper of the
    basket, a moment before it. None where no basket holds a product that a search was made up for.
    """
    random = np.random.default_rng(config.seed)
    stages = [
        retriever(parts._replace(trained=trained), behaviour, config)
        for trained in (None, parts.trained)
    ]
    found: list[list[float]] = []
    for basket in baskets:
        searches = np.flatnonzero(np.isin(words.meant, basket.rows))
        if not len(searches) or len(found) == MOST_SEARCHES:
            continue
        search = int(random.choice(searches))
        at = basket.at_seconds
        scene = Scene(placement=Placement.SEARCH, country=config.shop.country)
        ask = EncodedQuery(
            text=words.texts[search],
            joined_vector=words.vectors[search],
            history=behaviour.history(basket.user_id, at),
            at_seconds=at,
            facts=hashed_facts(at, traits.get(basket.user_id, {}), scene),
        )
        asked = with_interests(ask, parts.trained)
        meant = int(words.meant[search])
        found.append([_reciprocal(s.retrieve(asked, PAGE).rows, meant) for s in stages])
    if not found:
        return None
    without, with_towers = np.array(found).T
    [difference] = mean_interval((with_towers - without)[:, None], config.seed)
    return SearchQuality(float(without.mean()), difference, len(found))


def _reciprocal(rows: Int64[np.ndarray, "k"], meant: int) -> float:
    place = np.flatnonzero(rows == meant)
    return 1 / (1 + int(place[0])) if len(place) else 0.0
