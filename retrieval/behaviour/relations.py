"""Relations between products: bought together, bought next, EASE, and products that look alike."""

from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32
from scipy import sparse

from retrieval.behaviour.cold_start import Bridge, donor_matrix, inherited
from retrieval.behaviour.ease import EaseSettings, ease, user_matrix, wants
from retrieval.behaviour.item_to_item import next_after, together
from retrieval.behaviour.neighbours import Neighbours, no_neighbours, speak_for
from retrieval.behaviour.purchases import History, Purchases, decay

TABLES = ("together", "next", "ease", "season")


class BehaviourSettings(NamedTuple):
    """Which tables are learned beside the statistics, and how much memory each may take."""

    neighbours: int = 100  # stored for each product, item to item
    ease: EaseSettings = EaseSettings()
    max_memory_mb: int = 4_000
    tables: tuple[str, ...] = TABLES


class Relations(msgspec.Struct, frozen=True, dict=True):
    """For each product, the products that a purchase of it speaks for; empty tables where off."""

    together: Neighbours  # item to item, in the same baskets
    next_after: Neighbours  # what is bought in the baskets after one with the product
    ease: Neighbours
    bridge: Bridge
    ease_half_life_days: float

    @classmethod
    def learn(
        cls,
        log: Purchases,
        num_users: int,
        until_seconds: int,
        settings: BehaviourSettings,
        over: Bridge,
        num_products: int,
    ) -> "Relations":
        """Learn the tables that are on from purchases sorted by user and time."""
        k, memory, on = settings.neighbours, settings.max_memory_mb, settings.tables
        off = no_neighbours(num_products)
        near = together(log, num_products, k, memory) if "together" in on else off
        after = next_after(log, num_products, k, memory) if "next" in on else off
        half_life = settings.ease.half_life_days
        weights = off
        if "ease" in on:
            matrix = user_matrix(log, num_users, num_products, until_seconds, half_life)
            weights = ease(matrix, settings.ease)
        return cls(near, after, weights, over, half_life)

    @property
    def num_products(self) -> int:
        """How many products the tables cover."""
        return len(self.together.rows)

    @cached_property
    def donors(self) -> sparse.csr_array:
        """What products that were never bought inherit, of which products."""
        return donor_matrix(self.bridge, self.num_products)


def together_scores(
    relations: Relations, history: History, recent: int = 200
) -> Float32[np.ndarray, "n"]:
    """Return every product's item-to-item similarity, summed over recent purchases.

    A purchase 60 days older than the newest one counts half.
    """
    rows, seconds = history.rows[-recent:], history.seconds[-recent:]
    ages = seconds.max(initial=0) - seconds
    return speak_for(relations.together, rows, decay(ages, 60.0), relations.num_products)


def next_scores(
    relations: Relations, history: History, recent: int = 3
) -> Float32[np.ndarray, "n"]:
    """Return how strongly the last baskets lead to each product, each basket older half as much."""
    new = np.diff(history.baskets, prepend=-1) != 0
    age = np.cumsum(new[::-1])[::-1] - new  # baskets after the purchase's own
    recently = age < recent
    weights = np.exp2(-age[recently].astype(np.float64))
    return speak_for(relations.next_after, history.rows[recently], weights, relations.num_products)


def ease_scores(
    relations: Relations, history: History, at_seconds: int
) -> Float32[np.ndarray, "n"]:
    """Return what the whole history says about every product, by EASE.

    A product never bought gets part of the score of those that it looks like, their own purchases
    included.
    """
    rows, weights = wants(history, at_seconds, relations.ease_half_life_days)
    scores = speak_for(relations.ease, rows, weights, relations.num_products)
    cold = relations.bridge
    if not len(cold.rows):
        return scores
    most, by_others = max(float(scores.max(initial=0)), 1e-6), scores[rows]
    scores[rows] = np.minimum(by_others + weights.astype(np.float32) * most, most)
    from_donors = inherited(relations.donors, scores)
    scores[rows] = by_others
    scores[cold.rows] = from_donors
    return scores
