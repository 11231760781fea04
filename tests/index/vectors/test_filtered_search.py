from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from index import ExactIndex, FaissIndex, FilterPlan, Hits, Way
from index.vectors.filtered_search import (
    Costs,
    IndexShape,
    choose,
    cost,
    replaced,
    search_until_stable,
)

CELLS = IndexShape("cells", rows=100_000, effort=16, most=1_024)
GRAPH = IndexShape("graph", rows=100_000, effort=64, most=100_000)
CLOSED = IndexShape("closed", rows=100_000, effort=0, most=100_000)
FLAT = IndexShape("flat", rows=100_000, effort=0, most=0)
SHAPES = (CELLS, GRAPH, CLOSED, FLAT)
FACTORIES = {"IVF128,Flat": 2, "HNSW16": 32, "RR16,Flat": 0}
KEPT = (0.5, 0.1, 0.01, 0.001)
FAVOUR = ("random", "towards", "against")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind)
@pytest.mark.parametrize("passed", [0, 1, 100, 1_000])
def test_few_passing_rows_are_scanned_whatever_the_index(shape: IndexShape, passed: int) -> None:
    plan = choose(shape, passed, k=100)

    assert plan.way is Way.SCAN
    assert plan.exactness == 1.0
    assert (plan.passed, plan.of) == (passed, 100_000)


def test_many_passing_rows_are_searched_as_the_index_can() -> None:
    ways = [choose(shape, 95_000, k=100).way for shape in SHAPES]

    assert ways == [Way.SELECT, Way.SELECT, Way.OVERFETCH, Way.SCAN]


@pytest.mark.parametrize("shape", [CELLS, GRAPH], ids=lambda shape: shape.kind)
def test_a_narrower_filter_begins_with_more_effort(shape: IndexShape) -> None:
    efforts = [choose(shape, passed, k=10).effort for passed in (90_000, 60_000, 40_000)]

    assert efforts == sorted(set(efforts))


def test_what_is_planned_costs_less_than_a_scan() -> None:
    for shape, passed in product(SHAPES, range(1_000, 100_001, 3_000)):
        plan = choose(shape, passed, k=100)

        if plan.way is not Way.SCAN:
            assert cost(shape, 3 * plan.effort, passed / 100_000) < passed * Costs().score


def test_a_processor_on_which_scanning_is_cheap_scans() -> None:
    cheap = Costs(score=1.0, cell=2_000.0)

    assert choose(CELLS, 50_000, k=100, costs=cheap).way is Way.SCAN


def hits(*scores: float) -> Hits:
    return Hits(np.arange(len(scores)), np.array(scores, "float32"))


def test_an_answer_counts_as_replaced_when_a_better_one_took_its_place() -> None:
    assert replaced(hits(0.9, 0.5, 0.4, 0.3), hits(0.9, 0.8, 0.5, 0.4), wanted=4) == 0.25
    assert replaced(hits(0.9, 0.5), hits(0.9, 0.5), wanted=4) == 0.5
    assert replaced(hits(0.9), hits(0.9, 0.5, 0.4, 0.4), wanted=4) == 0.75
    assert replaced(hits(0.4, 0.4), hits(0.4, 0.4), wanted=2) == 0.0


def test_looking_ends_when_twice_the_effort_changes_nothing() -> None:
    efforts: list[int] = []
    plan = choose(CELLS, 90_000, k=2)

    found = search_until_stable(recorded(efforts, lambda effort: hits(0.9, 0.8)), plan, CELLS, k=2)

    assert efforts == [plan.effort, 2 * plan.effort]
    assert found is not None
    assert found.plan == FilterPlan(
        way=Way.SELECT, passed=90_000, of=100_000, effort=efforts[-1], exactness=1.0
    )


def test_looking_goes_on_while_there_is_something_new() -> None:
    efforts: list[int] = []
    plan = choose(CELLS, 90_000, k=100)
    better = [np.linspace(0, 1, 100), np.linspace(0, 1, 100), np.linspace(0, 1, 100)]
    better[0][:3] = -1

    def look(effort: int) -> Hits:
        return hits(*sorted(better[len(efforts) - 1], reverse=True))

    found = search_until_stable(recorded(efforts, look), plan, CELLS, k=100)

    assert len(efforts) == 3
    assert found is not None


def test_a_look_that_finds_nothing_gives_up_at_once() -> None:
    efforts: list[int] = []

    found = search_until_stable(
        recorded(efforts, lambda effort: hits()), choose(CELLS, 50_000, 9), CELLS, k=9
    )

    assert found is None
    assert len(efforts) == 2


def test_an_index_that_fetches_few_that_pass_is_not_asked_for_more() -> None:
    efforts: list[int] = []
    plan = choose(CLOSED, 95_000, k=100)
    against = recorded(efforts, lambda effort: hits(0.5))

    assert search_until_stable(against, plan, CLOSED, k=100) is None
    assert efforts == [plan.effort]


def recorded(efforts: list[int], look: Callable[[int], Hits]) -> Callable[[int], Hits]:
    def recording(effort: int) -> Hits:
        efforts.append(effort)
        return look(effort)

    return recording


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    random = np.random.default_rng(3)
    centres = random.normal(size=(80, 16))
    vectors = centres[random.integers(0, 80, 20_000)] + 0.6 * random.normal(size=(20_000, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


def allowed_of(scores: np.ndarray, share: float, favour: str) -> np.ndarray:
    """Keep this share of the rows: any, those most like the query, or those least like it."""
    key = {"random": np.random.default_rng(5).random(len(scores)), "towards": -scores}
    order = np.argsort(key.get(favour, scores))
    allowed = np.zeros(len(scores), bool)
    allowed[order[: int(share * len(scores))]] = True
    return allowed


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("favour", FAVOUR)
def test_recall_holds_however_few_pass_and_wherever_they_lie(
    vectors: np.ndarray, factory: str, favour: str
) -> None:
    index, exact = FaissIndex.build(vectors, factory), ExactIndex(vectors)
    index.effort = FACTORIES[factory]
    queries = vectors[::2_500]

    for share in KEPT:
        recalls = []
        for query in queries:
            allowed = allowed_of(vectors @ query, share, favour)
            [true] = exact.search(query[None], 100, allowed)
            [found] = index.search(query[None], 100, allowed)
            assert allowed[found.rows].all()
            assert found.plan is not None
            assert found.plan.passed == allowed.sum()
            recalls.append(1 - replaced(found, true, len(true.rows)))
        assert np.mean(recalls) >= 0.98, f"{share:.2%} kept, {favour}: {recalls}"


@pytest.mark.parametrize(
    ("factory", "way"),
    [("IVF128,Flat", Way.SELECT), ("HNSW16", Way.SELECT), ("RR16,Flat", Way.OVERFETCH)],
)
def test_a_wide_filter_is_not_scanned_and_one_against_the_query_is(
    vectors: np.ndarray, factory: str, way: Way
) -> None:
    index = FaissIndex.build(vectors, factory)
    index.effort = 4
    query = vectors[7]
    wide, against = (allowed_of(vectors @ query, 0.8, "random"), vectors @ query < 0)

    plans = [index.search(query[None], 10, allowed)[0].plan for allowed in (wide, against)]

    assert [plan.way for plan in plans if plan] == [way, Way.SCAN]


def nearly_all(
    vectors: np.ndarray, factory: str, passes: str
) -> tuple[FaissIndex, np.ndarray, np.ndarray]:
    """Return an index, a query, and a filter that 95 % of the rows pass."""
    index = FaissIndex.build(vectors, factory)
    index.effort = FACTORIES.get(factory, 32)
    query = vectors[7]
    return index, query, allowed_of(vectors @ query, 0.95, passes)


@pytest.mark.parametrize("factory", ["IVF128,Flat", "HNSW16"])
def test_where_nearly_all_pass_one_look_without_the_filter_finds_as_much_as_without_one(
    vectors: np.ndarray, factory: str
) -> None:
    index, query, allowed = nearly_all(vectors, factory, "random")
    index.recall = 0.97

    [hits] = index.search(query[None], 50, allowed)
    [unfiltered] = index.search(query[None], 100)

    passing = unfiltered.rows[allowed[unfiltered.rows]][:50]
    assert hits.plan is not None
    assert (hits.plan.way, hits.plan.exactness) == (Way.OVERFETCH, 0.97)
    assert hits.rows.tolist() == passing.tolist()


@pytest.mark.parametrize("factory", ["IVF128,Flat", "HNSW16"])
def test_where_the_few_that_do_not_pass_are_the_nearest_the_answer_is_full_all_the_same(
    vectors: np.ndarray, factory: str
) -> None:
    index, query, allowed = nearly_all(vectors, factory, "against")

    [hits] = index.search(query[None], 50, allowed)

    [true] = ExactIndex(vectors).search(query[None], 50, allowed)
    assert replaced(hits, true, 50) <= 0.1


def test_an_unfiltered_search_has_no_plan(vectors: np.ndarray) -> None:
    [found] = FaissIndex.build(vectors[:50]).search(vectors[:1], 5)

    assert found.plan is None


def test_vectors_without_their_own_row_numbers_are_found_by_cells(vectors: np.ndarray) -> None:
    rows = np.arange(0, 20_000, 2)
    index = FaissIndex.build(vectors, "IVF64,Flat", rows)
    index.effort = 12
    allowed = allowed_of(vectors @ vectors[0], 0.9, "random")

    [found] = index.search(vectors[:1], 50, allowed)

    [true] = ExactIndex(vectors).search(vectors[:1], 50, allowed & (np.arange(20_000) % 2 == 0))
    assert found.plan is not None
    assert found.plan.way is Way.SELECT
    assert replaced(found, true, 50) <= 0.02


def test_cells_of_product_codes_are_looked_into_where_cells_of_vectors_would_be_scanned() -> None:
    shape = IndexShape("cells", rows=30_000, effort=21, most=117, has_bytes=True)

    of_vectors, of_codes = (
        choose(shape._replace(has_codes=coded), passed=15_000, k=100) for coded in (False, True)
    )

    assert (of_vectors.way, of_codes.way) == (Way.SCAN, Way.SELECT)
