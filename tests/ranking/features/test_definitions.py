import math

import numpy as np
import pytest

from ranking.features.definitions import (
    FEATURES,
    NAMES,
    NEVER_DAYS,
    PAST,
    WORD_FEATURES,
    Catalogue,
    Matches,
    compute,
    shopper,
)
from ranking.slate.reasons import reasons
from retrieval.behaviour.purchases import DAY, NO_HISTORY, Purchases
from retrieval.behaviour.tables import Behaviour
from tests.assertions import each, every

NOW = 100 * DAY
LOG = [  # user, product, day, basket
    (0, 0, 10, 1),
    (0, 0, 20, 2),
    (0, 1, 20, 2),
    (1, 0, 90, 3),
    (1, 2, 90, 3),
    (1, 2, 99, 4),
]


@pytest.fixture
def behaviour() -> Behaviour:
    users, rows, days, baskets = (np.array(column) for column in zip(*LOG, strict=True))
    purchases = Purchases(
        users.astype(np.int32), rows.astype(np.int32), days * DAY, baskets.astype(np.int64)
    )
    return Behaviour.build(np.array(["ann", "bob"]), purchases, 5, NOW)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(np.array([0, 0, 1, 1, 2], np.int32), np.array([2, 4, 0, 8, 1], np.float32))


def features_of(
    behaviour: Behaviour, catalogue: Catalogue, user: str, rows: list[int]
) -> list[dict[str, float]]:
    person = shopper(catalogue, behaviour.history(user, NOW), NOW)
    table = compute(behaviour, catalogue, person, np.array(rows), Matches(len(rows), {}))
    return [dict(zip(NAMES, map(float, row), strict=True)) for row in table]


def test_a_habit_is_counted_decayed_and_dated(behaviour: Behaviour, catalogue: Catalogue) -> None:
    [own] = features_of(behaviour, catalogue, "ann", [0])

    assert own["frequency_60"] == pytest.approx(
        math.log(2 ** (-90 / 60) + 2 ** (-80 / 60) + 0.01), rel=1e-5
    )
    assert own["days_since"] == pytest.approx(math.log1p(80), rel=1e-5)
    assert own["bought_before"] == 1
    assert own["basket_share"] == 1.0
    assert own["category_share"] == pytest.approx(
        (2 ** (-90 / 365) + 2 ** (-80 / 365)) / (2 ** (-90 / 365) + 2 * 2 ** (-80 / 365)), rel=1e-5
    )


def test_what_was_never_bought_says_so(behaviour: Behaviour, catalogue: Catalogue) -> None:
    [never] = features_of(behaviour, catalogue, "ann", [3])

    assert never["bought_before"] == 0
    assert never["days_since"] == pytest.approx(math.log1p(NEVER_DAYS), rel=1e-5)
    assert never["rhythm"] == 5.0


def test_a_stranger_has_features_too(behaviour: Behaviour, catalogue: Catalogue) -> None:
    for own in each(features_of(behaviour, catalogue, "nobody", [0, 4])):
        assert every(math.isfinite(value) for value in own.values())
        assert own["history_baskets"] == 0


def test_where_nothing_is_known_every_feature_is_its_stated_default(
    behaviour: Behaviour, catalogue: Catalogue
) -> None:
    unpriced = catalogue._replace(prices=np.zeros(5, np.float32))

    [unknown] = features_of(behaviour, unpriced, "nobody", [4])

    stated = {feature.name: feature.default for feature in FEATURES}
    wrong = {
        name: (stated[name], value)
        for name, value in unknown.items()
        if stated[name] != pytest.approx(value, rel=1e-6, abs=1e-6)
    }
    assert wrong == {}


def test_a_candidate_has_the_same_features_whoever_stands_beside_it(
    behaviour: Behaviour, catalogue: Catalogue
) -> None:
    together = features_of(behaviour, catalogue, "bob", [2, 0, 4, 1])

    alone = [features_of(behaviour, catalogue, "bob", [row])[0] for row in (2, 0, 4, 1)]

    assert together == alone


def test_nothing_after_the_moment_is_seen(behaviour: Behaviour, catalogue: Catalogue) -> None:
    early = behaviour.history("bob", 95 * DAY)

    person = shopper(catalogue, early, 95 * DAY)

    assert person.num_baskets == 1
    assert early.rows.tolist() == [0, 2]


def test_a_price_is_compared_with_what_this_person_pays(
    behaviour: Behaviour, catalogue: Catalogue
) -> None:
    unknown, dear = features_of(behaviour, catalogue, "ann", [2, 3])

    assert (unknown["price"], unknown["price_habit"]) == (0, 0)
    usual = (2 * math.log(2) + math.log(4)) / 3
    assert dear["price_habit"] == pytest.approx(math.log(8) - usual, rel=1e-5)


def test_words_are_measured_against_the_best_candidate(
    behaviour: Behaviour, catalogue: Catalogue
) -> None:
    found = np.array([2, 4, 0], np.float32)
    matches = Matches(3, {"semantic": found, "lexical": found, "ease": found})
    person = shopper(catalogue, NO_HISTORY, NOW)

    table = compute(behaviour, catalogue, person, np.array([0, 1, 2]), matches)

    assert table[:, NAMES.index("words_match")].tolist() == [0.5, 1, 0]
    assert table[:, NAMES.index("text_match")].tolist() == [2, 4, 0]
    assert table[:, NAMES.index("ease_score")].tolist() == [2, 4, 0]
    assert table[:, NAMES.index("next_score")].tolist() == [0, 0, 0]  # it was not asked


def test_what_the_words_say_is_taken_over_and_the_rest_has_its_default(
    behaviour: Behaviour, catalogue: Catalogue
) -> None:
    person = shopper(catalogue, NO_HISTORY, NOW)
    matches = Matches(2, {}, {"rare_title": np.array([0.5, 1], np.float32)})

    table = compute(behaviour, catalogue, person, np.array([0, 1]), matches)

    assert table[:, NAMES.index("rare_title")].tolist() == [0.5, 1]
    for feature in WORD_FEATURES[1:]:
        assert table[:, NAMES.index(feature.name)].tolist() == [feature.default] * 2


def test_what_only_the_past_tells_are_features_of_it() -> None:
    assert set(PAST) <= set(NAMES)


def test_every_feature_has_a_name_of_its_own_a_unit_and_a_meaning() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert every(f.unit and f.meaning for f in FEATURES)


def test_reasons_are_said_in_the_order_of_their_strength(
    behaviour: Behaviour, catalogue: Catalogue
) -> None:
    [own] = features_of(behaviour, catalogue, "bob", [2])

    assert reasons(own) == ("in most of your last baskets", "you bought it yesterday")
    assert reasons({}) == ()


def test_a_thing_is_said_once() -> None:
    due = {**dict.fromkeys(NAMES, 0.0), "bought_before": 1, "rhythm": 1, "days_since": 2.2}

    assert reasons(due) == ("you may need it again: last bought 8 days ago",)
