"""Normalised discounted cumulative gain, by the one definition that every figure follows."""

from functools import lru_cache

import numpy as np


def ndcg(found: np.ndarray, relevant: np.ndarray, k: int) -> float:
    """Return nDCG@k of one list, from 0 to 1; 0 where nothing is relevant.

    `found` holds the gain of each place of the list, best first, and `relevant` the gain of all
    that is relevant, in any order: also of what the list lacks, which counts as missed. A gain
    counts as it is and is discounted by log2(1 + position), as in trec_eval and Järvelin and
    Kekäläinen (2002).
    """
    ideal = _discounted(np.sort(relevant)[::-1][:k])
    return _discounted(found[:k]) / ideal if ideal > 0 else 0.0


def _discounted(gains: np.ndarray) -> float:
    return float(gains @ _discounts(len(gains)))


@lru_cache(32)
def _discounts(count: int) -> np.ndarray:
    discounts: np.ndarray = 1 / np.log2(np.arange(2, count + 2))
    discounts.setflags(write=False)
    return discounts
