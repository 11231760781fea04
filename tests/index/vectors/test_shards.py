"""An index that is built in shards, from vectors that are only read in parts."""

from pathlib import Path

import numpy as np
import pytest

from index import ExactIndex, IndexFault, UnfitVectors, VectorIndex
from index.errors import DamagedIndex
from index.vectors.libraries.shards import (
    GIB,
    build_shards,
    exact_stream,
    open_sharded,
    plan_shards,
    read_vectors,
    tune,
)
from tests.assertions import each

SIZE, DIM = 3_000, 16


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    drawn = np.random.default_rng(0).normal(size=(SIZE, DIM))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("float32")


@pytest.fixture(scope="module")
def source(vectors: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "vectors.npy"
    np.save(path, vectors)
    return path


@pytest.fixture(scope="module")
def built(source: Path) -> Path:
    """An index of many small shards, moved after it was built as a release is."""
    with pytest.MonkeyPatch.context() as small:
        small.setattr("index.vectors.libraries.shards.plan_shards", few_rows_a_shard)
        build_shards(source, source.parent / "draft/joined.faiss", memory=8 * GIB)
    moved = source.parent / "published"
    (source.parent / "draft").rename(moved)
    return moved / "joined.faiss"


def few_rows_a_shard(count: int, dim: int, memory: int, processes: int) -> object:
    return plan_shards(count, dim, memory, processes)._replace(shard=700)


def test_a_build_in_shards_leaves_three_files_and_no_scratch(built: Path) -> None:
    names = sorted(path.name for path in built.parent.iterdir())

    assert names == ["joined.faiss", "joined.lists", "joined.rows.npy"]


def test_all_cells_give_the_exact_answer(built: Path, vectors: np.ndarray) -> None:
    index = open_sharded(built, vectors)
    index.effort = index.most_effort

    found, true = index.search(vectors[:40], 10), ExactIndex(vectors).search(vectors[:40], 10)

    assert isinstance(index, VectorIndex)
    for one, other in zip(found, true, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)


def test_the_effort_is_raised_to_the_recall_that_is_wanted_and_kept(
    built: Path, source: Path, vectors: np.ndarray
) -> None:
    index = open_sharded(built, vectors)

    measured = tune(index, source, vectors[:50], k=10, target=0.97)
    index.save_effort(built)

    assert measured.recall >= 0.97
    assert open_sharded(built, vectors).effort == measured.effort > 8


def test_a_filter_keeps_what_passes(built: Path, vectors: np.ndarray) -> None:
    index, allowed = open_sharded(built, vectors), np.arange(SIZE) % 50 == 0

    [hits] = index.search(vectors[:1], 100, allowed)

    assert set(hits.rows) == set(np.flatnonzero(allowed))


def test_rows_without_a_vector_are_left_out(vectors: np.ndarray, tmp_path: Path) -> None:
    some = vectors[:200].copy()
    some[::2] = 0
    np.save(tmp_path / "some.npy", some)
    build_shards(tmp_path / "some.npy", tmp_path / "x.faiss", np.arange(1, 200, 2), memory=8 * GIB)

    [hits] = open_sharded(tmp_path / "x.faiss", some).search(some[1:2], 200)

    assert set(hits.rows) <= set(range(1, 200, 2))
    assert hits.rows[0] == 1


def test_streamed_exact_search_is_exact_search(source: Path, vectors: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as small:
        small.setattr("index.vectors.libraries.shards.CHUNK", 137)
        found = exact_stream(source, vectors[:5], 20)

    for one, other in each(zip(found, ExactIndex(vectors).search(vectors[:5], 20), strict=True)):
        np.testing.assert_array_equal(one.rows, other.rows)


def test_vectors_are_read_by_row(source: Path, vectors: np.ndarray) -> None:
    rows = np.array([3, 4, 90, 2_999])

    np.testing.assert_array_equal(read_vectors(source, rows), vectors[rows])


def test_a_vector_that_is_no_number_is_named_and_nothing_is_left(
    vectors: np.ndarray, tmp_path: Path
) -> None:
    broken = vectors.copy()
    broken[1_001, 3] = np.nan
    np.save(tmp_path / "broken.npy", broken)

    with pytest.raises(UnfitVectors, match="is not a number"):
        build_shards(tmp_path / "broken.npy", tmp_path / "x.faiss", memory=8 * GIB)

    assert [path.name for path in tmp_path.iterdir()] == ["broken.npy"]


def test_a_file_of_other_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.ones((5, 4)))

    with pytest.raises(IndexFault, match=r"wide\.npy holds float64 of shape \(5, 4\)"):
        build_shards(tmp_path / "wide.npy", tmp_path / "x.faiss", memory=8 * GIB)


def test_an_index_of_other_vectors_is_refused(built: Path) -> None:
    with pytest.raises(DamagedIndex, match="holds 3000 vectors of 16 dimensions"):
        open_sharded(built, np.ones((SIZE, 8), "float32"))


def test_five_million_vectors_are_planned_within_twelve_gibibytes_and_not_within_one() -> None:
    plan = plan_shards(5_000_000, 384, 12 * GIB)

    assert (plan.cells, plan.processes) == (4096, 2)
    assert plan.shard * plan.processes * 2 * (384 + 8) < 10 * GIB
    with pytest.raises(IndexFault, match=r"GiB to be built, and 1\.0 are allowed"):
        plan_shards(5_000_000, 384, GIB)
