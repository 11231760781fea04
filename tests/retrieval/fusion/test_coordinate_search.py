"""The search for weights, step by step: what is worth what, what is tried, and when it ends."""

from collections.abc import Callable

import numpy as np
import pytest

from index import Hits
from retrieval.fusion import weight_fitting
from retrieval.fusion.weight_fitting import (
    ChannelOutcome,
    FusionQuality,
    fit_fusion_weights,
    fit_scales,
    fit_weights,
    gains,
    without,
    worth,
)

DISCOUNTS = 1 / np.log2(np.arange(2, 23))


def hits(*rows: int, scores: tuple[float, ...] = ()) -> Hits:
    falling = scores or tuple(range(len(rows), 0, -1))
    return Hits(np.array(rows, np.int64), np.array(falling, np.float32))


def outcome(bought: list[int], **channels: Hits) -> ChannelOutcome:
    return ChannelOutcome(channels, np.array(bought, np.int64))


def test_the_worth_of_an_order_worked_out_by_hand() -> None:
    found = worth([outcome([3, 77], a=hits(5, 3, 9))], {}, 60.0, 2)

    assert found.recall == 0.5
    assert found.ndcg == pytest.approx(DISCOUNTS[1] / (DISCOUNTS[0] + DISCOUNTS[1]))


def test_the_page_has_twenty_places_and_recall_looks_at_all_candidates() -> None:
    last, behind = (worth([outcome([row], a=hits(*range(30)))], {}, 60.0, 25) for row in (19, 20))

    assert (last.recall, last.ndcg) == (1.0, pytest.approx(DISCOUNTS[19]))
    assert (behind.recall, behind.ndcg) == (1.0, 0.0)


def test_a_large_basket_is_measured_by_the_best_page() -> None:
    found = worth([outcome(list(range(30)), a=hits(*range(30)))], {}, 60.0, 20)

    assert (found.recall, found.ndcg) == (20 / 30, pytest.approx(1.0))


def test_a_channel_that_is_not_named_weighs_one() -> None:
    one = outcome([1], a=hits(0, 2), b=hits(1, 3))

    assert worth([one], {"a": 1.5}, 60.0, 1).recall == 0.0
    assert worth([one], {"a": 0.5}, 60.0, 1).recall == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_ranks_are_those_of_a_full_sort(seed: int) -> None:
    random = np.random.default_rng(seed)
    fused = random.integers(0, 6, random.integers(1, 12)).astype(np.float32)
    order = np.argsort(-fused, kind="stable").tolist()
    places = np.flatnonzero(random.random(len(fused)) < 0.5)

    assert weight_fitting._ranks(fused, places).tolist() == [order.index(p) for p in places]


def test_where_no_step_gains_the_weights_stay_where_they_began() -> None:
    one = outcome([9], a=hits(1, 2, 9))

    assert fit_weights([one], {}, 60.0, 10) == {"a": 1.0}
    assert fit_weights([one], {"a": 3.0, "z": 5.0}, 60.0, 10) == {"a": 3.0, "z": 5.0}


@pytest.mark.parametrize(
    ("value", "calls"),
    [
        (float, 1 + 3 * 8),  # every step gains: three rounds of nine, without the one to nothing
        (lambda _: 0.0, 1 + 8),  # none does: it ends after one round
        (lambda call: float(call > 2), 1 + 2 * 8),  # only the first round gains
    ],
)
def test_the_search_goes_on_for_three_rounds_while_it_gains(
    monkeypatch: pytest.MonkeyPatch, value: Callable[[int], float], calls: int
) -> None:
    made: list[int] = []

    def fake(*_: object) -> FusionQuality:
        made.append(len(made))
        return FusionQuality(value(len(made)), 0.0)

    monkeypatch.setattr(weight_fitting, "_worth", fake)
    fit_weights([outcome([1], a=hits(1))], {"a": 0.5}, 60.0, 10)

    assert len(made) == calls


def test_a_scale_is_kept_where_it_is_above_nothing() -> None:
    one = outcome(
        [1], a=hits(1, 2, scores=(3.0, 0.5)), b=hits(1, scores=(0.0,)), c=hits(2, scores=(-1.0,))
    )

    assert fit_scales([one._replace(scores={})], 10) == {"a": 0.5}
    assert fit_scales([one], 10) == {}


def scored(bought: int, right: float, wrong: float) -> ChannelOutcome:
    """Two channels propose two rows each; the scores of `b` tell which was bought."""
    a, b = hits(0, 1, scores=(1.0, 1.0)), hits(1, 0, scores=(9.0, 0.1))
    column = np.array([wrong, right] if bought else [right, wrong], np.float32)
    scores = {"a": np.ones(2, np.float32), "b": column}
    return ChannelOutcome({"a": a, "b": b}, np.array([bought]), scores)


def test_channels_are_fused_by_score_only_where_that_finds_more() -> None:
    better = [scored(1, 9.0, 0.1), scored(0, 9.0, 0.1)] * 3
    alike = [outcome([0], a=hits(0))._replace(scores={"a": np.ones(1, np.float32)})] * 3
    worse = [scored(1, 0.1, 9.0), scored(0, 0.1, 9.0)] * 3

    assert fit_fusion_weights(better, {}, 60.0, 1).scales.keys() == {"a", "b"}
    assert fit_fusion_weights(alike, {}, 60.0, 1).scales == {}
    assert fit_fusion_weights(worse, {}, 60.0, 1).scales == {}


@pytest.mark.parametrize("seed", range(12))
def test_a_gain_is_measured_on_the_few_other_requests_that_there_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    outcomes = [drawn(random, with_scores=False) for _ in range(3)]
    rest = [without(one, "b") for one in outcomes]

    found = gains(outcomes, "b", {}, 60.0, 3)

    expected = [alone(outcomes, place) - alone(rest, place) for place in range(3)]
    assert found.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("with_scores", [False, True])
def test_a_gain_is_measured_on_requests_that_did_not_fit_it(with_scores: bool) -> None:  # noqa: FBT001
    random = np.random.default_rng(3)
    outcomes = [drawn(random, with_scores=with_scores) for _ in range(9)]

    found = gains(outcomes, "b", {}, 60.0, 3)

    rest = [without(one, "b") for one in outcomes]
    with_it = [alone(outcomes, i) for i in range(9)]
    expected = [now - alone(rest, i) for i, now in enumerate(with_it)]
    assert found.tolist() == pytest.approx(expected)
    assert len(set(expected)) > 1
    assert bool(fit_fusion_weights(outcomes, {}, 60.0, 3).scales) == with_scores


def alone(outcomes: list[ChannelOutcome], place: int) -> float:
    """Return the worth of one request by what fits those at places of the other parity."""
    others = [one for i, one in enumerate(outcomes) if i % 2 != place % 2]
    weights, scales = fit_fusion_weights(others, {}, 60.0, 3)
    return worth([outcomes[place]], weights, 60.0, 3, scales or None).total


def drawn(random: np.random.Generator, *, with_scores: bool) -> ChannelOutcome:
    channels = {name: hits(*random.permutation(8)[:5].tolist()) for name in "abc"}
    rows = np.unique(np.concatenate([one.rows for one in channels.values()]))
    bought = random.choice(rows, 2, replace=False)
    scores = {
        name: np.where(np.isin(rows, bought), 5, 1).astype(np.float32) * random.random(len(rows))
        for name in channels
    }
    kept = {name: column.astype(np.float32) for name, column in scores.items()}
    return ChannelOutcome(channels, bought, kept if with_scores else None)
