from pathlib import Path

import numpy as np
import pytest

from retrieval.behaviour.purchases import DAY, Purchases, decay
from retrieval.behaviour.relations import together_scores
from retrieval.behaviour.statistics import selling_now
from retrieval.behaviour.tables import Behaviour
from retrieval.channels.habit import KindChannel, RepeatChannel, TogetherChannel, TrendingChannel
from retrieval.encoded_query import EncodedQuery
from retrieval.retriever import Retriever

LOG = [  # user, product, day, basket
    (0, 0, 10, 1),
    (0, 0, 10, 1),  # two lines of one receipt
    (2, 0, 40.5, 4),  # the same, an hour later
    (0, 1, 20, 2),
    (1, 0, 30, 3),
    (1, 1, 30, 3),
    (2, 0, 40, 4),
    (2, 1, 41, 5),
    (2, 3, 60, 6),  # after the moment
]
UNTIL = 50 * DAY


def purchases() -> Purchases:
    users, rows, days, baskets = (np.array(column) for column in zip(*LOG, strict=True))
    return Purchases(
        users.astype(np.int32),
        rows.astype(np.int32),
        (days * DAY).astype(np.int64),
        baskets.astype(np.int64),
    )


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour.build(np.array(["a", "b", "c"]), purchases(), 5, UNTIL)


def test_nothing_at_or_after_the_moment_is_kept(behaviour: Behaviour) -> None:
    assert behaviour.purchases.entries.seconds.max() < UNTIL
    assert behaviour.statistics.buyers[3] == 0
    assert 3 not in behaviour.relations.together.rows


def test_a_receipt_with_two_lines_is_one_purchase(behaviour: Behaviour) -> None:
    assert behaviour.statistics.baskets[0] == 3
    assert behaviour.history("a", UNTIL).rows.tolist() == [0, 1]


def test_a_history_ends_strictly_before_its_moment(behaviour: Behaviour) -> None:
    assert behaviour.history("a", 20 * DAY).rows.tolist() == [0]
    assert behaviour.history("a", 20 * DAY + 1).rows.tolist() == [0, 1]


@pytest.mark.parametrize("user", [None, "", "zz", "a\0", "a" * 500, "ä"])
def test_a_stranger_has_no_history(behaviour: Behaviour, user: str | None) -> None:
    assert len(behaviour.history(user, UNTIL).rows) == 0


def test_products_bought_by_the_same_people_are_neighbours(behaviour: Behaviour) -> None:
    assert behaviour.relations.together.rows[0, 0] == 1
    assert behaviour.relations.together.rows[0, 1] == -1
    assert 0 < behaviour.relations.together.weights[0, 0] < 1


def test_a_saved_table_answers_as_it_did(behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.save(tmp_path)

    opened = Behaviour.open(tmp_path)

    for user in "abc":
        for before, after in zip(
            behaviour.history(user, UNTIL), opened.history(user, UNTIL), strict=True
        ):
            np.testing.assert_array_equal(before, after)
    assert opened.until_seconds == UNTIL
    assert opened.num_products == 5


def test_a_shop_without_events_has_empty_tables(tmp_path: Path) -> None:
    nobody = Purchases(*(column[:0] for column in purchases()))

    Behaviour.build(np.array([], dtype=str), nobody, 5, UNTIL).save(tmp_path)

    assert len(Behaviour.open(tmp_path).history("a", UNTIL).rows) == 0


def test_a_purchase_counts_half_after_its_half_life() -> None:
    np.testing.assert_allclose(decay(np.array([0, 60, 120]) * DAY, 60.0), [1, 0.5, 0.25])


def test_what_is_bought_again_leads_the_repeat_channel(behaviour: Behaviour) -> None:
    ask = EncodedQuery(history=behaviour.history("c", UNTIL), at_seconds=UNTIL)
    channel = RepeatChannel(behaviour, 60.0)

    hits = channel.propose(ask, 10)

    assert hits is not None
    assert hits.rows.tolist() == [1, 0]
    np.testing.assert_allclose(hits.scores, [2 ** (-9 / 60), 2 ** (-10 / 60)], rtol=1e-6)
    np.testing.assert_array_equal(channel.score(ask, hits.rows), hits.scores)


def test_together_sums_over_recent_products(behaviour: Behaviour) -> None:
    history = behaviour.history("a", 20 * DAY)

    scores = together_scores(behaviour.relations, history)

    assert scores.argmax() == 1
    assert scores[[2, 3, 4]].tolist() == [0, 0, 0]


def test_channels_that_watch_keep_to_the_filter(behaviour: Behaviour) -> None:
    allowed = np.array([False, True, True, True, True])
    ask = EncodedQuery(history=behaviour.history("c", UNTIL), at_seconds=UNTIL, allowed=allowed)

    for channel in (
        RepeatChannel(behaviour, 60.0),
        TogetherChannel(behaviour),
        TrendingChannel(behaviour),
    ):
        hits = channel.propose(ask, 10)

        assert hits is not None
        assert 0 not in hits.rows


@pytest.mark.parametrize("last", [0, 7, 39, 199])
def test_the_most_sold_of_few_allowed_products_are_found_however_far_down(last: int) -> None:
    sold = np.repeat(np.arange(200, dtype=np.int32), np.arange(200, 0, -1))
    log = Purchases(np.zeros_like(sold), sold, np.zeros(len(sold), np.int64), np.arange(len(sold)))
    channel = TrendingChannel(Behaviour.build(np.array(["a"]), log, 200, UNTIL))
    allowed = np.zeros(200, bool)
    allowed[[3, last]] = True

    hits = channel.propose(EncodedQuery(at_seconds=UNTIL, allowed=allowed), 2)

    assert hits is not None
    assert hits.rows.tolist() == sorted({3, last})


def test_a_stranger_is_left_to_the_trending_channel(behaviour: Behaviour) -> None:
    ask = EncodedQuery(at_seconds=UNTIL)
    channels = [
        RepeatChannel(behaviour, 60.0),
        TogetherChannel(behaviour),
        TrendingChannel(behaviour),
    ]

    candidates = Retriever([], channels, per_channel=10, rrf_k=60.0).retrieve(ask, 10)

    assert list(candidates.scores) == ["trending"]
    assert candidates.rows.tolist() == [1, 0]


def test_a_candidate_is_scored_by_channels_that_did_not_propose_it(behaviour: Behaviour) -> None:
    ask = EncodedQuery(history=behaviour.history("a", 20 * DAY), at_seconds=20 * DAY)
    channels = [RepeatChannel(behaviour, 60.0), TrendingChannel(behaviour)]

    retriever = Retriever([], channels, per_channel=10, rrf_k=60.0)
    candidates = retriever.retrieve(ask, 10)
    ordered = retriever.order(ask, candidates.rows)

    assert candidates.positions["repeat"].tolist() == [1, 0]
    np.testing.assert_array_equal(candidates.scores["trending"], ordered.scores["trending"])


def test_by_score_a_request_and_given_candidates_are_put_into_the_same_order(
    behaviour: Behaviour,
) -> None:
    ask = EncodedQuery(history=behaviour.history("a", UNTIL), at_seconds=UNTIL)
    channels = [RepeatChannel(behaviour, 60.0), TrendingChannel(behaviour)]
    retriever = Retriever(
        [], channels, per_channel=10, rrf_k=60.0, scales={"repeat": 0.5, "trending": 1.0}
    )

    candidates = retriever.retrieve(ask, 10)

    ordered = retriever.order(ask, np.sort(candidates.rows))
    np.testing.assert_array_equal(candidates.rows, ordered.rows)
    np.testing.assert_array_equal(candidates.fused, ordered.fused)
    assert not np.array_equal(
        candidates.fused,
        Retriever([], channels, per_channel=10, rrf_k=60.0).retrieve(ask, 10).fused,
    )


def test_a_search_is_fused_by_position_whatever_the_scales(behaviour: Behaviour) -> None:
    ask = EncodedQuery(text="milk", at_seconds=UNTIL)
    channels = [TrendingChannel(behaviour)]
    retriever = Retriever(channels, [], per_channel=10, rrf_k=60.0, scales={"trending": 1.0})

    candidates = retriever.retrieve(ask, 10)

    assert candidates.fused[0] == pytest.approx(1 / 61)


def test_what_sells_now_is_the_rate_of_a_week_and_of_a_month_added_up() -> None:
    users, rows, seconds, baskets = (np.array(c) for c in ([0, 0], [0, 1], [0, 30], [1, 2]))
    log = Purchases(users.astype(np.int32), rows.astype(np.int32), seconds * DAY, baskets)

    rates = selling_now(Behaviour.build(np.array(["a"]), log, 3, 30 * DAY + 1).statistics)

    expected = [2 ** (-30 / 7) / 7 + 0.5 / 30, 1 / 7 + 1 / 30, 0]
    np.testing.assert_allclose(rates, expected, rtol=1e-4)


KINDS = np.array([0, 1, 0, 1, 2], np.int32)


def test_a_kind_is_shared_out_by_what_everybody_buys_of_it() -> None:
    behaviour = Behaviour.build(np.array(["a", "b", "c"]), purchases(), 5, 70 * DAY)
    ask = EncodedQuery(history=behaviour.history("a", 25 * DAY), at_seconds=25 * DAY)

    scores = KindChannel(behaviour, KINDS).scores(ask)

    assert scores is not None
    popularity = selling_now(behaviour.statistics)
    wanted = decay(np.array([5 * DAY]), 120.0)[0]  # one purchase of kind 1
    share = popularity[3] / (popularity[1] + popularity[3])
    assert scores[3] == pytest.approx(wanted * share, rel=1e-5)
    assert scores[3] > 0  # never bought by this shopper
    assert scores[4] == 0


def test_a_kind_knows_nothing_of_what_is_bought_later(behaviour: Behaviour) -> None:
    ask = EncodedQuery(history=behaviour.history("b", UNTIL), at_seconds=UNTIL)

    scores = KindChannel(behaviour, KINDS).scores(ask)

    assert scores is not None
    assert scores[3] == 0  # product 3 sells only after the moment


def test_a_stranger_buys_no_kind(behaviour: Behaviour) -> None:
    assert KindChannel(behaviour, KINDS).scores(EncodedQuery(at_seconds=UNTIL)) is None


def test_a_shop_without_products_has_no_kinds() -> None:
    nothing = Purchases(*(np.empty(0, t) for t in (np.int32, np.int32, np.int64, np.int64)))
    behaviour = Behaviour.build(np.array(["a"]), nothing, 0, UNTIL)

    channel = KindChannel(behaviour, np.empty(0, np.int32))

    assert channel.propose(EncodedQuery(at_seconds=UNTIL), 5) is None
