"""Slices of an evaluation: by the words of a query, and by earlier sales of its products."""

import math
from collections.abc import Mapping, Set
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from pipelines.evaluation.evaluate import compare
from pipelines.metrics.ranked_lists import NAMES, Gains, Rankings, measure
from pipelines.reports.evidence import Evidence, ReleaseHistory, ReportedRequest
from pipelines.reports.findings import Family, Slice, figures

LEAST_QUERIES = 20  # fewer give an interval that means nothing
METRICS = ("nDCG@10", "recall@100", "MRR")
COLUMNS = [NAMES.index(name) for name in METRICS]
LENGTHS = {  # fewest and most words
    "no words": (0, 0),
    "1 word": (1, 1),
    "2 words": (2, 2),
    "3 to 4 words": (3, 4),
    "5 and more": (5, math.inf),
}
BANDS = {"head": 0.5, "torso": 0.9, "tail": math.inf}  # up to which share of all purchases
BY_PRODUCT = (
    "Only the relevant products of a slice count in it; the other relevant products of a query "
    "are taken out of its list, so that they neither help nor harm. "
    "A query counts in every slice that holds one of its relevant products."
)


class SliceInput(NamedTuple):
    """The input of one slice: its judgments, and the answers of each run."""

    gains: Gains
    rankings: tuple[Rankings, ...]


def families(evidence: Evidence) -> tuple[Family, ...]:
    """Return every way to slice that the evidence allows."""
    found = []
    if evidence.asked is not None:
        found.append(by_length(evidence, evidence.asked))
    if evidence.history is not None:
        found += [by_popularity(evidence, evidence.history), by_novelty(evidence, evidence.history)]
    return tuple(found)


def by_length(evidence: Evidence, asked: Mapping[str, ReportedRequest]) -> Family:
    """Slice by how many words a query has."""
    missing = len(evidence.gains.keys() - asked.keys())
    words = {query: len(request.text.split()) for query, request in asked.items()}
    groups = {
        name: [query for query in evidence.gains if least <= words.get(query, -1) <= most]
        for name, (least, most) in LENGTHS.items()
    }
    return Family(
        name="length",
        title="Words of the query",
        definition=(
            "Words are what white space divides; a query without a text, such as a recommendation "
            "or a picture, has none."
        ),
        slices=tuple(_of_queries(evidence, name, queries) for name, queries in groups.items()),
        left_out=f"Judged queries that the requests lack: {missing:,}." if missing else "",
    )


def by_popularity(evidence: Evidence, known: ReleaseHistory) -> Family:
    """Slice by how often the relevant products were bought before the cut."""
    band_of = bands(known.baskets)
    ids = np.array(known.products.ids, dtype=object)
    groups = {name: set(ids[band_of == band].tolist()) for band, name in enumerate(BANDS)}
    return Family(
        name="popularity",
        title="Head, torso and tail",
        definition=(
            f"Products in the order of how many baskets held them before {known.cut}: the head "
            "makes the first half of all purchases, the torso goes up to nine tenths, and the "
            f"tail is the rest, with what was never bought. {BY_PRODUCT}"
        ),
        slices=_of_products(evidence, groups),
        left_out=_unknown(evidence, known),
    )


def by_novelty(evidence: Evidence, known: ReleaseHistory) -> Family:
    """Slice by whether the relevant products were bought before the cut at all."""
    ids = np.array(known.products.ids, dtype=object)
    bought = known.baskets > 0
    groups = {"warm": set(ids[bought].tolist()), "cold": set(ids[~bought].tolist())}
    return Family(
        name="novelty",
        title="Cold and warm products",
        definition=(
            f"Warm products were bought before {known.cut}, cold ones were not. {BY_PRODUCT}"
        ),
        slices=_of_products(evidence, groups),
        left_out=_unknown(evidence, known),
    )


def bands(baskets: Float32[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Return the band of each product: 0 head, 1 torso, 2 tail.

    What counts is the share of all purchases that more popular products make, so that products
    bought equally often are in one band.
    """
    counts = baskets.astype(np.float64)
    falling = -np.sort(-counts)
    above = np.concatenate([[0.0], np.cumsum(falling)])[np.searchsorted(-falling, -counts)]
    share = above / max(counts.sum(), 1)
    found = np.searchsorted(list(BANDS.values()), share, side="right")
    return np.where(counts > 0, found, len(BANDS) - 1)


def only(judged: SliceInput, products: Set[str]) -> SliceInput:
    """Return judgments and lists as if these were the only relevant products.

    Queries without any of them are left out, and so are other relevant products from the lists.
    """
    relevant = {
        query: {product for product, gain in wanted.items() if gain > 0}
        for query, wanted in judged.gains.items()
    }
    gains = {
        query: {p: gain for p, gain in wanted.items() if gain <= 0 or p in products}
        for query, wanted in judged.gains.items()
        if relevant[query] & products
    }
    others = {query: relevant[query] - products for query in gains}
    lists = [
        {query: [p for p in run.get(query, ()) if p not in others[query]] for query in gains}
        for run in judged.rankings
    ]
    return SliceInput(gains, tuple(lists))


def _of_queries(evidence: Evidence, name: str, queries: list[str]) -> Slice:
    place = {query: row for row, query in enumerate(evidence.gains)}
    rows = np.array([place[query] for query in queries], np.int64)
    values = [run.values[rows] for run in evidence.runs.values()]
    relevant = sum(_relevant(evidence.gains[query]) for query in queries)
    return _slice(name, relevant, values)


def _of_products(evidence: Evidence, groups: Mapping[str, Set[str]]) -> tuple[Slice, ...]:
    whole = SliceInput(evidence.gains, tuple(run.rankings for run in evidence.runs.values()))
    found = []
    for name, products in groups.items():
        judged = only(whole, products)
        enough = len(judged.gains) >= LEAST_QUERIES
        values = [
            measure(run, judged.gains) if enough else np.zeros((len(judged.gains), len(NAMES)))
            for run in judged.rankings
        ]
        found.append(_slice(name, sum(map(_relevant, judged.gains.values())), values))
    return tuple(found)


def _slice(name: str, num_relevant: int, values: list[np.ndarray]) -> Slice:
    count = len(values[0])
    told = [column[:, COLUMNS] for column in values]
    compared = (
        compare(told[0], told[1] if len(told) > 1 else None, METRICS)
        if count >= LEAST_QUERIES
        else ()
    )
    return Slice(name=name, num_queries=count, num_relevant=num_relevant, figures=figures(compared))


def _relevant(wanted: Mapping[str, float]) -> int:
    return sum(gain > 0 for gain in wanted.values())


def _unknown(evidence: Evidence, known: ReleaseHistory) -> str:
    ids = set(known.products.ids)
    count = sum(
        gain > 0 and product not in ids
        for wanted in evidence.gains.values()
        for product, gain in wanted.items()
    )
    told = f"Relevant products that release {known.release} lacks, and that are in no slice: "
    return f"{told}{count:,}." if count else ""
