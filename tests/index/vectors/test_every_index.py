"""What VectorIndex promises, asked of every index. A new index is one line in BUILDERS."""

import tempfile
from collections.abc import Callable
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from index import (
    Address,
    DimensionMismatch,
    ExactIndex,
    FaissIndex,
    GpuScan,
    IndexFault,
    Milvus,
    MilvusIndex,
    SvsIndex,
    UnfitVectors,
    VectorIndex,
    why_no_svs,
)
from tests.assertions import each, every

Build = Callable[[np.ndarray], VectorIndex]
BuildSome = Callable[[np.ndarray, np.ndarray], VectorIndex]


@lru_cache(1)
def milvus() -> Milvus:
    """The embedded Milvus, one for all tests here."""
    if find_spec("milvus_lite") is None:
        pytest.skip("needs milvus-lite, which comes with the extra milvus")
    return Milvus(Address(str(Path(tempfile.mkdtemp()) / "every.db")))


def milvus_index(vectors: np.ndarray, rows: np.ndarray | None = None) -> MilvusIndex:
    return MilvusIndex.build(milvus(), "every", vectors, rows)


def svs_index(codes: str, vectors: np.ndarray, rows: np.ndarray | None = None) -> SvsIndex:
    return SvsIndex.build(vectors, codes, rows)


BUILDERS: dict[str, Build] = {
    "exact": ExactIndex,
    "card, on a processor": lambda vectors: GpuScan(vectors, device="cpu"),
    "faiss-flat": FaissIndex.build,
    "faiss-ivf": lambda vectors: FaissIndex.build(vectors, "IVF1,Flat"),
    "faiss-hnsw": lambda vectors: FaissIndex.build(vectors, "HNSW16"),
    "faiss-graph-compressed": lambda vectors: FaissIndex.build(vectors, "HNSW16,SQ8", deeper=2.0),
    "faiss-without-selector": lambda vectors: FaissIndex.build(
        vectors, f"RR{vectors.shape[1]},Flat"
    ),
    "milvus": milvus_index,
}
OF_SOME_ROWS: dict[str, BuildSome] = {
    "card, on a processor": lambda vectors, rows: GpuScan(vectors, rows, device="cpu"),
    "faiss-flat": lambda vectors, rows: FaissIndex.build(vectors, "Flat", rows),
    "faiss-hnsw": lambda vectors, rows: FaissIndex.build(vectors, "HNSW16", rows),
    "milvus": milvus_index,
}
for codes in ("float16", "LVQ8"):  # why not is said by the tests of planning, skipped then
    if not why_no_svs(codes):
        BUILDERS[f"svs-{codes}"] = partial(svs_index, codes)
        OF_SOME_ROWS[f"svs-{codes}"] = partial(svs_index, codes)
every_index = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
UNFIT = {
    "nan": (np.nan, "is not a number"),
    "infinite": (np.inf, "is infinite"),
    "huge": (1e30, "has a number beyond 10,000"),
}


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")


@pytest.fixture
def vectors() -> np.ndarray:
    return unit(np.random.default_rng(0).normal(size=(50, 8)))


@every_index
def test_a_vector_is_its_own_nearest_neighbour(build: Build, vectors: np.ndarray) -> None:
    answers = build(vectors).search(vectors, k=1)

    assert [hits.rows[0] for hits in answers] == list(range(50))


@every_index
def test_hits_come_best_first(build: Build, vectors: np.ndarray) -> None:
    [hits] = build(vectors).search(vectors[:1], k=20)

    assert list(hits.scores) == sorted(hits.scores, reverse=True)


@every_index
def test_ties_are_broken_by_the_lower_row(build: Build) -> None:
    same = np.tile(unit(np.ones((1, 4))), (30, 1))

    [hits] = build(same).search(same[:1], k=30)

    assert list(hits.rows) == list(range(30))


@every_index
def test_asking_for_more_than_there_is_returns_what_there_is(build: Build) -> None:
    index = build(np.eye(2, 4, dtype="float32"))

    [hits] = index.search(np.ones((1, 4), dtype="float32"), k=10)

    assert set(hits.rows) == {0, 1}
    assert len(hits.scores) == 2


@every_index
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_nothing_outside_the_filter_is_returned_and_nothing_inside_is_lost(
    build: Build, vectors: np.ndarray, share: float
) -> None:
    allowed = np.random.default_rng(1).random(50) < share
    allowed[7] = True

    answers = build(vectors).search(vectors[:5], k=50, allowed=allowed)

    assert every(set(hits.rows) == set(np.flatnonzero(allowed)) for hits in answers)


@every_index
def test_a_filter_that_nothing_passes_gives_an_empty_answer(
    build: Build, vectors: np.ndarray
) -> None:
    [hits] = build(vectors).search(vectors[:1], k=5, allowed=np.zeros(50, bool))

    assert len(hits.rows) == 0


@every_index
def test_a_query_of_another_dimension_is_refused_with_both_numbers(
    build: Build, vectors: np.ndarray
) -> None:
    with pytest.raises(DimensionMismatch, match=r"5 dimensions.*8-dimensional"):
        build(vectors).search(np.ones((1, 5), dtype="float32"), k=1)


@every_index
@pytest.mark.parametrize(("number", "fault"), UNFIT.values(), ids=UNFIT)
def test_vectors_that_are_not_numbers_are_refused_when_they_are_stored(
    build: Build, vectors: np.ndarray, number: float, fault: str
) -> None:
    vectors[3, 2] = number

    with pytest.raises(UnfitVectors, match=f"vector 3 of 50 {fault}"):
        build(vectors)


@every_index
@pytest.mark.parametrize(("number", "fault"), UNFIT.values(), ids=UNFIT)
def test_vectors_that_are_not_numbers_are_refused_when_they_are_asked(
    build: Build, vectors: np.ndarray, number: float, fault: str
) -> None:
    index, query = build(vectors), vectors[:1].copy()
    query[0, 0] = number

    with pytest.raises(UnfitVectors, match=f"query: vector 0 of 1 {fault}"):
        index.search(query, k=1)


@every_index
def test_a_vector_of_zero_length_is_refused(build: Build, vectors: np.ndarray) -> None:
    vectors[9] = 0

    with pytest.raises(UnfitVectors, match="vector 9 of 50 has zero length"):
        build(vectors)


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat", "HNSW8"])
def test_a_saved_index_answers_as_it_did(vectors: np.ndarray, tmp_path: Path, factory: str) -> None:
    index = FaissIndex.build(vectors, factory)
    index.effort, index.recall = 4, 0.9
    index.save(tmp_path / "x.faiss")

    opened = FaissIndex.open(tmp_path / "x.faiss", vectors)

    assert (opened.effort, opened.recall) == (index.effort, index.recall)
    for before, after in zip(index.search(vectors, 5), opened.search(vectors, 5), strict=True):
        np.testing.assert_array_equal(before.rows, after.rows)


@pytest.mark.parametrize("build", OF_SOME_ROWS.values(), ids=OF_SOME_ROWS)
def test_rows_without_a_vector_are_never_found(build: BuildSome, vectors: np.ndarray) -> None:
    vectors[::2] = 0
    index = build(vectors, np.flatnonzero(vectors.any(axis=1)))

    [hits] = index.search(vectors[1:2], k=50)
    [few] = index.search(vectors[1:2], k=50, allowed=np.arange(50) < 10)

    assert index.size == 50
    assert set(hits.rows) == set(range(1, 50, 2))
    assert set(few.rows) == {1, 3, 5, 7, 9}


@pytest.mark.parametrize("name", BUILDERS)
def test_scores_are_inner_products_and_nearly_so_where_vectors_are_compressed(
    name: str, vectors: np.ndarray
) -> None:
    [hits] = BUILDERS[name](vectors).search(vectors[:1], k=20)

    off = {"svs-LVQ8": 5e-3, "svs-float16": 5e-4}.get(name, 1e-5)
    np.testing.assert_allclose(hits.scores, vectors[hits.rows] @ vectors[0], atol=off)


@every_index
def test_queries_asked_together_are_answered_as_alone(build: Build, vectors: np.ndarray) -> None:
    index, some = build(vectors), np.arange(50) % 3 == 0

    for allowed in (None, some):
        together = index.search(vectors[:4], 7, allowed)
        alone = [index.search(vectors[i : i + 1], 7, allowed)[0] for i in range(4)]

        for one, other in each(zip(together, alone, strict=True)):
            np.testing.assert_array_equal(one.rows, other.rows)


@pytest.mark.parametrize(
    "name",
    sorted(BUILDERS.keys() - {"faiss-ivf", "faiss-graph-compressed", "svs-float16", "svs-LVQ8"}),
)  # which have nothing to train on; planning gives way to a flat one
def test_an_index_without_vectors_answers_with_nothing(name: str) -> None:
    index = BUILDERS[name](np.empty((0, 4), "float32"))

    [hits] = index.search(np.ones((1, 4), "float32"), k=5)

    assert (index.size, index.dim, len(hits.rows)) == (0, 4, 0)


@every_index
def test_who_asks_for_nothing_gets_nothing(build: Build, vectors: np.ndarray) -> None:
    index = build(vectors)

    [hits] = index.search(vectors[:1], k=0)
    [filtered] = index.search(vectors[:1], k=0, allowed=np.arange(50) < 40)

    assert len(hits.rows) == len(filtered.rows) == 0


def test_a_factory_string_that_faiss_does_not_know_is_named(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"index.factory='Nonsense' is not a FAISS factory"):
        FaissIndex.build(vectors, "Nonsense")


@pytest.mark.parametrize("factory", ["IVF256,Flat", "PQ4"])
def test_a_factory_that_needs_more_vectors_says_how_many_there_are(
    vectors: np.ndarray, factory: str
) -> None:
    with pytest.raises(IndexFault, match="cannot be trained on 50 vectors"):
        FaissIndex.build(vectors, factory)


@given(
    vectors=arrays(
        "float32",
        st.tuples(st.integers(1, 40), st.just(4)),
        elements=st.floats(-1, 1, width=16),
    ).filter(lambda found: bool(found.any(axis=1).all())),
    k=st.integers(1, 50),
)
@settings(max_examples=60, deadline=None)
def test_flat_faiss_agrees_with_brute_force(vectors: np.ndarray, k: int) -> None:
    exact = ExactIndex(vectors).search(vectors, k)
    faiss = FaissIndex.build(vectors).search(vectors, k)

    for a, b in each(zip(exact, faiss, strict=True)):
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
