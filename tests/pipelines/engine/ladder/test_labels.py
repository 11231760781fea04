"""The label of an answer: which stage gave it, what was skipped and why, and who answered."""

from datetime import datetime
from math import inf
from pathlib import Path

import pytest

from benchmarks.serving.stage_chaos import Chaos, Fault, Label, label_of, queries_of, wrong_labels
from pipelines.engine.engine import Engine
from pipelines.engine.ladder.answers import LadderAnswers
from pipelines.engine.ladder.rungs import Prices
from pipelines.errors import RequestError
from retrieval import Query, Scene, Slate, Stage
from retrieval.types import Skipped
from tests.assertions import every

SEARCH = Query(text="oat milk", user="u3", deadline_ms=60_000)
SHOPPER = Query(user="u1", deadline_ms=60_000)
STRANGER = Query(deadline_ms=60_000)


@pytest.fixture(scope="module")
def opened(releases: Path) -> Engine:
    """An engine as a server opens it."""
    return Engine.open(releases, warm=True, tolerant=True)


@pytest.fixture
def engine(opened: Engine) -> Engine:
    """The same with nothing cached, and three candidates in a short ranking."""
    stages, config = opened._stages, 40
    opened._ladder = LadderAnswers(stages, config, most_ranked=200, few_ranked=3)
    opened._ladder.tolerate()
    return opened


def priced(engine: Engine, query: Query, **ms: float) -> None:
    """Let the steps of such requests have cost this much."""
    engine._ladder.prices.forget()
    engine._ladder.prices.note(query, ms, Stage.RANKING)


def reasons(slate: Slate) -> dict[str, str]:
    return {one.stage.value: one.because for one in slate.skipped}


def test_an_answer_in_time_is_ranked_and_skips_nothing(engine: Engine) -> None:
    slate = engine.answer(SHOPPER)

    assert (slate.stage, slate.skipped, slate.coverage) == (Stage.RANKING, (), 1.0)


def test_what_does_not_fit_the_deadline_is_skipped_and_says_what_that_saves(
    engine: Engine,
) -> None:
    priced(engine, SHOPPER, retrieve=1.0, rank=90_000.0)

    slate = engine.answer(SHOPPER)

    assert slate.stage is Stage.SHORT_RANKING
    assert [one.stage for one in slate.skipped] == [Stage.RANKING]
    assert slate.skipped[0].because == "deadline"
    assert slate.skipped[0].saved_ms == pytest.approx(90_000 * (1 - 3 / 200), rel=0.02)


def test_a_ranker_that_is_too_dear_even_for_few_candidates_leaves_the_fused_order(
    engine: Engine,
) -> None:
    priced(engine, SHOPPER, rank=90_000.0 * 200)

    slate = engine.answer(SHOPPER)

    assert slate.stage is Stage.RETRIEVAL
    assert reasons(slate) == {"ranking": "deadline", "short_ranking": "deadline"}


def test_an_encoder_that_is_too_dear_leaves_the_words(engine: Engine) -> None:
    priced(engine, SEARCH, encode=90_000.0)

    slate = engine.answer(SEARCH)

    assert slate.stage is Stage.WORDS
    assert set(reasons(slate).values()) == {"deadline"}
    assert 0 < slate.coverage < 1
    assert "Oat Milk" in slate.products[0].product.title


def test_an_encoder_that_is_too_dear_leaves_what_sells_best_where_nothing_was_said(
    engine: Engine,
) -> None:
    priced(engine, SHOPPER, encode=90_000.0)

    slate = engine.answer(SHOPPER)

    assert (slate.stage, slate.coverage) == (Stage.POPULAR, 0)
    assert len(slate.products) == SHOPPER.k
    scores = [placed.score for placed in slate.products]
    assert scores == sorted(scores, reverse=True)


def test_load_is_told_apart_from_a_deadline(engine: Engine) -> None:
    priced(engine, SHOPPER, retrieve=1.0, rank=500.0)

    slate = engine.answer(SHOPPER, Stage.RANKING, 5.0)

    assert slate.stage is Stage.RETRIEVAL
    assert set(reasons(slate).values()) == {"load"}


def test_who_has_no_time_to_spare_is_still_answered(engine: Engine) -> None:
    priced(engine, SHOPPER, filter=1.0, encode=1.0)

    assert engine.answer(SHOPPER, Stage.RANKING, -inf).stage is Stage.POPULAR


def test_a_cached_answer_is_that_of_the_same_request_under_the_same_filter(
    engine: Engine,
) -> None:
    cheap = Query(text="oat milk", filter="price < 20", deadline_ms=60_000)
    other = Query(text="oat milk", filter="price >= 20", deadline_ms=60_000)
    full = engine.answer(cheap)
    priced(engine, cheap, filter=90_000.0)

    again, under_another = engine.answer(cheap), engine.answer(other)

    assert (again.stage, again.products) == (Stage.CACHED, full.products)
    assert under_another.stage is Stage.POPULAR
    assert every((placed.product.price or 0) >= 20 for placed in under_another.products)


def test_what_was_asked_of_another_time_is_no_answer_of_now(engine: Engine) -> None:
    engine.answer(Query(scene=Scene(at=datetime(2030, 12, 24, 10)), deadline_ms=60_000))
    priced(engine, STRANGER, encode=90_000.0)

    assert engine.answer(STRANGER).stage is Stage.POPULAR


def test_nobody_is_answered_with_what_a_shopper_was_answered(engine: Engine) -> None:
    engine.answer(SHOPPER)
    priced(engine, SHOPPER, encode=90_000.0)

    assert engine.answer(STRANGER).stage is Stage.POPULAR


def test_a_shopper_is_answered_with_what_a_stranger_was_answered(engine: Engine) -> None:
    engine.answer(STRANGER)
    priced(engine, SHOPPER, encode=90_000.0)

    assert engine.answer(SHOPPER).stage is Stage.CACHED


def test_what_sells_best_keeps_to_the_filter_the_candidates_and_the_marks(engine: Engine) -> None:
    given = ("p9", "p3", "p12")
    asked = [
        Query(user="u1", filter="price < 9"),
        Query(user="u1", candidates=given),
        Query(user="u1", disliked={"p1": 1.0}, k=48),
    ]
    for query in asked:
        priced(engine, query, encode=90_000.0)
    engine._ladder.prices._steps |= {
        ("recommendation of given products", "encode"): next(
            iter(engine._ladder.prices._steps.values())
        )
    }

    cheap, among, without = (engine.answer(query) for query in asked)

    assert {slate.stage for slate in (cheap, among, without)} == {Stage.POPULAR}
    assert every((placed.product.price or 0) < 9 for placed in cheap.products)
    assert sorted(placed.product.id for placed in among.products) == sorted(given)
    assert "p1" not in {placed.product.id for placed in without.products}
    assert "p47" not in {placed.product.id for placed in without.products}  # it is hidden


def test_a_channel_that_fails_is_left_out_and_the_coverage_says_so(engine: Engine) -> None:
    chaos = Chaos(engine)
    whole = engine.answer(SEARCH)

    broken = chaos.answer(SEARCH, Fault("semantic", "raise"))
    no_numbers = chaos.answer(SEARCH, Fault("lexical", "nan"))

    assert broken.stage is whole.stage
    assert 0 < broken.coverage < 1
    assert broken.coverage == no_numbers.coverage
    assert broken.products
    assert no_numbers.products


def test_a_vector_that_is_not_a_number_leaves_the_words_and_is_not_kept(engine: Engine) -> None:
    spoilt = Chaos(engine).answer(SEARCH, Fault("encode", "nan"))

    assert spoilt.stage is Stage.WORDS
    assert set(reasons(spoilt).values()) == {"failure"}
    assert engine.answer(SEARCH).skipped == ()


def test_where_every_channel_fails_something_is_answered_all_the_same(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("gone")

    for channel in engine._stages.retrieval._retriever._searching:
        monkeypatch.setattr(channel, "propose", fail)

    slate = engine.answer(SEARCH)

    assert slate.stage is Stage.POPULAR
    assert reasons(slate)["words"] == "failure"


def test_a_mistake_in_a_request_is_an_error_and_no_failure(engine: Engine) -> None:
    with pytest.raises(RequestError, match="filter"):
        engine.answer(Query(filter="price <"))


def test_an_engine_that_measures_raises_what_a_server_survives(real_engine: Engine) -> None:
    faulty = Chaos(real_engine)

    with pytest.raises(Exception, match="semantic"):
        faulty.answer(SEARCH, Fault("semantic", "raise"))


def test_a_price_that_is_not_paid_fades_so_that_the_stage_is_tried_again() -> None:
    prices = Prices(0.3)
    prices.note(SHOPPER, {"rank": 100.0}, Stage.RANKING)

    for _ in range(100):
        prices.fade(SHOPPER, [Stage.RANKING], Stage.RETRIEVAL)

    assert 30 < prices.of(SHOPPER, Stage.RANKING) < 40


def test_the_steps_that_are_done_cost_nothing_more() -> None:
    prices = Prices(0.3)
    prices.note(SHOPPER, {"filter": 1.0, "retrieve": 2.0, "rank": 10.0}, Stage.RANKING)

    assert prices.of(SHOPPER, Stage.RANKING) == 13
    assert prices.of(SHOPPER, Stage.SHORT_RANKING, ("filter", "retrieve")) == 3
    assert prices.of(SEARCH, Stage.RANKING) == 0


def test_each_label_is_right_whatever_is_delayed_raises_or_gives_no_number(
    opened: Engine,
) -> None:
    queries = queries_of(("u1", "u3"), ("oat milk", "tomato soup"))

    wrong = list(wrong_labels(Chaos(opened), queries, seed=5, count=400))

    assert wrong == []


def test_the_chaos_sees_a_label_that_is_wrong(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    chaos, fault = Chaos(engine), Fault("rank", "raise")
    monkeypatch.setattr(
        "pipelines.engine.ladder.descent.Descent.skipped",
        lambda _: (Skipped(stage=Stage.RANKING, because="load"),),
    )

    got = label_of(lambda: chaos.answer(SHOPPER, fault))

    assert got == Label(Stage.RETRIEVAL, "load")
    assert got != chaos.expected(SHOPPER, fault, cached=False)
