"""nDCG, recall and overlap of ranked lists."""

from collections.abc import Mapping, Sequence

import ir_measures
import numpy as np
from ir_measures import AP, RR, P, Qrel, R, ScoredDoc
from jaxtyping import Float64

from retrieval.ndcg import ndcg

Gains = Mapping[str, Mapping[str, float]]  # query id -> product id -> gain; above 0 is relevant
Rankings = Mapping[str, Sequence[str]]  # query id -> product ids, best first

NDCG_CUTS = {"nDCG@10": 10, "nDCG@20": 20}
BINARY = {
    "recall@20": R @ 20,
    "recall@100": R @ 100,
    "MRR": RR,
    "MAP": AP,
    "P@10": P @ 10,
}
NAMES = (*NDCG_CUTS, *BINARY)


def measure(rankings: Rankings, gains: Gains) -> Float64[np.ndarray, "q m"]:
    """Return one row a judged query, in the order of `gains`, one column a name in `NAMES`.

    A query that has no ranking counts as 0 everywhere, as does one without a relevant product.
    """
    graded = [
        [ndcg_of_list(rankings.get(query, ()), wanted, cut) for cut in NDCG_CUTS.values()]
        for query, wanted in gains.items()
    ]
    return np.concatenate([np.array(graded).reshape(len(gains), -1), _binary(rankings, gains)], 1)


def ndcg_of_list(ranking: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Return nDCG@k of a list of products; a gain of 0 or below is none.

    trec_eval and its wrappers take whole numbers only, hence ours.
    """
    found = [max(gains.get(product, 0.0), 0.0) for product in ranking[:k]]
    relevant = [gain for gain in gains.values() if gain > 0]
    return ndcg(np.array(found), np.array(relevant), k)


def overlap(first: Sequence[str], second: Sequence[str], k: int) -> float:
    """Return the share of the first `k` places that both lists fill with the same products."""
    one, other = set(first[:k]), set(second[:k])
    longest = max(len(one), len(other))
    return len(one & other) / longest if longest else 1.0


def rank_biased_overlap(first: Sequence[str], second: Sequence[str], p: float = 0.9) -> float:
    """Return how alike two rankings are, from 0 to 1, the top counting most: RBO_ext.

    A reader goes on to the next place with probability `p`; what lies beyond the lists is taken to
    agree as their ends do. Webber, Moffat and Zobel (2010), A similarity measure for indefinite
    rankings, equation 32. Products stand once in a list.
    """
    short, long = sorted((first, second), key=len)
    s, length = len(short), len(long)
    if s == 0:
        return 1.0 if length == 0 else 0.0
    common = _common(short, long)
    agreed = [common[d - 1] / d for d in range(1, length + 1)]
    padded = [common[s - 1] * (d - s) / (s * d) for d in range(s + 1, length + 1)]
    total = sum(share * p**d for d, share in enumerate(agreed, 1))
    total += sum(share * p**d for d, share in enumerate(padded, s + 1))
    end = (common[-1] - common[s - 1]) / length + common[s - 1] / s
    return (1 - p) / p * total + end * p**length


def _common(short: Sequence[str], long: Sequence[str]) -> list[int]:
    """Return by depth how many products both lists hold down to it."""
    seen_short: set[str] = set()
    seen_long: set[str] = set()
    found = []
    for depth, product in enumerate(long):
        seen_long.add(product)
        seen_short.update(short[depth : depth + 1])
        found.append(len(seen_short & seen_long))
    return found


def _binary(rankings: Rankings, gains: Gains) -> Float64[np.ndarray, "q m"]:
    """Let ir-measures count; a position stands in for the score, so the order is ours."""
    judged = [
        Qrel(query, product, int(gain > 0))
        for query, wanted in gains.items()
        for product, gain in wanted.items()
    ]
    ranked = [
        ScoredDoc(query, product, -float(position))
        for query in gains
        for position, product in enumerate(rankings.get(query, ()))
    ]
    row = {query: number for number, query in enumerate(gains)}
    column = {name: number for number, name in enumerate(BINARY.values())}
    values = np.zeros((len(gains), len(BINARY)))
    for metric in ir_measures.iter_calc(list(column), judged, ranked):
        values[row[metric.query_id], column[metric.measure]] = metric.value
    return values
