"""The answer cache: what is kept, and what never is."""

from typing import Any

import pytest
from litestar.testing import TestClient

from pipelines.config.sections import Config, ServeConfig
from pipelines.serving.answer_cache import AnswerCache
from pipelines.serving.app import create_app
from retrieval import Query, Scene, Slate, Stage
from retrieval.types import Skipped
from tests.conftest import UNTIL
from tests.pipelines.conftest import FakeEngine

FULL = Slate(products=(), stage=Stage.RANKING, release="r1")


class Shop:
    release = "r1"
    newest_change = 7


def cache(**config: Any) -> AnswerCache:
    return AnswerCache(ServeConfig(**config))


def key(one: AnswerCache, query: Query, **other: Any) -> Any:
    asked: dict[str, Any] = {"kind": "search", "stage": Stage.RANKING, "engine": Shop()} | other
    return one.key(query=query, **asked)


def statuses(client: Any, *bodies: dict[str, Any]) -> list[str | None]:
    answers = [client.post("/v1/search", json=body) for body in bodies]
    return [answer.headers.get("cache-status") for answer in answers]


def test_the_same_request_gets_the_same_bytes_and_says_where_they_are_from() -> None:
    engine, body = FakeEngine(), {"text": "milk", "filter": "price < 5"}

    with TestClient(create_app(engine, Config())) as client:
        first, second = (client.post("/v1/search", json=body) for _ in range(2))

    assert first.content == second.content
    assert first.headers["cache-status"] == "vetrina; fwd=miss"
    assert second.headers["cache-status"] == "vetrina; hit"
    assert second.headers["content-type"] == "application/json"
    assert len(engine.asked) == 1


def test_no_answer_crosses_filters_or_any_other_field() -> None:
    others: list[dict[str, Any]] = [
        {"filter": "price < 5"},
        {"filter": "price < 4"},
        {"k": 3},
        {"scene": {"placement": "search"}},
        {"scene": {"at": "2017-11-15T10:00:00"}},
        {"candidates": ["p1"]},
        {"disliked": {"p1": 1.0}},
        {"deadline_ms": 300},
        {"cursor": "*"},
    ]

    with TestClient(create_app(FakeEngine(), Config())) as client:
        told = statuses(client, {"text": "milk"}, *({"text": "milk"} | one for one in others))

    assert told == ["vetrina; fwd=miss"] * (1 + len(others))


def test_a_change_drops_every_answer_before_it() -> None:
    engine, asked = FakeEngine(), {"text": "milk"}

    with TestClient(create_app(engine, Config())) as client:
        before = statuses(client, asked, asked)
        engine.newest_change += 1
        after = statuses(client, asked)

    assert before == ["vetrina; fwd=miss", "vetrina; hit"]
    assert after == ["vetrina; fwd=miss"]


def test_another_release_has_other_answers() -> None:
    engine, asked = FakeEngine(), {"text": "milk"}

    with TestClient(create_app(engine, Config())) as client:
        statuses(client, asked)
        engine.release = "next"

        assert statuses(client, asked) == ["vetrina; fwd=miss"]


@pytest.mark.parametrize("field", [{"user": "u1"}, {"explain": True}])
def test_no_shoppers_answer_is_kept_and_no_explained_one(field: dict[str, Any]) -> None:
    asked = {"text": "milk"} | field

    with TestClient(create_app(FakeEngine(), Config())) as client:
        assert statuses(client, asked, asked) == [None, None]


def test_what_is_asked_in_the_next_minute_is_answered_anew_unless_it_names_its_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, now, then = cache(), Query(text="tea"), Query(text="tea", scene=Scene(at=UNTIL))
    monkeypatch.setattr("pipelines.serving.answer_cache.time", lambda: 119.9)
    before = key(one, now), key(one, then)
    monkeypatch.setattr("pipelines.serving.answer_cache.time", lambda: 120.0)

    after = key(one, now), key(one, then)

    assert after[0] != before[0]
    assert after[1] == before[1]


def test_an_answer_that_has_to_show_a_later_change_is_not_looked_up() -> None:
    assert key(cache(), Query(text="tea"), after=8) is None
    assert key(cache(), Query(text="tea"), after=7) is not None


@pytest.mark.parametrize("off", [{"cache_mb": 0}, {"cache_seconds": 0.0}])
def test_the_cache_can_be_switched_off(off: dict[str, Any]) -> None:
    assert key(cache(**off), Query(text="tea")) is None


def test_an_answer_that_more_time_would_have_made_better_is_not_kept() -> None:
    one = cache()
    less = Slate(
        products=(),
        stage=Stage.WORDS,
        release="r1",
        skipped=(Skipped(stage=Stage.RANKING, because="load"),),
    )
    partly = Slate(products=(), stage=Stage.RANKING, release="r1", coverage=0.5)
    names = [key(one, Query(text=text)) for text in "abc"]

    for name, slate in zip(names, (less, partly, FULL), strict=True):
        one.keep(name, slate, b"{}")

    assert [one.get(name) for name in names] == [None, None, b"{}"]


def test_answers_are_bounded_by_bytes() -> None:
    one, names = cache(cache_mb=1), [Query(text=f"tea {i}") for i in range(30)]

    for query in names:
        one.keep(key(one, query), FULL, bytes(100_000))

    kept = [query for query in names if one.get(key(one, query)) is not None]
    assert 5 <= len(kept) < 10
    assert kept == names[-len(kept) :]
