"""Requests to a small ranker of random weights."""

import numpy as np
import torch

from ranking.network.cross_attention import CrossAttentionRanker
from ranking.network.shape import RankerShape
from ranking.rank_call import Context, RankCall
from tests.ranking.shapes import SHAPE

NUM_PRODUCTS, MOST_RECENT, MOST_FACTS = 1_500, 5, 6


def network(shape: RankerShape = SHAPE) -> CrossAttentionRanker:
    torch.manual_seed(0)
    made = CrossAttentionRanker(shape).eval()
    for weights in made.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    return made


def tokens(shape: RankerShape = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(NUM_PRODUCTS, shape.dim)).astype(np.float16)


def call(seed: int, count: int, shape: RankerShape = SHAPE) -> RankCall:
    """A request of so many candidates; every second one was asked in words."""
    random = np.random.default_rng(seed)
    num_recent = int(random.integers(0, MOST_RECENT + 1))
    recent, recent_facts = np.full(MOST_RECENT, -1), np.zeros((MOST_RECENT, 2), np.float32)
    recent[:num_recent] = random.choice(NUM_PRODUCTS, num_recent, replace=False)
    recent_facts[:num_recent] = random.random((num_recent, 2))
    facts = np.zeros(MOST_FACTS, np.int64)
    num_facts = int(random.integers(1, MOST_FACTS + 1))
    facts[:num_facts] = random.integers(1, shape.num_facts, num_facts)
    query = random.normal(size=shape.vector_dim).astype(np.float32) if seed % 2 else None
    return RankCall(
        random.choice(NUM_PRODUCTS, count, replace=False),
        random.normal(size=(count, shape.num_features)).astype(np.float32),
        Context(query, recent, recent_facts, facts),
    )


def without_numbers(one: RankCall) -> RankCall:
    """The same with a feature that is not a number."""
    features = one.features.copy()
    features[0, 0] = np.nan
    return one._replace(features=features)
