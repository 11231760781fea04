import msgspec
import numpy as np
import pytest

from pipelines.engine.deadline import Deadline
from pipelines.engine.engine import Engine
from pipelines.errors import RequestError
from ranking.ranker import RankerAnswer, RequestKind, UnfitLogits
from ranking.runtimes.request_batching import TooLate
from retrieval import Query, Scene, Slate, Stage
from tests.assertions import every
from tests.conftest import UNTIL

pytestmark = pytest.mark.foreign


def at_end(**asked: object) -> Query:
    return Query(scene=Scene(at=UNTIL), deadline_ms=60_000, **asked)


def ids(slate: Slate) -> list[str]:
    return [placed.product.id for placed in slate.products]


def test_a_search_finds_what_was_asked_for(real_engine: Engine) -> None:
    slate = real_engine.answer(at_end(text="tomato soup", k=8), Stage.RETRIEVAL)

    assert every("Tomato Soup" in placed.product.title for placed in slate.products)


def test_positions_run_from_one_and_scores_never_rise(real_engine: Engine) -> None:
    slate = real_engine.answer(at_end(text="green tea", k=20))

    assert [p.position for p in slate.products] == list(range(1, len(slate.products) + 1))
    assert len(slate.products) >= 8
    scores = [p.score for p in slate.products]
    assert scores == sorted(scores, reverse=True)
    assert np.isfinite(scores).all()


def test_a_known_shopper_is_offered_habits_before_what_is_popular(
    real_engine: Engine,
) -> None:
    history = real_engine.probe.parts.behaviour.history("u3", 2**40)
    rows, counts = np.unique(history.rows, return_counts=True)
    habits = {f"p{row}" for row in rows[np.argsort(-counts)[:4]]}

    first = ids(real_engine.answer(at_end(user="u3", k=8)))

    assert len(habits & set(first)) >= 3


def test_a_stranger_gets_what_many_buy(real_engine: Engine) -> None:
    slate = real_engine.answer(at_end(user="nobody", k=5, explain=True))

    assert len(slate.products) == 5
    assert every("trending" in p.channels for p in slate.products)


def test_an_explained_answer_says_how_it_was_filtered(real_engine: Engine) -> None:
    wanted = {"text": "soup", "filter": "price < 20"}

    told = real_engine.answer(at_end(explain=True, **wanted)).filtered
    untold = real_engine.answer(at_end(**wanted)).filtered

    assert untold is None
    assert told is not None
    assert (told.passed, told.of, told.exact) == (19, 48, True)
    semantic = told.channels["semantic"]
    assert (semantic.way, semantic.passed, semantic.exactness) == ("scan", 19, 1.0)


def test_given_candidates_are_not_searched_among(real_engine: Engine) -> None:
    slate = real_engine.answer(at_end(candidates=("p1", "p2"), filter="price > 0", explain=True))

    assert slate.filtered is None


def test_nothing_outside_the_filter_is_shown(real_engine: Engine) -> None:
    for asked in ({"text": "soup"}, {"user": "u1"}):
        slate = real_engine.answer(
            at_end(filter='brand: ANY("North") AND price < 20', k=40, **asked)
        )

        assert slate.products
        assert every(p.product.brand == "North" for p in slate.products)


def test_hidden_products_are_shown_only_when_they_are_named(real_engine: Engine) -> None:
    searched = real_engine.answer(at_end(text="West Apple Juice", k=48))
    named = real_engine.answer(at_end(text="West Apple Juice", candidates=("p47", "p1")))

    assert "p47" not in ids(searched)
    assert "p47" in ids(named)


def test_given_candidates_are_all_ranked_and_nothing_else(real_engine: Engine) -> None:
    given = ("p3", "p8", "p20", "p47", "p11")

    slate = real_engine.answer(at_end(user="u2", candidates=given, k=10))

    assert sorted(ids(slate)) == sorted(given)
    assert slate.stage is Stage.RANKING


def test_the_order_of_given_candidates_does_not_matter(real_engine: Engine) -> None:
    given = tuple(f"p{i}" for i in range(30))

    one = real_engine.answer(at_end(user="u2", candidates=given, k=30))
    other = real_engine.answer(at_end(user="u2", candidates=given[::-1], k=30))

    assert ids(one) == ids(other)


def test_candidates_that_this_release_lacks_are_named(real_engine: Engine) -> None:
    slate = real_engine.answer(at_end(candidates=("p1", "gone", "p2", "gone")))

    assert slate.missing == ("gone",)
    assert sorted(ids(slate)) == ["p1", "p2"]


def test_a_picture_finds_the_product_that_shows_it(real_engine: Engine) -> None:
    found = real_engine.picture("p9")
    assert found is not None

    slate = real_engine.answer(at_end(image=found[0], k=10, explain=True), Stage.RETRIEVAL)

    assert slate.products[0].channels["image"] == pytest.approx(1.0, abs=1e-4)


def test_a_search_by_picture_is_not_reordered_by_a_ranker_that_never_saw_one(
    real_engine: Engine,
) -> None:
    found = real_engine.picture("p9")
    assert found is not None

    slate = real_engine.answer(at_end(image=found[0], k=48))

    assert slate.stage is Stage.RETRIEVAL
    assert "p9" in ids(slate)[:8]  # others have the very same picture


def test_a_ranked_product_says_how_likely_it_is_bought(real_engine: Engine) -> None:
    slate = real_engine.answer(at_end(user="u3", k=20))

    likely = [placed.probabilities["purchase"] for placed in slate.products]

    assert every(0 <= share <= 1 for share in likely)
    assert likely == sorted(likely, reverse=True)  # the same order as by logits, ties apart


def test_a_product_without_a_picture_has_none(real_engine: Engine) -> None:
    assert real_engine.picture("p0") is None
    assert real_engine.picture("gone") is None


def test_channels_and_features_are_told_only_when_asked_for(
    real_engine: Engine,
) -> None:
    quiet = real_engine.answer(at_end(user="u1", k=3))
    told = real_engine.answer(at_end(user="u1", k=3, explain=True))

    assert every(not p.features and not p.channels for p in quiet.products)
    assert every("frequency_60" in p.features for p in told.products)
    assert ids(quiet) == ids(told)


def test_an_explanation_says_what_was_looked_at_and_what_moved_it(real_engine: Engine) -> None:
    told = real_engine.answer(at_end(user="u3", k=5, explain=True)).products
    silent = real_engine.answer(at_end(user="u3", k=5)).products

    for placed in told:
        assert sum(placed.attended.values()) == pytest.approx(1, abs=1e-4)
        assert any(name.startswith("weekday=") for name in placed.attended)
        assert placed.moved.keys() == placed.features.keys()
        sizes = [abs(value) for value in placed.moved.values()]
        assert sizes == sorted(sizes, reverse=True)
    assert [p.product.id for p in told] == [p.product.id for p in silent]
    assert not any(placed.moved or placed.attended for placed in silent)


def test_every_stage_tells_what_it_cost(real_engine: Engine) -> None:
    timings = real_engine.answer(at_end(text="tea")).timings_ms

    assert list(timings) == ["filter", "encode", "retrieve", "rank", "compose"]


def test_a_passed_deadline_leaves_ranking_out_and_says_so(
    real_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(Deadline):
        def left_ms(self) -> float:
            return -0.5

    asked = at_end(user="u1")
    in_time = real_engine.answer(asked)
    monkeypatch.setattr("pipelines.engine.engine.Deadline", Late)

    late = real_engine.answer(asked)

    assert (in_time.stage, late.stage) == (Stage.RANKING, Stage.RETRIEVAL)
    assert late.products
    assert "rank" not in late.timings_ms


@pytest.mark.parametrize("fault", [UnfitLogits("3 of 40 logits"), TooLate("0 ms left")])
def test_a_ranker_that_answers_nonsense_or_too_late_is_left_out(
    real_engine: Engine, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    class Broken:
        def is_better(self, window: RequestKind) -> bool:
            return True

        def rank(self, *_: object) -> RankerAnswer:
            raise fault

    monkeypatch.setattr(real_engine._stages.ranking, "_ranker", Broken())

    slate = real_engine.answer(at_end(user="u1"))

    assert slate.stage is Stage.RETRIEVAL
    assert slate.products


def test_a_ranker_that_was_no_better_on_searches_is_not_asked_there(
    real_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_engine._stages.ranking._ranker, "_windows", ("recommendation",))

    assert real_engine.answer(at_end(text="tea")).stage is Stage.RETRIEVAL
    assert real_engine.answer(at_end(user="u1")).stage is Stage.RANKING


def test_the_same_request_gets_the_same_answer(real_engine: Engine) -> None:
    asked = at_end(text="oat milk", user="u5", k=20)

    first, second = real_engine.answer(asked), real_engine.answer(asked)

    assert first.products == second.products


def test_the_moment_decides_how_long_ago_a_purchase_was(real_engine: Engine) -> None:
    early = Query(user="u1", scene=Scene(at=UNTIL), k=1, explain=True, deadline_ms=60_000)
    late = msgspec.structs.replace(early, scene=Scene(at=UNTIL.replace(year=2025)))

    now, then = (real_engine.answer(q).products[0].features["absence"] for q in (early, late))

    assert then > now + 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(filter="colour = 3"), "filter: unknown field 'colour'"),
        (Query(image=b"not a picture"), "image: "),
        (Query(scene=Scene(at=UNTIL.replace(year=9999))), "scene.at: .* between 1970 and 2200"),
    ],
)
def test_a_field_that_cannot_be_answered_is_named(
    real_engine: Engine, query: Query, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        real_engine.answer(query)


def test_the_page_learns_shoppers_and_days(real_engine: Engine) -> None:
    about = real_engine.about()

    assert about["days"][1] == "2024-02-29"
    assert about["products"] == 48
    assert real_engine.shoppers(3) == ["u0", "u1", "u2"]
