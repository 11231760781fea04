from itertools import pairwise

import numpy as np
import pytest

from pipelines.training.towers.examples import MOST_PERIODS, BasketRequests, RequestSizes
from retrieval import Placement, Scene
from retrieval.behaviour.purchases import DAY, Purchases
from retrieval.behaviour.relations import BehaviourSettings
from retrieval.behaviour.tables import Behaviour
from retrieval.context_facts import facts_of, hashed_fact

NUM_PRODUCTS, NUM_USERS = 30, 50


def requests_of(baskets: int) -> BasketRequests:
    """Return baskets of three products, one a day, each of another shopper in turn."""
    random = np.random.default_rng(1)
    numbers = np.repeat(np.arange(baskets), 3)
    log = Purchases(
        (numbers % NUM_USERS).astype(np.int32),
        random.integers(0, NUM_PRODUCTS, 3 * baskets).astype(np.int32),
        numbers * DAY,
        numbers,
    )
    names = np.array(sorted(str(user) for user in range(NUM_USERS)))
    behaviour = Behaviour.build(
        names, log, NUM_PRODUCTS, baskets * DAY, BehaviourSettings(tables=())
    )
    titles = np.arange(NUM_PRODUCTS)
    traits = {names[0]: {"age": "old"}}
    return BasketRequests(behaviour, titles, traits, None, RequestSizes(4, 0, 5), "DE")


@pytest.mark.parametrize("baskets", [1, 100, 1_000])
def test_no_request_is_older_than_the_start_of_its_period(baskets: int) -> None:
    requests = requests_of(baskets)

    starts, period_of = requests.periods()

    at = requests._behaviour.purchases.entries.seconds[requests._starts]
    assert len(period_of) == requests.size == baskets
    assert (at >= starts[period_of]).all()
    for number, (_, end) in enumerate(pairwise(starts.tolist())):
        assert (at[period_of == number] < end).all()
    assert 1 <= len(starts) <= MOST_PERIODS
    assert np.bincount(period_of).min() >= min(baskets, 64)


def test_the_shares_of_a_period_are_those_of_its_own_baskets() -> None:
    requests = requests_of(200)
    _, period_of = requests.periods()

    shares = requests.shares_by_period(period_of)

    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    for number, own in enumerate(shares):
        bought = np.concatenate([requests._basket(n) for n in np.flatnonzero(period_of == number)])
        assert np.flatnonzero(own).tolist() == np.unique(bought).tolist()


def test_requests_have_the_facts_of_the_shop_s_country_and_no_others() -> None:
    requests = requests_of(200)
    scene = Scene(placement=Placement.HOME, country="DE")

    facts = {hashed_fact(fact) for day in range(200) for fact in facts_of(day * DAY, {}, scene)}

    assert set(requests.facts.codes) == facts | {hashed_fact("trait age=old")}
    taken = requests.take(np.arange(20), np.random.default_rng(0)).queries.facts
    assert taken.shape[1] <= 24
    assert int(taken.max()) <= len(requests.facts.codes)
