"""What lies in the cart by the acts, whatever the order in which they arrive."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from pipelines.config.loading import with_live
from pipelines.config.sections import Config
from pipelines.events.intake import EventWriter
from pipelines.serving.app import create_app

Client = TestClient[Litestar]
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)


@pytest.fixture
def taking(engine: Any, tmp_path: Path) -> Iterator[Client]:
    events = EventWriter(tmp_path, 35)
    with TestClient(create_app(engine, with_live(Config(), "x"), events)) as client:
        yield client
    events.close()


def act(minute: int, kind: str, product: str, quantity: float = 1, **who: str) -> dict[str, Any]:
    at = (START + timedelta(minutes=minute)).isoformat()
    lines = [{"product": product, "quantity": quantity}]
    return {"type": kind, "at": at, "lines": lines} | (who or {"visitor": "v"})


def profile(client: Client, *acts: dict[str, Any], **who: str) -> Any:
    for one in acts:
        assert client.post("/v1/events", json=one).status_code == 200
    answer = client.post("/v1/profile", json=who or {"visitor": "v"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def cart(content: Any) -> list[tuple[str, float]]:
    return [(line["product"], line["quantity"]) for line in content["cart"]]


ACTS = [
    act(1, "add_to_cart", "p1", 2),
    act(2, "add_to_cart", "p2"),
    act(3, "add_to_cart", "p3", 3),
    act(4, "remove_from_cart", "p2", 5),
    act(5, "remove_from_cart", "p3"),
    act(6, "add_to_cart", "p4"),
    act(7, "purchase", "p4"),
    act(8, "add_to_cart", "p1"),
    act(9, "view", "p5"),
]


@pytest.mark.parametrize("seed", range(4))
def test_a_cart_is_what_was_put_in_and_not_taken_out_or_bought(taking: Client, seed: int) -> None:
    acts = [*ACTS, *ACTS]
    random.Random(seed).shuffle(acts)

    content = profile(taking, *acts)

    assert cart(content) == [("p1", 3.0), ("p3", 2.0)]
    assert content["recent"][0]["product"] == "p5"
    assert len(content["recent"]) == len(ACTS)


def test_a_cart_is_the_user_s_after_a_login(taking: Client) -> None:
    before = act(1, "add_to_cart", "p1", visitor="v")
    login = act(2, "view", "p2", visitor="v", user="anna")

    content = profile(taking, before, login, user="anna")

    assert cart(content) == [("p1", 1.0)]
    assert cart(profile(taking, user="ben")) == []


def test_a_cart_is_not_shown_without_consent(taking: Client) -> None:
    denied = {"consent": {"recommend": "denied"}}

    content = profile(taking, act(1, "add_to_cart", "p1") | denied)

    assert content == {"cart": [], "recent": []}


def test_a_server_that_takes_no_events_has_no_profiles(engine: Any) -> None:
    with TestClient(create_app(engine, Config())) as client:
        assert client.post("/v1/profile", json={"user": "a"}).status_code == 403
