"""A log that another process writes, as one that does not write it sees it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.live.change_log import ChangeLog, LiveError, Logged, open_change_log
from pipelines.live.changes import Delete, RejectedChange, Upsert
from pipelines.live.remote.change_client import ChangeClient
from pipelines.live.remote.change_server import ChangeServer
from pipelines.live.remote.change_tail import ChangeTail
from pipelines.live.remote.messages import (
    CHANGES,
    MOST_BYTES,
    encode,
    read_message,
    write_message,
)
from retrieval import Product

MILK = Upsert(product=Product(id="p1", title="Oat milk"))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ChangeLog]:
    log = open_change_log(tmp_path / "live")
    yield log
    log.close()


@pytest.fixture
def server(log: ChangeLog, tmp_path: Path) -> Iterator[ChangeServer]:
    server = ChangeServer(tmp_path / "changes", log.submit)
    yield server
    server.close()


@pytest.fixture
def tail(log: ChangeLog, server: ChangeServer, tmp_path: Path) -> Iterator[ChangeTail]:
    tail = ChangeTail(tmp_path / "live", ChangeClient(tmp_path / "changes"))
    yield tail
    tail.close()


def test_what_is_sent_over_the_socket_comes_back_as_it_was() -> None:
    changes = [MILK, Delete(id="p2")]
    outcomes = [1, RejectedChange(404, "id", "is no product"), 2]

    assert CHANGES.items.decode(encode(changes)) == changes
    assert CHANGES.outcomes.decode(encode(outcomes)) == outcomes
    assert CHANGES.outcomes.decode(encode("the disk is full")) == "the disk is full"


def test_a_message_that_ends_early_or_is_too_long_is_none() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        write_message(ours, b"whole")
        ours.sendall((MOST_BYTES + 1).to_bytes(4, "big"))
        ours.sendall(b"\0\0\0\7half")
        ours.shutdown(socket.SHUT_WR)

        assert read_message(theirs) == b"whole"
        with pytest.raises(ValueError, match="at most"):
            read_message(theirs)
        assert read_message(theirs) is None


def test_a_forwarded_change_is_done_when_it_is_applied_here(
    tail: ChangeTail, log: ChangeLog
) -> None:
    seen: list[Logged] = []
    tail.subscribe(lambda _: [], seen.extend, after=0)

    outcomes = [tail.submit([MILK]).result(20), tail.submit([Delete(id="p1")] * 2).result(20)]

    assert outcomes == [[1], [2, 3]]
    assert [one.sequence for one in seen] == [1, 2, 3]
    assert seen[0].change == MILK
    assert log.last == tail.last == 3


def test_changes_that_others_write_are_applied_too_each_once_and_in_order(
    tail: ChangeTail, log: ChangeLog
) -> None:
    seen: list[Logged] = []
    log.append([MILK] * 3)
    assert tail.wait_for(3, 20)

    tail.subscribe(lambda _: [], seen.extend, after=1)
    log.append([MILK] * 2)
    assert tail.wait_for(5, 20)

    assert [one.sequence for one in seen] == [2, 3, 4, 5]
    assert not tail.wait_for(6, 0.05)


def test_a_writer_that_ended_is_an_error_and_the_next_one_is_connected_to(
    tail: ChangeTail, log: ChangeLog, server: ChangeServer, tmp_path: Path
) -> None:
    assert tail.submit([MILK]).result(20) == [1]
    server.close()
    (tmp_path / "changes").unlink()

    with pytest.raises(LiveError, match="the writer of changes"):
        tail.submit([MILK]).result(20)
    again = ChangeServer(tmp_path / "changes", log.submit)

    assert tail.submit([MILK]).result(20)[0] >= 2
    again.close()


def test_why_nothing_was_written_is_passed_on(tail: ChangeTail, log: ChangeLog) -> None:
    log.close()

    with pytest.raises(LiveError, match="closed"):
        tail.submit([MILK]).result(20)
