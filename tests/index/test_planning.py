from pathlib import Path

import numpy as np
import pytest

from index import FaissIndex, build_index, plan, recall_at_k
from index.types import Hits


@pytest.mark.parametrize(
    ("num_vectors", "factory"), [(10, "Flat"), (19_999, "Flat"), (92_000, "IVF1024,Flat")]
)
def test_a_plan_follows_the_size(num_vectors: int, factory: str) -> None:
    assert plan(num_vectors) == factory


def test_effort_is_raised_until_the_recall_is_there() -> None:
    vectors = clustered(3_000)

    lazy = FaissIndex.build(vectors, "IVF128,Flat")
    lazy.effort = 1
    planned = build_index(vectors, vectors[:50], factory="IVF128,Flat", recall_target=0.99)

    truth = FaissIndex.build(vectors).search(vectors[:50], 100)
    assert planned.recall >= 0.99
    assert recall_at_k(lazy, vectors[:50], truth) < 0.99


def test_recall_counts_equal_vectors_as_right() -> None:
    vectors = np.tile(np.eye(1, 4, dtype="float32"), (10, 1))
    index = FaissIndex.build(vectors)

    truth = [Hits(np.array([8, 9]), np.ones(2, "float32"))]

    assert recall_at_k(index, vectors[:1], truth) == 1.0


def test_recall_is_the_share_that_was_found() -> None:
    class Half:
        dim, size = 4, 4

        def search(
            self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None
        ) -> list[Hits]:
            return [Hits(np.array([0]), np.ones(1, "float32")) for _ in queries]

    truth = [Hits(np.array([0, 1]), np.ones(2, "float32"))]

    assert recall_at_k(Half(), np.eye(1, 4, dtype="float32"), truth) == 0.5


def test_a_trained_index_is_filled_with_other_vectors_and_keeps_its_cells(tmp_path: Path) -> None:
    old = clustered(3_000)
    build_index(old, old[:50], factory="IVF128,Flat").built.save(tmp_path / "a.faiss")
    new = np.concatenate([old[20:], old[:7] * -1])

    planned = build_index(
        new, new[:50], factory="IVF128,Flat", recall_target=0.99, trained=tmp_path / "a.faiss"
    )

    assert planned.built.size == 2_987
    assert planned.recall >= 0.99
    assert [hits.rows[0] for hits in planned.built.search(new[-3:], 1)] == [2_984, 2_985, 2_986]
    fresh = FaissIndex.build(new, "IVF128,Flat")
    kept = FaissIndex.refilled(tmp_path / "a.faiss", new, "IVF128,Flat", np.arange(2_987))
    assert kept is not None
    fresh.effort = kept.effort = 4
    found, other = ([list(h.rows) for h in i.search(new[:50], 50)] for i in (kept, fresh))
    assert found != other  # its cells are not those that these vectors would be sorted into


@pytest.mark.parametrize("factory", ["IVF64,Flat", "IVF128,PQ4", "Flat"])
def test_nothing_is_kept_of_an_index_of_another_kind(tmp_path: Path, factory: str) -> None:
    vectors = clustered(3_000)
    FaissIndex.build(vectors, "IVF128,Flat").save(tmp_path / "a.faiss")
    FaissIndex.build(vectors, "Flat").save(tmp_path / "flat.faiss")
    rows = np.arange(3_000)

    assert FaissIndex.refilled(tmp_path / "a.faiss", vectors, factory, rows) is None
    assert FaissIndex.refilled(tmp_path / "flat.faiss", vectors, "Flat", rows) is None
    assert FaissIndex.refilled(tmp_path / "none.faiss", vectors, "Flat", rows) is None


def clustered(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    centres = random.normal(size=(60, 16))
    vectors = centres[random.integers(0, 60, count)] + 0.6 * random.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")
