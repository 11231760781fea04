"""Measures ranked lists against what was right, with intervals and paired tests."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ir_measures
import numpy as np
from ir_measures import AP, RR, P, Qrel, R, ScoredDoc
from jaxtyping import Float64, Int64

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
RESAMPLES = 10_000
LEVEL = 0.95
CELLS_AT_ONCE = 4_000_000  # of resampled values in memory
ROUNDING = 1e-12  # two sums of the same numbers in another order may differ by so much


class Interval(NamedTuple):
    """A mean over queries and where it lies with 95 % confidence; NaN ends for a single query."""

    mean: float
    low: float
    high: float


def measure(rankings: Rankings, gains: Gains) -> Float64[np.ndarray, "q m"]:
    """Return one row a judged query, in the order of `gains`, one column a name in `NAMES`.

    A query that has no ranking counts as 0 everywhere, as does one without a relevant product.
    """
    graded = [
        [ndcg(rankings.get(query, ()), wanted, cut) for cut in NDCG_CUTS.values()]
        for query, wanted in gains.items()
    ]
    return np.concatenate([np.array(graded).reshape(len(gains), -1), _binary(rankings, gains)], 1)


def ndcg(ranking: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Return discounted cumulative gain over that of the best order, 0 where nothing is relevant.

    The gain counts as it is (linear) and is discounted by log2(1 + position), as in trec_eval and
    Järvelin and Kekäläinen (2002). trec_eval and its wrappers take whole numbers only, hence ours.
    """
    ideal = sorted((gain for gain in gains.values() if gain > 0), reverse=True)
    if not ideal:
        return 0.0
    return _dcg([max(gains.get(product, 0.0), 0.0) for product in ranking[:k]]) / _dcg(ideal[:k])


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


def mean_interval(values: Float64[np.ndarray, "q m"], seed: int = 0) -> list[Interval]:
    """Return the mean of each column and its percentile bootstrap interval over queries."""
    means = values.mean(axis=0)
    if len(values) < 2:
        return [Interval(float(mean), float("nan"), float("nan")) for mean in means]
    resampled = resampled_means(values, seed)
    return [interval_of(float(m), drawn) for m, drawn in zip(means, resampled.T, strict=True)]


def resampled_means(
    values: Float64[np.ndarray, "q m"], seed: int = 0
) -> Float64[np.ndarray, "r m"]:
    """Return the mean of each column in samples of the queries, drawn with replacement."""
    random, length = np.random.default_rng(seed), len(values)
    samples = (random.integers(length, size=(count, length)) for count in _chunks(values))
    return np.concatenate([_times(drawn) @ values / length for drawn in samples])


def _times(drawn: Int64[np.ndarray, "r q"]) -> Int64[np.ndarray, "r q"]:
    """Return how often each query is in each sample: faster than to look its values up."""
    return np.stack([np.bincount(sample, minlength=drawn.shape[1]) for sample in drawn])


def interval_of(found: float, resampled: Float64[np.ndarray, "r"]) -> Interval:
    """Return what was found, between the percentiles of what was found in the samples."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(found, float(low), float(high))


def randomisation_test(
    differences: Float64[np.ndarray, "q m"], seed: int = 0
) -> Float64[np.ndarray, "m"]:
    """Return two-sided p-values of paired differences under random exchange of the two runs.

    Fisher's randomisation test by random signs (Smucker, Allan and Carterette, CIKM 2007).
    """
    observed = np.abs(differences.sum(axis=0))
    random = np.random.default_rng(seed)
    as_extreme = np.zeros(differences.shape[1], np.int64)
    for count in _chunks(differences):
        signs = random.choice(np.array([-1.0, 1.0]), (count, len(differences)))
        as_extreme += (np.abs(signs @ differences) >= observed - ROUNDING).sum(axis=0)
    return (1 + as_extreme) / (1 + RESAMPLES)


def _dcg(gains: Sequence[float]) -> float:
    return float(np.asarray(gains) @ (1 / np.log2(np.arange(2, len(gains) + 2)))) if gains else 0.0


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


def _chunks(values: Float64[np.ndarray, "q m"]) -> list[int]:
    """Split the resamples so that each part fits into memory."""
    at_once = max(CELLS_AT_ONCE // max(values.size, 1), 1)
    full, rest = divmod(RESAMPLES, at_once)
    return [at_once] * full + [rest] * bool(rest)
