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


def clustered(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    centres = random.normal(size=(60, 16))
    vectors = centres[random.integers(0, 60, count)] + 0.6 * random.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("float32")
