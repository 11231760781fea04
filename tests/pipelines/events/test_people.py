"""People: what they withdraw is used no more, and who is erased is in no answer and no file."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from pipelines.config.loading import with_live
from pipelines.config.sections import Config, ConsentConfig, PeopleConfig
from pipelines.engine.engine import Engine
from pipelines.engine.stages.shopper_history import _own_name
from pipelines.events.event_log import FOLDER, replay
from pipelines.events.intake import EventWriter
from pipelines.events.kept_act import KeptAct, kept_act, pseudonymous
from pipelines.events.people import Person, Receipt, is_genuine
from pipelines.people.people_ledger import LedgerEntry
from pipelines.serving.app import create_app
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter
from retrieval import Query
from retrieval.types import Act
from tests.assertions import every

Client = TestClient[Litestar]
NOW = datetime.now(UTC).replace(microsecond=0)
ANNA, BEN = Person(user="anna"), Person(user="ben")


@pytest.fixture
def events(tmp_path: Path) -> Iterator[EventWriter]:
    writer = EventWriter(tmp_path, 35)
    yield writer
    writer.close()


def act(events: EventWriter, minutes: float, **fields: Any) -> KeptAct:
    at = (NOW - timedelta(hours=5) + timedelta(minutes=minutes)).isoformat()
    body = {"type": "view", "at": at, "lines": [{"product": f"p{minutes}"}]} | fields
    plain = msgspec.convert(body, Act)
    return kept_act(pseudonymous(plain, events.people.names), NOW, UTC, ConsentConfig())


def take(events: EventWriter, *acts: KeptAct) -> list[Any]:
    return events.submit(acts).result()


def shopping(events: EventWriter) -> None:
    """Let two people act, on a browser of each and on one of both, before and after an archive."""
    for start in (0, 1_000):
        acts = []
        for i in range(40):
            user = ("anna", "ben")[i % 2]
            acts += [
                act(events, start / 10 + i, user=user, visitor=f"{user}'s phone", text="x" * i),
                act(events, start / 10 + i + 0.1, visitor=f"{user}'s phone"),
                act(events, start / 10 + i + 0.2, user=user, visitor="a tablet"),
            ]
        take(events, *acts)
        if not start:
            events._write_archive()
            checkpoint(events)


def checkpoint(events: EventWriter) -> None:
    """Bring what is in the write-ahead logs into the files."""
    for name in ("events.sqlite", "profiles.sqlite"):
        with closing(sqlite3.connect(events._folder / name)) as connection:
            connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()


def products(events: EventWriter, user: str) -> list[str]:
    return [line.product for line in events.profiles.lines(events.people.names.users(user), [])]


def found(folder: Path, name: str) -> list[str]:
    """Return the files that have a name in a byte, or packed in a row."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path.name
        for path in files
        if name.encode() in path.read_bytes()
        or (
            path.suffix == ".parquet"
            and name in repr(pq.read_table(path, partitioning=None).to_pylist())
        )
    )


def test_who_is_erased_is_in_no_byte_of_any_file_but_the_ledger(
    events: EventWriter, tmp_path: Path
) -> None:
    shopping(events)
    names = events.people.names
    before = found(tmp_path, names.user("anna"))
    of_ben = products(events, "ben")

    [receipt] = events.erase([ANNA]).result()

    logs = [one for one in before if not one.endswith(".parquet")]
    assert logs == ["events.sqlite", "events.sqlite-wal", "profiles.sqlite", "profiles.sqlite-wal"]
    assert len(before) > len(logs)  # a file of the archive for each day
    for name in (names.user("anna"), names.visitor("anna's phone"), names.visitor("a tablet")):
        assert found(tmp_path, name) == ["people.jsonl"]
    assert (receipt.acts, receipt.rows, receipt.left_on_disk) == (120, 60, False)
    assert products(events, "anna") == []
    assert products(events, "ben") == of_ben
    assert len(list(replay(tmp_path / FOLDER))) == 120
    events._write_archive()
    assert found(tmp_path, names.user("anna")) == ["people.jsonl"]


def test_a_receipt_is_signed(events: EventWriter) -> None:
    [receipt] = events.erase([ANNA]).result()

    assert is_genuine(receipt, events.people)
    assert not is_genuine(msgspec.structs.replace(receipt, acts=9), events.people)


def test_acts_of_an_erased_person_that_come_again_are_not_kept_and_later_ones_are(
    events: EventWriter, tmp_path: Path
) -> None:
    old = act(events, 1, user="anna")
    take(events, old)
    events.erase([ANNA]).result()
    later = (NOW + timedelta(minutes=30)).isoformat()
    plain = msgspec.convert(
        {"type": "view", "user": "anna", "at": later, "lines": [{"product": "p9"}]}, Act
    )
    returning = pseudonymous(plain, events.people.names)

    [again] = take(events, old)
    take(events, kept_act(returning, NOW + timedelta(hours=1), UTC, ConsentConfig()))

    assert again.status == 204
    assert products(events, "anna") == ["p9"]


def test_a_restored_backup_does_not_bring_a_person_back(tmp_path: Path) -> None:
    live, backup = tmp_path / "live", tmp_path / "backup"
    first = EventWriter(live, 35)
    shopping(first)
    first.close()
    shutil.copytree(live / FOLDER, backup)
    second = EventWriter(live, 35)
    second.erase([ANNA]).result()
    second.close()
    shutil.rmtree(live / FOLDER)
    shutil.copytree(backup, live / FOLDER)

    third = EventWriter(live, 35)

    name = third.people.names.user("anna")
    assert found(live, name) == ["people.jsonl"]
    assert len(products(third, "ben")) > 40
    third.close()


def test_an_erasure_that_was_cut_off_is_done_at_the_next_start(tmp_path: Path) -> None:
    first = EventWriter(tmp_path, 35)
    shopping(first)
    names = first.people.names_of("anna", None)
    first.people.ledger.append(LedgerEntry(at=NOW, names=names, erased=True))
    at_once = products(first, "anna")
    first.close()

    EventWriter(tmp_path, 35).close()

    assert len(at_once) > 0  # in the file; answers look at the ledger
    assert found(tmp_path, names[0]) == ["people.jsonl"]


def test_half_a_line_of_the_ledger_is_none_and_the_next_one_is_whole(events: EventWriter) -> None:
    ledger = events.people.ledger
    ledger.append(LedgerEntry(at=NOW, names=("a",)))
    with ledger.path.open("ab") as file:
        file.write(b'{"at": "20')

    ledger.append(LedgerEntry(at=NOW, names=("b",), purposes=("ads",)))

    assert [entry.names for entry in ledger.entries] == [("a",), ("b",)]
    assert ledger.end_of("ads", ["b"]) == NOW
    assert ledger.end_of("train", ["b"]) is None


def test_everything_that_is_kept_of_a_person_is_exported(events: EventWriter) -> None:
    shopping(events)

    content = events.export(ANNA)

    assert (len(content["acts"]), len(content["archived"])) == (80, 40)
    assert {row["user"] for row in content["archived"]} == {events.people.names.user("anna")}


@pytest.fixture
def serving(quick_releases: Path, tmp_path: Path) -> Iterator[tuple[Client, EventWriter, Engine]]:
    config = with_live(Config(people=PeopleConfig(http=True)), "x")
    writer = EventWriter(tmp_path, 35, releases=quick_releases)
    engine = Engine.open(quick_releases, profiles=writer.profiles)
    with TestClient(create_app(engine, config, writer)) as client:
        yield client, writer, engine
    writer.close()


def channels(client: Client, user: str) -> dict[str, set[str]]:
    asked = {"user": user, "k": 48, "explain": True}
    answer = client.post("/v1/recommend", json=asked).json()
    return {one["product"]["id"]: set(one["channels"]) for one in answer["products"]}


def test_who_is_erased_is_in_no_answer_from_then_on(serving: Any) -> None:
    client, writer, engine = serving
    query = Query(user="u1")
    stages = engine._stages.encoder._history
    before = (len(stages.of(query, 2**31)[0].rows), stages.traits(query))
    stranger = channels(client, "a stranger")
    known = channels(client, "u1")

    answer = client.post("/v1/people/erase", json={"user": "u1"})

    assert answer.status_code == 200, answer.text
    receipt = msgspec.json.decode(answer.content, type=Receipt)
    assert len(receipt.releases) == 1
    assert is_genuine(receipt, writer.people)
    assert before[0] > 0
    assert known != stranger
    assert channels(client, "u1") == stranger
    assert stages.traits(query) == {}
    assert "u1" not in client.get("/v1/shoppers?limit=50").json()["shoppers"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "user"), ({"user": ""}, "user"), ({"user": "a", "age": 3}, "age"), ([], "body")],
)
def test_a_person_who_is_not_named_is_a_refusal(serving: Any, body: Any, field: str) -> None:
    client, _, _ = serving

    for verb in ("export", "erase"):
        answer = client.post(f"/v1/people/{verb}", json=body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


def test_nobody_is_exported_or_erased_over_http_unless_the_server_says_so(
    events: EventWriter, engine: Any
) -> None:
    with TestClient(create_app(engine, with_live(Config(), "x"), events)) as client:
        for verb in ("export", "erase"):
            answer = client.post(f"/v1/people/{verb}", json={"user": "u1"})
            assert answer.status_code == 403


def test_a_build_leaves_out_who_was_erased_and_what_was_withdrawn(
    shop: Path, events: EventWriter
) -> None:
    people, ledger = events.people, events.people.ledger
    plain = Shop(shop, people=people)
    rows = [row for one in plain.event_batches() for row in one.to_pylist()]
    users = plain.users().num_rows
    middle = sorted(row["time"] for row in rows if row["user"] == "u2")[2]
    ledger.append(LedgerEntry(at=NOW, names=people.names_of("u1", None), erased=True))
    ended = middle.replace(tzinfo=UTC)
    ledger.append(LedgerEntry(at=ended, names=people.names_of("u2", None), purposes=("train",)))

    later = Shop(shop, people=people)

    left = [row for one in later.event_batches() for row in one.to_pylist()]
    expected = [
        row
        for row in rows
        if row["user"] != "u1" and not (row["user"] == "u2" and row["time"] <= middle)
    ]
    assert left == expected
    assert later.users().num_rows == users - 1
    assert plain.fingerprint("events") == later.fingerprint("events")  # of one ledger
    assert Shop(shop).fingerprint("events") != later.fingerprint("events")
    assert Shop(shop).fingerprint("products") == later.fingerprint("products")


def test_a_visitor_of_the_shop_s_own_log_is_erased_by_the_name_in_the_ledger(
    tmp_path: Path, events: EventWriter
) -> None:
    times = pa.array([datetime(2024, 1, 1, 12)] * 2, pa.timestamp("s"))
    with ShopWriter(tmp_path / "own", name="Shop", source="table") as writer:
        writer.add_products(pa.table({"id": ["p1"], "title": ["Oat milk"]}))
        users = ["visitor/c1", "visitor/c2"]
        writer.add_events(
            pa.table({"type": ["view"] * 2, "user": users, "time": times, "product": ["p1"] * 2})
        )
    people = events.people
    names = people.names_of(None, "c1")
    people.ledger.append(LedgerEntry(at=NOW, names=names, erased=True))

    own = Shop(tmp_path / "own", people=people)

    left = [row["user"] for one in own.event_batches() for row in one.to_pylist()]
    assert left == ["visitor/c2"]
    assert own._own_users[0].to_pylist()[0] == names[0]


def test_a_visitor_is_looked_for_under_the_name_of_an_imported_log() -> None:
    assert _own_name(Query(visitor="c1")) == "visitor/c1"
    assert _own_name(Query(user="u1", visitor="c1")) == "u1"


def send(client: Client, kind: str, product: str, **fields: Any) -> None:
    body = {"type": kind, "user": "new", "lines": [{"product": product}]} | fields
    answer = client.post("/v1/events", json=body)
    assert answer.status_code == 200, answer.text


def test_what_a_shopper_denies_later_is_withdrawn_from_the_acts_before(serving: Any) -> None:
    client, writer, _ = serving
    earlier, now = (NOW - timedelta(hours=h) for h in (2, 1))
    send(client, "purchase", "p3", order="o1", at=earlier.isoformat())
    before = channels(client, "new")
    denied = {"recommend": "denied"}

    send(client, "view", "p9", consent=denied, at=now.isoformat())

    assert "repeat" in before["p3"]
    assert "repeat" not in channels(client, "new").get("p3", set())
    entry = writer.people.ledger.entries[-1]
    assert (entry.purposes, entry.erased) == (("recommend",), False)
    send(client, "purchase", "p5", order="o2")
    assert "repeat" in channels(client, "new")["p5"]
    assert "repeat" not in channels(client, "new").get("p3", set())


def test_a_denial_of_every_purpose_withdraws_and_is_not_kept(serving: Any) -> None:
    client, writer, _ = serving
    send(client, "purchase", "p3", order="o1", at=(NOW - timedelta(hours=2)).isoformat())
    denied = dict.fromkeys(("search", "recommend", "ads", "train"), "denied")
    last = len(list(replay(writer._folder)))

    send(client, "view", "p9", consent=denied)
    send(client, "view", "p8", consent=denied)

    assert "repeat" not in channels(client, "new").get("p3", set())
    assert len(list(replay(writer._folder))) == last
    assert len(writer.people.ledger.entries) == 1


def test_who_denies_and_was_never_known_leaves_no_trace(
    events: EventWriter, tmp_path: Path
) -> None:
    denied = dict.fromkeys(("search", "recommend", "ads", "train"), "denied")

    take(events, act(events, 1, user="anna", visitor="v", consent=denied))

    names = events.people.names
    assert every(found(tmp_path, name) == [] for name in (names.user("anna"), names.visitor("v")))
