from datetime import datetime

import numpy as np
import pytest

from ranking.features.context import context
from retrieval import Placement, Scene
from retrieval.behaviour.purchases import DAY, NO_HISTORY, History
from retrieval.context_facts import (
    FACT_BUCKETS,
    FACT_CODES,
    FactVocabulary,
    hashed_fact,
    holiday_ahead,
    scene_facts,
)
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
    assert 0 < hashed_fact("trait age=45-54") < FACT_CODES
    assert [hashed_fact("hour=18"), hashed_fact("month=1")] == [
        2324627343232506095,
        800438995373323182,
    ]


def test_no_two_facts_of_a_scene_share_a_number() -> None:
    days = range(0, 2 * 365 * DAY, DAY)
    facts = {
        fact
        for country in ("US", "DE", "IT", "JP", "TR")
        for at in days
        for fact in scene_facts(at, Scene(country=country))
    }
    facts |= {f"hour={hour}" for hour in range(24)} | {f"placement={p}" for p in Placement}

    vocabulary = FactVocabulary(map(hashed_fact, facts))

    numbers = vocabulary.numbers(np.array([hashed_fact(fact) for fact in sorted(facts)]))
    assert sorted(numbers.tolist()) == list(range(1, len(facts) + 1))
    assert len(facts) > 80


def test_a_vocabulary_knows_the_facts_of_its_requests_and_no_others() -> None:
    requests = [np.array([900, 5, 0]), np.array([5, 7, 0])]

    vocabulary = FactVocabulary.of(requests)

    assert vocabulary.codes == (5, 7, 900)
    assert vocabulary.numbers(np.array([[0, 900, 6, 5], [7, 1000, -1, 0]])).tolist() == [
        [0, 3, 0, 1],
        [2, 0, 0, 0],
    ]
    assert FactVocabulary(()).numbers(np.array([3, 0])).tolist() == [0, 0]


def test_of_too_many_facts_the_most_frequent_are_learnt() -> None:
    often, seldom = np.arange(1, 501), np.arange(501, 1_501)

    vocabulary = FactVocabulary.of([often, often, seldom])

    assert len(vocabulary.codes) == FACT_BUCKETS - 1
    assert set(often.tolist()) < set(vocabulary.codes)
    with pytest.raises(ValueError, match="1024 facts; a model has 1023 at most"):
        FactVocabulary(range(1, 1_025))


def test_more_traits_than_there_is_room_for_are_cut() -> None:
    traits = {f"t{i}": "x" * 1000 for i in range(100)}

    seen = context(NO_HISTORY, 0, traits, Scene(), None, 3)

    assert (seen.facts > 0).all()
