"""The archive of acts: whole after any interruption, and read by a build as events of the shop."""

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.config.sections import ConsentConfig
from pipelines.errors import ShopError
from pipelines.events import archive_writer
from pipelines.events.archive_writer import ARCHIVE, ArchiveWriter
from pipelines.events.event_log import EventLog, forget, open_event_log, replay
from pipelines.events.kept_act import kept_act
from pipelines.live.change_log import LiveError
from pipelines.people.people import People
from pipelines.people.people_ledger import PeopleLedger
from pipelines.people.pseudonyms import Pseudonyms
from pipelines.shop.archive import archive_parts, read_index
from pipelines.shop.reader import Shop
from pipelines.shop.schemas import EVENT_SCHEMA, conform
from retrieval.types import Act
from tests.assertions import every

NOW = datetime(2024, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> Any:
    log = open_event_log(tmp_path, lambda _: None)
    yield log
    log.close()


def write(log: EventLog, *numbers: int, **fields: Any) -> None:
    for number in numbers:
        body = {
            "id": f"e{number}", "type": "purchase", "user": f"u{number % 5}", "session": "s",
            "at": (NOW - timedelta(days=number % 3)).isoformat(), "currency": "EUR",
            "lines": [{"product": "p1", "quantity": 2, "price_micros": 1_250_000}],
        }  # fmt: skip
        act = msgspec.convert(body | fields, Act)
        log.append([kept_act(act, NOW, UTC, ConsentConfig())])


def rows(folder: Path) -> list[dict[str, Any]]:
    archive = folder / ARCHIVE
    paths = [p for _, day in archive_parts(archive, read_index(archive)) for p in day]
    return [row for path in paths for row in pq.read_table(path, partitioning=None).to_pylist()]


def test_every_act_is_archived_once_under_its_day(log: EventLog, tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path)
    for start in range(0, 60, 6):
        write(log, *range(start, start + 6))
        writer.write()

    told = rows(tmp_path)

    assert sorted(row["sequence"] for row in told) == [(1 << 48) + i for i in range(60)]
    assert {f"{row['time']:%Y-%m-%d}" for row in told} == {"2024-02-29", "2024-03-01", "2024-03-02"}
    assert {row["value"] for row in told} == {2.5}


def test_many_files_of_a_bucket_become_one(log: EventLog, tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path)
    for number in range(0, 15 * 20, 15):
        write(log, number)
        writer.write()

    archive = tmp_path / ARCHIVE
    [(_, paths)] = archive_parts(archive, read_index(archive))

    assert len(paths) <= archive_writer.MOST_PARTS
    assert len(rows(tmp_path)) == 20


@pytest.mark.parametrize("at", range(6))
def test_a_write_that_is_cut_off_leaves_no_act_out_and_none_twice(
    log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    write(log, *range(10))
    before = ArchiveWriter(tmp_path)
    calls = 0
    real = archive_writer.replaced_file

    def fails(out: Path, draft: Path | None = None) -> Any:
        nonlocal calls
        calls += 1
        if calls > at:
            raise OSError("no space")
        return real(out, draft)

    monkeypatch.setattr(archive_writer, "replaced_file", fails)
    with pytest.raises(OSError, match="no space"):
        before.write()
    monkeypatch.setattr(archive_writer, "replaced_file", real)
    write(log, 10)

    for writer in (before, ArchiveWriter(tmp_path)):
        writer.write()
        assert sorted(row["key"] for row in rows(tmp_path)) == sorted(
            {row["key"] for row in rows(tmp_path)}
        )
        assert len(rows(tmp_path)) == 11


def test_a_draft_of_a_killed_write_is_removed(log: EventLog, tmp_path: Path) -> None:
    write(log, 1)
    ArchiveWriter(tmp_path).write()
    [bucket] = (tmp_path / ARCHIVE).glob("day=*/bucket=*")
    draft = bucket / "part-1.parquet.4711.draft"
    draft.write_bytes(b"half")

    ArchiveWriter(tmp_path).write()

    assert not draft.exists()


def test_an_act_that_may_not_be_learnt_from_is_not_archived(log: EventLog, tmp_path: Path) -> None:
    write(log, 1, consent={"train": "denied"})
    write(log, 2)
    ArchiveWriter(tmp_path).write()

    assert [row["user"] for row in rows(tmp_path)] == ["u2"]


def test_a_shop_with_an_archive_has_its_events_too(
    log: EventLog, tmp_path: Path, shop: Path
) -> None:
    write(log, *range(9))
    ArchiveWriter(tmp_path).write()

    plain, both = Shop(shop), Shop(shop, tmp_path / ARCHIVE)

    count = sum(batch.num_rows for batch in plain.event_batches())
    batches = list(both.event_batches())
    assert sum(batch.num_rows for batch in batches) == count + 9
    assert pa.Table.from_batches(batches)["user"].null_count == 0
    assert plain.fingerprint("events") != both.fingerprint("events")
    assert plain.fingerprint("products") == both.fingerprint("products")


def test_a_folder_that_is_no_archive_is_refused_by_name(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ShopError, match=r"is no archive of events \(no archive.json\)"):
        Shop(shop, tmp_path)


def test_old_acts_leave_the_log_once_archived_and_purchases_stay(
    log: EventLog, tmp_path: Path
) -> None:
    write(log, *range(1200), type="view", order="", currency="", lines=[{"product": "p1"}])
    write(log, 1200, order="o1")
    upto = ArchiveWriter(tmp_path).write()
    later = NOW + timedelta(days=1)

    assert forget(tmp_path, upto, NOW) == 0
    assert forget(tmp_path, upto - 600, later) == 601
    assert forget(tmp_path, upto, later) == 599

    assert [one.kept.act.order for one in replay(tmp_path)] == ["o1"]
    write(log, 1201)
    assert log.last == upto + 1


def test_a_file_that_is_in_another_one_stays_for_who_reads_it_now(
    log: EventLog, tmp_path: Path
) -> None:
    writer = ArchiveWriter(tmp_path)
    archive = tmp_path / ARCHIVE
    long_ago = time.time() - 10 * archive_writer.KEPT_SECONDS
    for number in range(0, 15 * archive_writer.MOST_PARTS, 15):
        write(log, number)
        writer.write()
    [(_, listed)] = archive_parts(archive, read_index(archive))
    for path in listed:
        os.utime(path, (long_ago, long_ago))

    write(log, 15 * archive_writer.MOST_PARTS)
    writer.write()

    assert every(path.exists() for path in listed)
    [(_, [joined, _])] = archive_parts(archive, read_index(archive))
    os.utime(joined, (long_ago, long_ago))
    write(log, 15 * archive_writer.MOST_PARTS + 15)
    writer.write()
    assert not any(path.exists() for path in listed)


def test_what_the_shop_s_own_files_hold_counts_once(
    log: EventLog, tmp_path: Path, shop: Path
) -> None:
    copy = tmp_path / "shop"
    shutil.copytree(shop, copy)
    shop_events = {
        "type": ["purchase", "purchase", "view"],
        "user": ["another name", "u1", "u1"],
        "session": ["o1", "", ""],
        "time": pa.array([NOW.replace(tzinfo=None)] * 3, pa.timestamp("s")),
        "product": ["p1", "p2", "p3"],
    }
    folder = copy / "events" / f"day={NOW:%Y-%m-%d}"
    folder.mkdir(exist_ok=True)
    table = conform(pa.table(shop_events), EVENT_SCHEMA)
    pq.write_table(table, folder / "part-99.parquet")
    at, later = NOW.isoformat(), (NOW + timedelta(minutes=9)).isoformat()
    common: dict[str, Any] = {"user": "u1", "session": "", "at": at}
    write(log, 1, **common | {"order": "o1", "at": later})
    write(log, 2, **common, lines=[{"product": "p2"}])
    write(log, 3, **common, lines=[{"product": "p3"}], type="view")
    write(log, 4, **common | {"order": "o2"})
    write(log, 5, **common | {"order": "o1"}, lines=[{"product": "p4"}])
    ArchiveWriter(tmp_path).write()

    own, both = Shop(copy), Shop(copy, tmp_path / ARCHIVE)

    count = sum(batch.num_rows for batch in own.event_batches())
    rows = [row for one in both.event_batches() for row in one.to_pylist()]
    orders = sorted((row["session"], row["product"]) for row in rows if row["session"][:1] == "o")
    assert sum(batch.num_rows for batch in both.event_batches(None, ["type"])) == count + 2
    assert orders == [("o1", "p1"), ("o1", "p4"), ("o2", "p1")]


def test_a_build_finds_the_shop_s_own_users_under_their_names(
    log: EventLog, tmp_path: Path, shop: Path
) -> None:
    old, new = Pseudonyms([bytes(32)]), Pseudonyms([bytes([1] * 32), bytes(32)])
    for number, (names, user) in enumerate(((old, "u1"), (new, "u1"), (new, "stranger"))):
        write(log, number, user=names.user(user), order=f"o{number}")
    ArchiveWriter(tmp_path, new.key_ids).write()

    both = Shop(shop, tmp_path / ARCHIVE, People(new, PeopleLedger(tmp_path / "none")))

    rows = [row for one in both.event_batches() for row in one.to_pylist()]
    users = {row["session"]: row["user"] for row in rows if row["session"] in ("o0", "o1", "o2")}
    assert users == {"o0": "u1", "o1": "u1", "o2": new.user("stranger")}


def test_an_archive_is_not_read_or_written_without_its_key(
    log: EventLog, tmp_path: Path, shop: Path
) -> None:
    names, others = Pseudonyms([bytes(32)]), Pseudonyms([bytes([1] * 32)])
    write(log, 1)
    ArchiveWriter(tmp_path, names.key_ids).write()

    for given in (None, People(others, PeopleLedger(tmp_path / "none"))):
        with pytest.raises(ShopError, match=r"set people\.key to the file of the server's key"):
            Shop(shop, tmp_path / ARCHIVE, given)
    with pytest.raises(LiveError, match=r"by another key than people\.key"):
        ArchiveWriter(tmp_path, others.key_ids)
