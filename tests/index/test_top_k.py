import numpy as np
import pytest

from index.top_k import best


@pytest.mark.parametrize("k", [0, 1, 7, 60, 200, 500])
@pytest.mark.parametrize("levels", [3, 1_000_000])
def test_the_best_come_first_and_of_equals_the_lower_rows(k: int, levels: int) -> None:
    random = np.random.default_rng(k)
    rows = random.permutation(1_000)[:200]
    scores = (random.integers(0, levels, 200) / levels).astype("float32")

    hits = best(rows, scores, k)

    order = sorted(range(200), key=lambda place: (-scores[place], rows[place]))[:k]
    assert list(hits.rows) == list(rows[order])
    assert list(hits.scores) == list(scores[order])
