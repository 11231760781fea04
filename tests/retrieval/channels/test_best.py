import numpy as np
import pytest

from retrieval.channels.habit import SAMPLED, best
from retrieval.encoded_query import EncodedQuery

ROWS, MOST = 4_000, 50


def scores(seed: int, share: float, digits: int) -> np.ndarray:
    """Return scores of which a share is above 0, with many ties where they have few digits."""
    random = np.random.default_rng(seed)
    found = np.round(random.random(ROWS, np.float32), digits)
    found[random.random(ROWS) > share] = -1
    return found


@pytest.mark.parametrize("share", [0.0, 0.005, 0.3, 1.0])
@pytest.mark.parametrize("digits", [1, 7])
@pytest.mark.parametrize("passing", [0.5, 1.0])
def test_the_best_are_those_of_a_full_sort(share: float, digits: int, passing: float) -> None:
    given = scores(1, share, digits)
    allowed = np.random.default_rng(2).random(ROWS) < passing

    found = best(given, MOST, EncodedQuery(allowed=None if passing == 1 else allowed))

    rows = [row for row in np.argsort(-given, kind="stable") if given[row] > 0 and allowed[row]]
    assert found.rows.tolist() == rows[:MOST]
    np.testing.assert_array_equal(found.scores, given[rows[:MOST]])


def test_the_best_are_found_where_the_scores_that_are_looked_at_first_mislead() -> None:
    given = np.full(ROWS, 0.1, np.float32)
    given[::SAMPLED] = 2.0
    given[1:MOST] = np.linspace(9, 3, MOST - 1)

    found = best(given, 300, EncodedQuery())

    assert found.rows.tolist() == np.argsort(-given, kind="stable")[:300].tolist()
