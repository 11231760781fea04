"""An act over HTTP changes the shopper's next answer, as an event of a release would."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from pipelines.building.build import build
from pipelines.config.loading import with_live
from pipelines.config.sections import Config
from pipelines.engine.engine import Engine
from pipelines.events.intake import EventWriter
from pipelines.progress import silent
from pipelines.serving.app import create_app
from retrieval import Query
from retrieval.encoded_query import NO_VISIT
from retrieval.types import local_seconds
from tests.conftest import UNTIL

Client = TestClient[Litestar]


@pytest.fixture
def taking(quick_releases: Path, tmp_path: Path) -> Iterator[Client]:
    events = EventWriter(tmp_path / "changes", 35)
    engine = Engine.open(quick_releases, profiles=events.profiles)
    with TestClient(create_app(engine, with_live(Config(), "x"), events)) as client:
        yield client
    events.close()


def act(client: Client, kind: str, *products: str, **fields: Any) -> int:
    body = {"type": kind, "lines": [{"product": one} for one in products]} | fields
    answer = client.post("/v1/events", json=body)
    assert answer.status_code == 200, answer.text
    return int(answer.json().get("sequence") or 0)


def recommended(client: Client, after: int = 0, **fields: Any) -> dict[str, dict[str, float]]:
    answer = client.post(f"/v1/recommend?after={after}", json={"k": 48, "explain": True} | fields)
    assert answer.status_code == 200, answer.text
    return {one["product"]["id"]: one["channels"] for one in answer.json()["products"]}


def test_a_purchase_is_in_the_next_answer_of_its_user(taking: Client) -> None:
    before = recommended(taking, user="new")

    number = act(taking, "purchase", "p3", user="new", order="o1")

    after = recommended(taking, number, user="new")
    assert "repeat" not in before.get("p3", {})
    assert "repeat" in after["p3"]


def test_a_visitor_without_a_name_is_answered_by_the_acts_of_the_visit(taking: Client) -> None:
    number = act(taking, "view", "p3", visitor="v1")

    assert recommended(taking, number, visitor="v1") != recommended(taking, visitor="v2")


def test_the_acts_of_a_visit_are_the_user_s_after_a_login(taking: Client) -> None:
    act(taking, "purchase", "p3", visitor="v1", session="s")
    number = act(taking, "search", visitor="v1", user="new", text="bread")

    assert "repeat" in recommended(taking, number, user="new")["p3"]
    assert "repeat" not in recommended(taking, number, visitor="v1").get("p3", {})
    assert "repeat" not in recommended(taking, number, user="another").get("p3", {})


def test_what_consent_denies_is_not_in_an_answer(taking: Client) -> None:
    consent = {"recommend": "denied"}

    number = act(taking, "purchase", "p3", user="new", consent=consent)

    assert recommended(taking, number, user="new") == recommended(taking, user="another")


def test_a_refund_takes_a_purchase_back(taking: Client) -> None:
    act(taking, "purchase", "p3", "p5", user="new", order="o1", session="s")
    act(taking, "purchase", "p7", user="new", order="o2", session="s")
    act(taking, "refund", user="new", order="o2")
    number = act(taking, "refund", "p3", user="new", order="o1", session="another visit")

    answer = recommended(taking, number, user="new")

    assert "repeat" not in answer.get("p3", {}) | answer.get("p7", {})
    assert "repeat" in answer["p5"]


def test_what_a_known_shopper_views_changes_what_is_proposed(taking: Client) -> None:
    before = recommended(taking, user="u1")

    number = act(taking, "view", "p30", user="u1")

    after = recommended(taking, number, user="u1")
    channels = [
        name for name in ("together", "ease") if proposals(before, name) != proposals(after, name)
    ]
    assert channels == ["together", "ease"]
    assert proposals(before, "repeat").keys() == proposals(after, "repeat").keys()


def test_what_was_taken_out_of_the_cart_says_no_more_than_a_view(taking: Client) -> None:
    for kind, product in (
        ("add_to_cart", "p30"),
        ("remove_from_cart", "p30"),
        ("view", "p31"),
        ("add_to_cart", "p32"),
    ):
        act(taking, kind, product, user="u1")
    engine = taking.app.state.admission.engine

    now = local_seconds(engine.place.now()) + 60
    visit = engine._stages.encoder._history.of(Query(user="u1"), now)[1]

    ids = [engine._stages.encoder._parts.products.ids[row] for row in visit.rows]
    weights = dict(zip(ids, visit.weights.tolist(), strict=True))
    assert weights["p30"] == weights["p31"] < weights["p32"]


def proposals(answer: dict[str, dict[str, float]], channel: str) -> dict[str, float]:
    return {name: round(c[channel], 4) for name, c in answer.items() if channel in c}


BASKETS = [  # of a shopper that the release knows, and of one that it does not
    ("u1", "x1", 1, ["p1", "p9"], "purchase"),
    ("u1", "x2", 3, ["p9", "p2", "p9"], "purchase"),
    ("u1", "x2", 4, ["p9"], "refund"),
    ("new", "y1", 2, ["p4", "p5"], "purchase"),
    ("new", "y1", 2.2, ["p6"], "purchase"),
    ("new", "", 5, ["p7", "unknown"], "purchase"),
]


def test_events_that_are_live_count_as_those_in_a_release(
    shop: Path, quick: Config, quick_releases: Path, tmp_path: Path
) -> None:
    later = tmp_path / "shop"
    shutil.copytree(shop, later)
    cut = UNTIL
    drop_from(later, cut)
    write_events(later)
    at = cut + timedelta(days=10)
    build(later, tmp_path / "releases", quick, at, silent)
    events = EventWriter(tmp_path / "changes", 10_000)
    live = Engine.open(quick_releases, profiles=events.profiles)
    with TestClient(create_app(live, with_live(Config(), "x"), events)) as client:
        for user, session, days, products, kind in BASKETS:
            moment = (cut + timedelta(days=days)).isoformat()
            act(client, kind, *products, user=user, session=session, at=moment)

    built = Engine.open(tmp_path / "releases")
    for user in ("u1", "new", "u2"):
        query = msgspec.convert({"user": user, "scene": {"at": at.isoformat()}}, Query)
        one, two = (history_of(engine, query) for engine in (live, built))
        assert [row.tolist() for row in one[:2]] == [row.tolist() for row in two[:2]], user
        assert np.unique(one[2], return_inverse=True)[1].tolist() == (
            np.unique(two[2], return_inverse=True)[1].tolist()
        ), user
        asked = msgspec.structs.replace(query, k=48, explain=True)
        assert shown(live, asked) == shown(with_history(quick_releases, two), asked), user
    events.close()


def with_history(releases: Path, history: Any) -> Engine:
    """Return an engine with the tables of a release and somebody's history of another."""
    engine = Engine.open(releases)
    own = engine._stages.encoder._history
    given = SimpleNamespace(of=lambda *_: (history, NO_VISIT), traits=own.traits)
    engine._stages.encoder._history = given  # type: ignore[assignment]
    return engine


def shown(engine: Engine, query: Query) -> list[Any]:
    """Return what an answer holds but for its times: products, channels, features and reasons."""
    return [msgspec.structs.replace(one, attended={}) for one in engine.answer(query).products]


def history_of(engine: Engine, query: Query) -> Any:
    stages = engine._stages
    eligible = stages.eligibility.of(query, engine._overlay.snapshot())
    return stages.encoder.encode(query, eligible).encoded.history


def visit_of(engine: Engine, query: Query, now: str) -> Any:
    at_seconds = int(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()) + 60
    return engine._stages.encoder._history.of(query, at_seconds)[1]


def drop_from(shop: Path, cut: Any) -> None:
    """Leave out the days that a release as of the cut has not seen."""
    for folder in (shop / "events").iterdir():
        if folder.name.removeprefix("day=") >= f"{cut:%Y-%m-%d}":
            shutil.rmtree(folder)


def write_events(shop: Path) -> None:
    """Put the same acts into the shop's files."""
    from pipelines.shop.schemas import EVENT_SCHEMA, conform

    for user, session, days, products, kind in BASKETS:
        moment = UNTIL + timedelta(days=days)
        table = pa.table(
            {
                "type": [kind] * len(products),
                "user": [user] * len(products),
                "session": [session] * len(products),
                "time": pa.array([moment] * len(products), pa.timestamp("s")),
                "product": products,
            }
        )
        folder = shop / "events" / f"day={moment:%Y-%m-%d}"
        folder.mkdir(exist_ok=True)
        number = len(list(folder.iterdir()))
        pa.parquet.write_table(conform(table, EVENT_SCHEMA), folder / f"part-{number}.parquet")


def test_a_release_that_learnt_from_the_archive_counts_no_act_twice(
    shop: Path, quick: Config, quick_releases: Path, tmp_path: Path
) -> None:
    earlier, changes = tmp_path / "shop", tmp_path / "changes"
    shutil.copytree(shop, earlier)
    drop_from(earlier, UNTIL)
    live = EventWriter(changes, 10_000)
    engine = Engine.open(quick_releases, profiles=live.profiles)
    with TestClient(create_app(engine, with_live(Config(), "x"), live)) as client:
        for user, session, days, products, kind in BASKETS:
            moment = (UNTIL + timedelta(days=days)).isoformat()
            act(client, kind, *products, user=user, session=session, at=moment)
        act(client, "view", "p8", user="u1", at=moment)
    live.close()
    archive = changes / "events" / "archive"
    at = UNTIL + timedelta(days=10)

    build(earlier, tmp_path / "releases", quick, at, silent, archive=archive)

    later = EventWriter(changes, 10_000)
    before, alone, both = (
        Engine.open(quick_releases, profiles=later.profiles),
        Engine.open(tmp_path / "releases"),
        Engine.open(tmp_path / "releases", profiles=later.profiles),
    )
    for user in ("u1", "new", "u2"):
        query = msgspec.convert({"user": user, "scene": {"at": at.isoformat()}}, Query)
        one, three = (history_of(engine, query) for engine in (before, both))
        stands = (
            later.people.names.user(user) if user == "new" else user
        )  # the shop's files know others
        two = history_of(alone, msgspec.structs.replace(query, user=stands))
        assert [row.tolist() for row in one[:2]] == [row.tolist() for row in two[:2]], user
        assert [row.tolist() for row in two] == [row.tolist() for row in three], user
    query = msgspec.convert({"user": "u1"}, Query)
    [seen] = visit_of(both, query, moment).rows
    assert both._stages.encoder._parts.products.ids[seen] == "p8"
    later.close()


def test_a_purchase_that_the_release_has_from_its_shop_counts_once(
    quick_releases: Path, tmp_path: Path
) -> None:
    events = EventWriter(tmp_path, 10_000)
    alone = Engine.open(quick_releases)
    both = Engine.open(quick_releases, profiles=events.profiles)
    query = msgspec.convert({"user": "u1", "scene": {"at": UNTIL.isoformat()}}, Query)
    history = history_of(alone, query)
    at = datetime.fromtimestamp(int(history.seconds[-1]) + 20, UTC).isoformat()
    bought = alone._stages.encoder._parts.products.ids[history.rows[-1]]
    with TestClient(create_app(both, with_live(Config(), "x"), events)) as client:
        act(client, "purchase", bought, user="u1", order="told by the page", at=at)

    again = history_of(both, query)

    assert [row.tolist() for row in again] == [row.tolist() for row in history]
    events.close()
