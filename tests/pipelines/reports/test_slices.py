"""Slices of an evaluation, against figures that were worked out by hand."""

import math

import numpy as np
import pyarrow as pa
import pytest

from index import Columns
from pipelines.evaluation.evaluate import MeasuredRun
from pipelines.metrics.ranked_lists import Gains, Rankings, measure
from pipelines.reports.evidence import Evidence, ReleaseHistory, ReportedRequest
from pipelines.reports.findings import Family
from pipelines.reports.slices import BANDS, LEAST_QUERIES, SliceInput, bands, families, only

SECOND = 1 / math.log2(3)  # the nDCG of one relevant product at position 2
SOLD = {"a": 5, "b": 4, "c": 1, "d": 0}  # baskets before the cut
QUERIES = [f"q{number:02}" for number in range(LEAST_QUERIES)]


def evidence(
    gains: Gains, *runs: Rankings, asked: dict[str, ReportedRequest] | None = None
) -> Evidence:
    measured = {f"run {n}": MeasuredRun(run, measure(run, gains)) for n, run in enumerate(runs)}
    return Evidence(gains=gains, runs=measured, asked=asked)


def sold(found: Evidence) -> Evidence:
    """The same, with a release that has seen SOLD."""
    products = Columns(pa.table({"id": list(SOLD), "title": list(SOLD)}))
    baskets = np.array(list(SOLD.values()), np.float32)
    return found._replace(history=ReleaseHistory("r", "2024-03-01", products, baskets, None))  # type: ignore[arg-type]


def means(family: Family, metric: str = "nDCG@10") -> dict[str, float]:
    return {
        one.name: figure.run.mean
        for one in family.slices
        for figure in one.figures
        if figure.metric == metric
    }


def test_a_query_is_sliced_by_its_number_of_words() -> None:
    texts = {"": 0, "tea": 1, "oat milk": 2, "rye bread sliced": 3, "a b c d": 3, " a b c d e ": 4}
    place = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}  # by slice: where the relevant product stands
    asked = {f"{n}-{q}": ReportedRequest(text) for n, text in enumerate(texts) for q in QUERIES}
    slice_of = {query: texts[request.text] for query, request in asked.items()}
    gains = {query: {"a": 1.0} for query in sorted(asked)}
    run = {q: ["a" if p == place[slice_of[q]] else f"x{p}" for p in range(1, 9)] for q in gains}

    [family] = families(evidence(gains, run, asked=asked))

    assert [one.num_queries for one in family.slices] == [20, 20, 20, 40, 20]
    assert means(family) == pytest.approx(
        {
            "no words": 1,
            "1 word": 1,
            "2 words": SECOND,
            "3 to 4 words": 0.5,
            "5 and more": 0,
        }
    )


def test_the_head_makes_half_of_all_purchases_and_the_torso_the_next_four_tenths() -> None:
    names = list(BANDS)

    found = [names[band] for band in bands(np.array(list(SOLD.values()), np.float32))]

    assert dict(zip(SOLD, found, strict=True)) == {
        "a": "head",
        "b": "torso",
        "c": "tail",
        "d": "tail",
    }


def test_products_bought_equally_often_are_in_one_band() -> None:
    found = bands(np.array([3, 0, 3, 3, 0, 3], np.float32))

    assert found.tolist() == [0, 2, 0, 0, 2, 0]


def test_where_nothing_was_bought_everything_is_tail() -> None:
    assert bands(np.zeros(3, np.float32)).tolist() == [2, 2, 2]


def test_a_slice_of_products_neither_helps_nor_harms_another() -> None:
    gains = {query: {"a": 1.0, "c": 3.0, "x": 0.0} for query in QUERIES}
    run = {query: ["x", "a", "c"] for query in QUERIES}

    popularity, _ = families(sold(evidence(gains, run)))

    assert means(popularity) == pytest.approx({"head": SECOND, "tail": SECOND})
    assert means(popularity, "MRR") == pytest.approx({"head": 0.5, "tail": 0.5})
    assert [one.num_queries for one in popularity.slices] == [20, 0, 20]
    assert [one.num_relevant for one in popularity.slices] == [20, 0, 20]


def test_cold_products_are_those_that_nobody_bought_before_the_cut() -> None:
    gains = {query: {"b": 1.0, "d": 1.0} for query in QUERIES}
    run = {query: ["b", "x", "y", "d"] for query in QUERIES}

    _, novelty = families(sold(evidence(gains, run)))

    assert means(novelty) == pytest.approx({"warm": 1, "cold": 0.5})


def test_a_slice_with_too_few_queries_has_no_figures() -> None:
    gains = {query: {"a": 1.0} for query in QUERIES} | {"one": {"d": 1.0}}
    run = {query: ["a", "d"] for query in gains}

    _, novelty = families(sold(evidence(gains, run)))

    warm, cold = novelty.slices
    assert (warm.num_queries, len(warm.figures)) == (20, 3)
    assert (cold.num_queries, cold.figures) == (1, ())


def test_a_relevant_product_that_the_release_lacks_is_in_no_slice_and_is_told() -> None:
    gains = {query: {"a": 1.0, "gone": 1.0} for query in QUERIES}
    run = {query: ["gone", "a"] for query in QUERIES}

    popularity, _ = families(sold(evidence(gains, run)))

    assert means(popularity) == {"head": 1}
    assert popularity.left_out == (
        "Relevant products that release r lacks, and that are in no slice: 20."
    )


def test_a_query_that_is_not_in_the_requests_is_in_no_slice_and_is_told() -> None:
    gains = {query: {"a": 1.0} for query in QUERIES} | {"other": {"a": 1.0}}
    asked = {query: ReportedRequest("oat milk") for query in QUERIES}

    [family] = families(evidence(gains, {"other": ["a"]}, asked=asked))

    assert sum(one.num_queries for one in family.slices) == 20
    assert family.left_out == "Judged queries that the requests lack: 1."


def test_two_runs_are_compared_within_each_slice() -> None:
    gains = {query: {"a": 1.0} for query in QUERIES}
    first, second = ({query: answer for query in QUERIES} for answer in (["a"], ["x", "a"]))

    popularity, _ = families(sold(evidence(gains, first, second)))

    head = popularity.slices[0].figures[0]
    assert head.against is not None
    assert head.difference is not None
    assert head.p_value is not None
    assert head.against.mean == pytest.approx(SECOND)
    assert head.difference.low == pytest.approx(1 - SECOND)
    assert head.p_value < 0.001


def test_a_judgment_of_0_stays_what_it_is_in_a_slice() -> None:
    whole = SliceInput({"q": {"a": 1.0, "c": 1.0, "x": 0.0}}, ({"q": ["x", "c", "a"]},))

    found = only(whole, {"a"})

    assert found == SliceInput({"q": {"a": 1.0, "x": 0.0}}, ({"q": ["x", "a"]},))
