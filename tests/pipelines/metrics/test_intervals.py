"""Resampling by hand: quantiles, the finest p-value, and what is in memory at once."""

import numpy as np
import pytest

from pipelines.metrics import intervals
from pipelines.metrics.intervals import (
    RESAMPLES,
    interval_of,
    mean_interval,
    randomisation_test,
    resampled_means,
)


def test_an_interval_leaves_out_one_sample_in_forty_on_each_side() -> None:
    found = interval_of(7.0, np.arange(10_001, dtype=float))

    assert (found.mean, found.low, found.high) == pytest.approx((7.0, 250.0, 9_750.0))


def test_two_queries_have_an_interval() -> None:
    [found] = mean_interval(np.array([[1.0], [3.0]]))

    assert (found.mean, found.low, found.high) == (2.0, 1.0, 3.0)


def test_ten_thousand_exchanges_give_no_smaller_p_value_than_one_in_ten_thousand_and_one() -> None:
    assert randomisation_test(np.ones((60, 1))).tolist() == [1 / 10_001]


@pytest.mark.parametrize(
    ("shape", "most"), [((5, 2), 10_000), ((1_000, 8), 500), ((3_000, 2_000), 1)]
)
def test_no_more_samples_are_in_memory_than_their_numbers_have_room(
    shape: tuple[int, int], most: int
) -> None:
    at_once = intervals._chunks(np.broadcast_to(0.0, shape))

    assert (max(at_once), sum(at_once)) == (most, RESAMPLES)


def test_samples_are_as_many_however_many_are_in_memory_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intervals, "CELLS_AT_ONCE", 21)

    means = resampled_means(np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]]))

    assert means.shape == (RESAMPLES, 2)
    assert means[:, 1].tolist() == [5.0] * RESAMPLES
    assert means[:, 0].mean() == pytest.approx(1.0, abs=0.02)
    assert means[:, 0].std() == pytest.approx((2 / 9) ** 0.5, abs=0.02)
