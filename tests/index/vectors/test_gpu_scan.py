from pathlib import Path

import faiss
import numpy as np
import pytest
import torch

from index import (
    ExactIndex,
    FaissIndex,
    GpuScan,
    IndexFault,
    num_gpus,
    open_index,
    open_on_gpu,
    save_index,
    why_no_cagra,
)
from index.types import FilterPlan, Way
from index.vectors.approximate import ApproximateIndex
from index.vectors.planning.designs import design_named
from index.vectors.scans.gpu_scan import SPARE
from tests.assertions import each

faiss_sees_a_card = pytest.mark.skipif(not num_gpus(), reason="FAISS sees no GPU here")
cagra_is_here = pytest.mark.skipif(bool(why_no_cagra()), reason=why_no_cagra() or "it is")
torch_sees_a_card = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch sees no GPU here"
)


def unit(*shape: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=shape).astype("float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.gpu
@torch_sees_a_card
def test_a_scan_on_a_card_answers_as_exact_search() -> None:
    vectors, queries = unit(20_000, 384), unit(10, 384)
    allowed = np.random.default_rng(1).random(len(vectors)) < 0.3

    for mask in (None, allowed):
        found = GpuScan(vectors).search(queries, 100, mask)
        true = ExactIndex(vectors).search(queries, 100, mask)
        for a, b in each(zip(found, true, strict=True)):
            np.testing.assert_array_equal(a.rows, b.rows)
            np.testing.assert_allclose(a.scores, b.scores, rtol=1e-6)


def test_a_filtered_scan_says_that_it_compared_all_that_pass() -> None:
    vectors = unit(100, 16)

    [hits] = GpuScan(vectors, device="cpu").search(vectors[:1], 5, np.arange(100) < 30)

    assert hits.plan == FilterPlan(way=Way.SCAN, passed=30, of=100, effort=0, exactness=1.0)


@pytest.mark.gpu
@torch_sees_a_card
def test_more_equal_vectors_than_are_spared_are_all_answers() -> None:
    vectors = np.tile(unit(1, 384), (10 * SPARE, 1))

    [hits] = GpuScan(vectors).search(vectors[:1], 10)

    np.testing.assert_allclose(hits.scores, 1, atol=1e-6)


@pytest.mark.gpu
@torch_sees_a_card
def test_where_there_is_a_card_a_saved_index_is_searched_on_it(tmp_path: Path) -> None:
    vectors = unit(500, 16)
    rows = np.arange(0, 500, 2)
    FaissIndex.build(vectors, rows=rows).save(tmp_path / "some.faiss")

    index = open_on_gpu(tmp_path / "some.faiss", vectors)

    assert isinstance(index, GpuScan)
    [hits] = index.search(vectors[:1], 10)
    assert set(hits.rows) <= set(rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
def test_without_a_card_a_saved_index_is_searched_on_the_processor(tmp_path: Path) -> None:
    vectors = unit(50, 16)
    FaissIndex.build(vectors).save(tmp_path / "some.faiss")

    assert isinstance(open_on_gpu(tmp_path / "some.faiss", vectors), FaissIndex)


def test_what_does_not_fit_on_a_card_is_searched_on_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = unit(50, 16)
    FaissIndex.build(vectors).save(tmp_path / "some.faiss")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (50 * 16 * 2, 10**9))

    assert isinstance(open_on_gpu(tmp_path / "some.faiss", vectors), FaissIndex)


@pytest.mark.gpu
@faiss_sees_a_card
@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "HNSW16"])
def test_an_index_built_on_a_card_is_served_on_the_processor(factory: str) -> None:
    vectors = unit(2_000, 32)

    index = FaissIndex.build(vectors, factory)
    index.effort = index.most_effort

    answers = index.search(vectors[:50], k=1)
    assert [hits.rows[0] for hits in answers] == list(range(50))


@pytest.mark.gpu
@cagra_is_here
def test_a_graph_of_a_card_is_saved_and_walked_by_the_processor(tmp_path: Path) -> None:
    vectors = unit(5_000, 32)
    built = design_named("cagra").build(vectors, np.arange(0, 5_000, 2))
    save_index(built, tmp_path / "some.faiss")

    index = open_index(tmp_path / "some.faiss", vectors)
    index.effort = 200

    assert found_themselves(index, vectors) >= 0.95
    assert found_themselves(index, vectors, np.arange(5_000) % 4 == 0) >= 0.95


def test_a_graph_of_a_card_is_walked_where_there_is_none(tmp_path: Path) -> None:
    vectors, rows = unit(5_000, 32), np.arange(0, 5_000, 2)
    graph = faiss.IndexHNSWCagra(32, 32, faiss.METRIC_INNER_PRODUCT)  # what a GPU hands over
    graph.add(vectors[rows])
    save_index(FaissIndex(graph, vectors, rows), tmp_path / "some.faiss")

    index = open_index(tmp_path / "some.faiss", vectors)
    index.effort = 200

    assert index.shape.kind == "graph"
    assert found_themselves(index, vectors) >= 0.95
    assert found_themselves(index, vectors, np.arange(5_000) % 4 == 0) >= 0.95


def found_themselves(
    index: ApproximateIndex, vectors: np.ndarray, allowed: np.ndarray | None = None
) -> float:
    """Return which share of some vectors is its own nearest among those that may be found."""
    asked = np.arange(0, 400, 4)
    found = [hits.rows[0] for hits in index.search(vectors[asked], 10, allowed)]
    return float(np.mean(np.array(found) == asked))


@pytest.mark.skipif(not why_no_cagra(), reason="CAGRA can be built here")
def test_where_no_card_can_build_a_graph_that_is_asked_for_the_reason_is_said() -> None:
    design = design_named("cagra")

    assert design.why_not(5_000, 32) == why_no_cagra()
    with pytest.raises(IndexFault, match=r"index\.kind='cagra' cannot be built here: FAISS"):
        design.build(unit(5_000, 32), np.arange(5_000))


def test_without_a_card_there_are_none() -> None:
    if hasattr(faiss, "get_num_gpus"):
        assert num_gpus() == faiss.get_num_gpus()
    else:
        assert num_gpus() == 0
