"""Robots are told from people by their names and by their pace, and nothing is made of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from pipelines.acts.robots import MOST_PRODUCTS, MOST_VIEWS, Paces, RobotNames
from pipelines.config.loading import with_live
from pipelines.config.sections import Config, ConsentConfig
from pipelines.events.archive_writer import ARCHIVE
from pipelines.events.event_log import replay
from pipelines.events.intake import EventWriter
from pipelines.events.kept_act import KeptAct, kept_act
from pipelines.events.paces import marked as marked_acts
from pipelines.events.people import Person
from pipelines.serving.app import create_app
from pipelines.shop.archive import read_index
from retrieval.types import Act

NOW = datetime(2024, 3, 2, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def view(seconds: float, product: str = "p1", **fields: Any) -> KeptAct:
    body = {
        "type": "view", "visitor": "v", "at": (NOW + timedelta(seconds=seconds)).isoformat(),
        "lines": [{"product": product}],
    }  # fmt: skip
    return kept_act(msgspec.convert(body | fields, Act), LATER, UTC, ConsentConfig())


@pytest.mark.parametrize(
    ("agent", "is_robot"),
    [
        (GOOGLE, True),
        ("GPTBot/1.0", True),
        ("python-requests/2.31", True),
        ("curl/8.4.0", True),
        (CHROME, False),
        ("", False),
        ("é" * 512, False),
    ],
)
def test_a_robot_is_known_by_its_name(agent: str, is_robot: bool) -> None:  # noqa: FBT001
    names = RobotNames()

    assert names.are([CHROME, agent, agent]) == [False, is_robot, is_robot]
    assert names.are([agent]) == [is_robot]


def test_more_views_in_a_minute_than_a_person_makes_are_a_robot_s_until_the_hour_ends() -> None:
    views = [view(i / 2, id=f"e{i}") for i in range(MOST_VIEWS + 5)]
    later, next_hour, paid = view(1_800), view(3_700), view(1_801, type="purchase")

    marked = marked_acts([*views, later, paid, next_hour], Paces())

    assert [one.robot for one in marked] == [False] * MOST_VIEWS + [True] * 6 + [False, False]


def test_more_products_in_an_hour_than_a_person_views_are_a_robot_s() -> None:
    views = [view(i * 5, f"p{i}") for i in range(MOST_PRODUCTS + 1)]
    other = view(1_600, "p1", visitor="w")

    marked = marked_acts([*views, other], Paces())

    assert [one.robot for one in marked] == [False] * MOST_PRODUCTS + [True, False]


def test_what_a_robot_does_is_in_the_log_and_in_no_profile_and_no_archive(
    engine: Any, tmp_path: Path
) -> None:
    events = EventWriter(tmp_path, 35)
    body = {"type": "view", "visitor": "v", "lines": [{"product": "p1"}]}
    with TestClient(create_app(engine, with_live(Config(), "x"), events)) as client:
        for name, agent in (("a", GOOGLE), ("b", CHROME)):
            answer = client.post("/v1/events", json=body | {"id": name, "agent": agent})
            assert answer.status_code == 200, answer.text
    events._write_archive()

    assert [one.kept.robot for one in replay(events._folder)] == [True, False]
    assert {one.kept.act.agent for one in replay(events._folder)} == {""}
    assert len(events.profiles.lines([], events.people.names.visitors("v"))) == 1
    assert read_index(events._folder / ARCHIVE).robots == 1
    assert len(events.export(msgspec.convert({"visitor": "v"}, Person))["archived"]) == 1
    events.close()
