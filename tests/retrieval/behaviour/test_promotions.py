from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.behaviour.promotions import (
    NO_PROMOTIONS,
    NO_RUNS,
    Runs,
    by_product,
    open_promotions,
    save_promotions,
    shares_at,
)
from retrieval.types import PromotionKind

ROWS = np.arange(6)


def runs(*found: tuple[int, int, int, float]) -> Runs:
    """Return runs of (row, start, end, share)."""
    rows, starts, ends, shares = np.array(found).T
    return by_product(
        rows.astype(np.int32),
        starts.astype(np.int64),
        ends.astype(np.int64),
        shares.astype(np.float32),
        len(ROWS),
    )


def test_a_promotion_runs_from_its_start_until_before_its_end() -> None:
    one = runs((2, 100, 200, 0.5))

    seen = [shares_at(one, np.array([2]), at)[0] for at in (99, 100, 199, 200)]

    assert seen == [0, 0.5, 0.5, 0]


def test_of_several_runs_the_one_counts_that_began_last() -> None:
    several = runs((1, 0, 1_000, 0.25), (1, 100, 200, 0.75), (3, 50, 60, 1.0))

    assert shares_at(several, ROWS, 150).tolist() == [0, 0.75, 0, 0, 0, 0]
    assert shares_at(several, ROWS, 55).tolist() == [0, 0.25, 0, 1, 0, 0]


def test_a_run_that_ends_before_it_starts_is_none() -> None:
    assert shares_at(runs((1, 100, 50, 1.0)), ROWS, 75).tolist() == [0] * 6
    assert shares_at(NO_RUNS, ROWS, 75).tolist() == [0] * 6


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50), st.integers(1, 30)), min_size=1),
    st.integers(-5, 90),
)
def test_shares_are_what_looking_through_all_runs_gives(
    found: list[tuple[int, int, int]], at: int
) -> None:
    several = runs(*((row, start, start + long, 0.5) for row, start, long in found))
    newest = {
        row: max((s, long) for r, s, long in found if r == row and s <= at)
        for row in range(6)
        if any(r == row and s <= at for r, s, _ in found)
    }
    # of runs that began together, any may count: only whether one of them runs is compared
    together = {
        row: {start + long > at for r, start, long in found if r == row and start == newest[row][0]}
        for row in newest
    }

    shares = shares_at(several, ROWS, at)

    for row in range(6):
        assert bool(shares[row]) in together.get(row, {False})


def test_promotions_come_back_from_their_folder(tmp_path: Path) -> None:
    promotions = {**NO_PROMOTIONS, PromotionKind.OFFER: runs((4, 1, 9, 0.5))}

    save_promotions(promotions, tmp_path)
    found = open_promotions(tmp_path)

    assert shares_at(found[PromotionKind.OFFER], ROWS, 5).tolist() == [0, 0, 0, 0, 0.5, 0]
    assert not shares_at(found[PromotionKind.DISPLAY], ROWS, 5).any()
