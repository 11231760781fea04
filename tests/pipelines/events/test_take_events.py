"""Events over HTTP: durable, taken once, refused by field, and known in the next answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from pipelines.config.loading import with_live
from pipelines.config.sections import Config
from pipelines.events.intake import EventWriter
from pipelines.serving.app import create_app

pytestmark = pytest.mark.foreign

Client = TestClient[Litestar]
LINES = {"content-type": "application/x-ndjson"}
VIEW = {"type": "view", "visitor": "v1", "lines": [{"product": "p1"}]}


@pytest.fixture
def taking(engine: Any, tmp_path: Path) -> Iterator[Client]:
    events = EventWriter(tmp_path, 35)
    with TestClient(create_app(engine, with_live(Config(), str(tmp_path)), events)) as client:
        yield client
    events.close()


def send(client: Client, **fields: Any) -> Any:
    return client.post("/v1/events", json=VIEW | fields)


def lines(client: Client, *events: object) -> list[dict[str, Any]]:
    body = b"\n".join(e if isinstance(e, bytes) else msgspec.json.encode(e) for e in events)
    answer = client.post("/v1/events", content=body, headers=LINES)
    assert answer.status_code == 200, answer.text
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


def test_an_event_is_taken_under_a_number_of_its_own(taking: Client) -> None:
    first, second = (send(taking, id=name).json()["sequence"] for name in ("a", "b"))

    assert second == first + 1
    assert first >= 1 << 48


def test_an_event_that_is_sent_again_is_taken_once(taking: Client) -> None:
    first = send(taking, id="a").json()

    again = send(taking, id="a").json()

    assert again == first | {"duplicate": True}


def test_of_two_equal_events_in_one_body_one_is_taken(taking: Client) -> None:
    one, two = lines(taking, VIEW | {"id": "a"}, VIEW | {"id": "a"})

    assert two["taken"]["sequence"] == one["taken"]["sequence"]
    assert [one["taken"]["duplicate"], two["taken"]["duplicate"]] == [False, True]


def test_a_purchase_that_a_reloaded_page_tells_again_is_taken_once(
    taking: Client,
) -> None:
    order = VIEW | {"type": "purchase", "order": "o1"}

    one, two = lines(taking, order | {"id": "a"}, order | {"id": "b"})

    assert two["taken"] == one["taken"] | {"duplicate": True}


def test_a_line_that_is_no_event_stops_no_other(taking: Client) -> None:
    one, two, three = lines(taking, VIEW, b"{", VIEW | {"user": "u1"})

    assert [one["status"], two["status"], three["status"]] == [200, 400, 200]
    assert two["line"] == 2
    assert two["error"]["field"] == "body"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "scroll"}, "type"),
        ({"visitor": None}, "visitor"),
        ({"visitor": "(not set)"}, "visitor"),
        ({"visitor": "undefined"}, "visitor"),
        ({"visitor": ""}, "visitor"),
        ({"visitor": "x" * 129}, "visitor"),
        ({"visitor": "a\x00"}, "visitor"),
        ({"user": "visitor/v1"}, "user"),
        ({"lines": []}, "lines"),
        ({"lines": [{"product": "null"}]}, "lines[0].product"),
        ({"lines": [{"product": "p1", "quantity": 0}]}, "lines[0].quantity"),
        ({"lines": [{"product": "p1", "quantity": 1e9}]}, "lines[0].quantity"),
        ({"lines": [{"product": "p1", "price_micros": -1}]}, "lines[0].price_micros"),
        ({"lines": [{"product": "p1", "price_micros": 1.5}]}, "lines[0].price_micros"),
        ({"lines": [{"product": "p1", "price_micros": 5}]}, "currency"),
        ({"lines": [{"product": "p1", "colour": 5}]}, "lines[0].colour"),
        ({"lines": [{"product": "p1"}] * 201}, "lines"),
        ({"currency": "euro"}, "currency"),
        ({"at": "yesterday"}, "at"),
        ({"at": "0001-01-01T00:00:00"}, "at"),
        ({"sent_at": "9999-12-31T23:59:59-12:00"}, "sent_at"),
        ({"answer": "abc"}, "answer"),
        ({"answer": "0" * 32 + "\n"}, "answer"),
        ({"currency": "EUR\n"}, "currency"),
        ({"consent": {"train": "maybe"}}, "consent.train"),
        ({"type": "search"}, "text"),
        ({"type": "refund", "lines": []}, "order"),
        ({"colour": 1}, "colour"),
    ],
)
def test_an_event_that_cannot_be_used_is_refused_by_field(
    taking: Client, fields: dict[str, Any], field: str
) -> None:
    answer = send(taking, **fields)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["field"] == field


def test_a_field_that_is_written_twice_is_refused(taking: Client) -> None:
    body = b'{"type": "view", "type": "click", "visitor": "v", "lines": [{"product": "p1"}]}'

    answer = taking.post("/v1/events", content=body, headers={"content-type": "application/json"})

    assert answer.json()["error"]["field"] == "type"


def test_deep_json_and_long_events_are_refused(taking: Client) -> None:
    deep, long = b'{"lines":' + b"[" * 50_000, msgspec.json.encode(VIEW | {"text": "x" * 70_000})

    statuses = [one["status"] for one in lines(taking, deep, long, VIEW)]

    assert statuses == [400, 413, 200]


def test_an_event_from_the_future_happened_when_it_arrived(taking: Client) -> None:
    assert send(taking, at="2190-01-01T00:00:00Z").json()["clamped"]


def test_an_event_without_consent_is_acknowledged_and_not_kept(taking: Client) -> None:
    denied = dict.fromkeys(("search", "recommend", "ads", "train"), "denied")

    answer = send(taking, consent=denied)

    assert (answer.json()["kept"], answer.json().get("sequence")) == (False, None)


def test_a_server_that_was_not_told_to_takes_no_event(client: Client) -> None:
    answer = send(client)

    assert answer.status_code == 403
    assert "--live" in answer.json()["error"]["message"]


def test_after_a_number_of_an_event_needs_a_server_that_takes_events(
    client: Client, taking: Client
) -> None:
    number = send(taking).json()["sequence"]

    refused = client.post(f"/v1/recommend?after={number}", json={})
    answered = taking.post(f"/v1/recommend?after={number}", json={"visitor": "v1"})

    assert (refused.status_code, answered.status_code) == (400, 200)


def test_no_plain_id_of_a_shopper_is_on_the_disk(taking: Client, tmp_path: Path) -> None:
    visitor, user = "visitor-91f2c7", "anna.rossi@example.org"
    send(taking, visitor=visitor, user=user, type="purchase", order="o1", id=f"{user}-1")
    send(taking, visitor=visitor)
    taking.app.state.admission.events._write_archive()

    files = [path for path in tmp_path.rglob("*") if path.is_file()]

    assert {"events.sqlite-wal", "profiles.sqlite", "people.key"} <= {path.name for path in files}
    parts = [path for path in files if path.suffix == ".parquet"]
    assert parts
    rows = [pq.read_table(path, partitioning=None).to_pylist() for path in parts]
    content = b"".join(path.read_bytes() for path in files) + repr(rows).encode()
    assert visitor.encode() not in content
    assert user.encode() not in content
