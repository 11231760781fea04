from datetime import datetime

import numpy as np
import pytest

from ranking.features.context import context
from retrieval import Placement, Scene
from retrieval.behaviour.purchases import DAY, NO_HISTORY, History
from retrieval.context_facts import FACT_BUCKETS, hashed_fact, holiday_ahead, scene_facts
from retrieval.types import local_seconds

THANKSGIVING_EVE = datetime(2017, 11, 22, 18, 30)


def test_a_scene_is_told_in_facts() -> None:
    scene = Scene(placement=Placement.CART, device="phone", country="US")

    facts = scene_facts(local_seconds(THANKSGIVING_EVE), scene)

    assert facts == [
        "hour=18",
        "weekday=2",
        "month=11",
        "holiday=Thanksgiving Day",
        "placement=cart",
        "device=phone",
    ]


@pytest.mark.parametrize("country", ["", "US", "XX", "no such country", "DE"])
def test_any_country_is_a_country_or_has_no_holidays(country: str) -> None:
    assert isinstance(holiday_ahead(THANKSGIVING_EVE.toordinal(), country), str)


def test_recent_products_are_distinct_newest_first_with_their_age_and_count() -> None:
    history = History(
        np.array([7, 8, 7, 9], np.int32),
        np.array([1, 2, 3, 3]) * DAY,
        np.array([1, 2, 3, 3], np.int64),
    )

    seen = context(history, 4 * DAY, {}, Scene(), None, 5)

    assert seen.recent.tolist() == [9, 7, 8, -1, -1]
    assert seen.recent_facts[:3].tolist() == pytest.approx(
        np.array([[np.log(2), 0], [np.log(2), np.log(2)], [np.log(3), 0]]), rel=1e-6
    )


def test_facts_have_the_same_code_on_every_machine() -> None:
    assert hashed_fact("hour=18") == hashed_fact("hour=18")
    assert 0 < hashed_fact("trait age=45-54") < FACT_BUCKETS
    assert [hashed_fact("hour=18"), hashed_fact("month=1")] == [50, 132]


def test_more_traits_than_there_is_room_for_are_cut() -> None:
    traits = {f"t{i}": "x" * 1000 for i in range(100)}

    seen = context(NO_HISTORY, 0, traits, Scene(), None, 3)

    assert (seen.facts > 0).all()
