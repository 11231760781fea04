import numpy as np
import pytest

from retrieval.behaviour.purchases import DAY, Purchases
from retrieval.behaviour.season import week_of, weeks

UNTIL = int(np.datetime64("2011-10-01", "s").astype(int))


def counted(age_days: int) -> np.ndarray:
    """Return the counts of a product that was bought so long ago, beside one of last winter."""
    seconds = np.array([UNTIL - 300 * DAY, UNTIL - age_days * DAY])
    log = Purchases(np.zeros(2, np.int32), np.arange(2, dtype=np.int32), seconds, np.arange(2))
    return weeks(log, 2, UNTIL)


@pytest.mark.parametrize(
    ("age_days", "times"), [(1, 0), (20, 0), (199, 0), (201, 1), (365, 1), (395, 1), (400, 0)]
)
def test_only_what_was_bought_last_year_is_of_a_season(age_days: int, times: int) -> None:
    counts = counted(age_days)

    assert counts[:, 1].sum() == times
    assert counts[:, 0].sum() == 1


def test_a_purchase_counts_in_its_week_of_the_year() -> None:
    counts = counted(250)

    expected = week_of(np.array([UNTIL - 250 * DAY]))
    assert np.flatnonzero(counts[:, 1]).tolist() == expected.tolist()
