"""Measures towers by the next baskets of the newest window."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from pipelines.shop.purchases.log import Basket
from ranking.network.validation import ndcg_of_logits
from retrieval import Placement, Scene
from retrieval.behaviour.tables import Behaviour
from retrieval.context_facts import hashed_facts
from retrieval.encoded_query import EncodedQuery
from retrieval.towers.model import Towers, interests

DEPTH = 100


class TowerValidation(NamedTuple):
    """What was known where the newest window starts."""

    behaviour: Behaviour  # without relations
    baskets: list[Basket]  # the first of each shopper in the window
    shown: Bool[np.ndarray, "n"]
    country: str


def request_of(
    past: TowerValidation, basket: Basket, traits: dict[str, dict[str, str]]
) -> EncodedQuery:
    """Return the request for a recommendation at the moment of a basket."""
    at = basket.at_seconds
    scene = Scene(placement=Placement.HOME, country=past.country)
    return EncodedQuery(
        history=past.behaviour.history(basket.user_id, at),
        at_seconds=at,
        facts=hashed_facts(at, traits.get(basket.user_id, {}), scene),
    )


def measure_of(
    past: TowerValidation, traits: dict[str, dict[str, str]]
) -> Callable[[Towers, Float32[np.ndarray, "n d"]], float]:
    """Return what gives recall among the first hundred plus nDCG@20 of the next baskets."""
    asks = [request_of(past, basket, traits) for basket in past.baskets]

    def measure(towers: Towers, vectors: Float32[np.ndarray, "n d"]) -> float:
        towers.eval()
        known = np.flatnonzero(np.any(vectors != 0, axis=1) & past.shown)
        ranked = np.ascontiguousarray(vectors[known])
        found = []
        for ask, basket in zip(asks, past.baskets, strict=True):
            scores = (ranked @ interests(towers, ask, vectors).T).max(axis=1, initial=-1)
            bought = np.isin(known, basket.rows)
            first = np.argpartition(-scores, min(DEPTH, len(known) - 1))[:DEPTH]
            relevant = np.ones(len(basket.rows), np.float32)
            page = ndcg_of_logits(scores, bought, relevant=relevant)
            found.append(bought[first].sum() / len(basket.rows) + page)
        towers.train()
        return float(np.mean(found))

    return measure
