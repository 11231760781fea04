"""Seasonal sales by hand: which purchases count, in which week, and how much around a moment."""

import numpy as np
import pytest

from retrieval.behaviour.purchases import DAY, Purchases
from retrieval.behaviour.season import WEEKS, in_week, week_of, weeks

UNTIL = int(np.datetime64("2011-10-01", "s").astype(int))


def bought(*days_ago: float) -> Purchases:
    """Return a log in which product `i` was bought so many days before UNTIL."""
    seconds = np.array([UNTIL - int(days * DAY) for days in days_ago], np.int64)
    rows = np.arange(len(seconds))
    none = np.zeros(len(seconds), np.int64)
    return Purchases(*({"seconds": seconds, "rows": rows}.get(f, none) for f in Purchases._fields))


@pytest.mark.parametrize(
    ("days_ago", "counts"),
    [(3, 0), (180, 0), (200, 0), (200.01, 1), (300, 1), (396, 1), (396.5, 0), (500, 0)],
)
def test_only_purchases_of_last_year_are_a_season(days_ago: float, counts: int) -> None:
    table = weeks(bought(days_ago), 1, UNTIL)

    assert table.sum() == counts
    assert table.shape == (WEEKS * counts, 1)


def test_what_sold_in_the_weeks_just_past_is_no_season_beside_what_sold_last_year() -> None:
    table = weeks(bought(365, 4), 2, UNTIL)

    now = in_week(table, int(week_of(UNTIL)))

    assert now is not None
    assert now.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("day", "week"),
    [
        ("2011-01-01", 0),
        ("2011-01-07", 0),
        ("2011-01-08", 1),
        ("2011-12-24", 51),
        ("2012-12-31", 51),
    ],
)
def test_a_week_has_seven_days_and_the_last_one_those_that_are_left_over(
    day: str, week: int
) -> None:
    assert week_of(np.array([second(day), second(day) + DAY - 1])).tolist() == [week, week]


def test_purchases_of_one_week_add_up_by_product() -> None:
    log = bought(300, 300, 300)._replace(rows=np.array([1, 1, 0]))

    table = weeks(log, 2, UNTIL)

    [week] = np.flatnonzero(table.sum(axis=1))
    assert (week, table[week].tolist()) == (week_of(UNTIL - 300 * DAY), [1.0, 2.0])


@pytest.mark.parametrize("week", [10, 50, 51, 0])
def test_the_weeks_around_a_moment_count_less_the_further_they_are(week: int) -> None:
    table = np.eye(WEEKS, dtype=np.float32)
    at = second("2011-01-01") + 7 * week * DAY

    now = in_week(table, int(week_of(at)))

    assert now is not None
    around = [now[(week + ahead) % WEEKS] for ahead in range(-2, 4)]
    assert around == [0, 0.5, 1, 1, 0.5, 0]
    assert now.sum() == 3


def test_a_season_in_which_nothing_sold_is_silent() -> None:
    assert in_week(np.zeros((WEEKS, 2), np.float32), int(week_of(UNTIL))) is None
    assert in_week(np.zeros((0, 2), np.float32), int(week_of(UNTIL))) is None


def second(day: str) -> int:
    return int(np.datetime64(day, "s").astype(int))
