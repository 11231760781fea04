"""What the log of changes promises: order, whole lines, one flush for many, nothing lost."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines.live.change_log import (
    FILE,
    ChangeLog,
    Encoded,
    LiveError,
    Logged,
    accept_all,
    identity,
    open_change_log,
    replay,
)
from pipelines.live.changes import (
    LARGEST_CHANGE,
    Change,
    Delete,
    Edit,
    RejectedChange,
    Upsert,
    read_change,
    written,
)
from retrieval import Availability, Product


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ChangeLog]:
    log = open_change_log(tmp_path / "live")
    yield log
    log.close()


def upsert(name: str, **fields: object) -> Upsert:
    return Upsert(product=Product(id=name, title=name, **fields))


def test_changes_are_numbered_in_the_order_in_which_they_come(log: ChangeLog) -> None:
    changes: list[Change] = [upsert("a"), Edit(id="a", price=2.0), Delete(id="a")]

    numbers = log.append(changes) + log.append([upsert("b")])

    assert numbers == [1, 2, 3, 4]
    assert [one.change for one in log.replay()] == [*changes, upsert("b")]
    assert [one.sequence for one in log.replay(after=1, upto=3)] == [2, 3]


def test_what_was_acknowledged_is_there_when_the_log_is_opened_again(tmp_path: Path) -> None:
    first = open_change_log(tmp_path)
    first.append([upsert("a", tags=("x",), attributes={"colour": "red"})])
    first.close()

    second = open_change_log(tmp_path)
    numbers = second.append([Delete(id="a")])
    second.close()

    assert numbers == [2]
    assert [one.change.id for one in replay(tmp_path)] == ["a", "a"]
    assert second.id == first.id


def test_a_vector_comes_back_as_it_was_written(tmp_path: Path) -> None:
    vector = np.linspace(-1, 1, 7, dtype=np.float32)
    log = open_change_log(tmp_path, prepare=lambda cs: [Encoded(c, vector, "minilm") for c in cs])

    log.append([upsert("a")])
    [found] = log.replay()
    log.close()

    assert found.encoder == "minilm"
    assert np.array_equal(found.vector, vector)


def test_writers_that_wait_together_share_a_flush(tmp_path: Path) -> None:
    groups: list[int] = []

    def count(changes: Sequence[Change]) -> list[Encoded]:
        groups.append(len(changes))
        return [Encoded(change) for change in changes]

    log = open_change_log(tmp_path, prepare=count)
    with ThreadPoolExecutor(16) as threads:
        numbers = list(threads.map(lambda i: log.append([upsert(f"p{i}")]), range(400)))
    log.close()

    assert sorted(n for [n] in numbers) == list(range(1, 401))
    assert len(groups) < 400


def test_a_refused_line_leaves_the_others_accept_all(tmp_path: Path) -> None:
    refusal = RejectedChange(404, "id", "unknown")

    log = open_change_log(
        tmp_path, prepare=lambda cs: [refusal if c.id == "b" else Encoded(c) for c in cs]
    )
    large = upsert("big", description="x" * LARGEST_CHANGE)
    outcomes = log.append([upsert("a"), upsert("b"), large, upsert("c")])
    log.close()

    assert outcomes[:2] == [1, refusal]
    assert isinstance(outcomes[2], RejectedChange)
    assert outcomes[2].status == 413
    assert outcomes[3] == 2
    assert [one.change.id for one in replay(tmp_path)] == ["a", "c"]


def test_whoever_follows_the_log_knows_a_change_before_it_is_acknowledged(tmp_path: Path) -> None:
    seen: list[int] = []

    log = open_change_log(tmp_path, apply=lambda logged: seen.extend(x.sequence for x in logged))
    [number] = log.append([upsert("a")])
    log.close()

    assert number in seen


def test_a_fault_while_changes_are_prepared_reaches_their_writer_and_ends_nothing(
    tmp_path: Path,
) -> None:
    def fault(changes: Sequence[Change]) -> list[Encoded]:
        if changes[0].id == "bad":
            raise RuntimeError("the encoder failed")
        return [Encoded(change) for change in changes]

    log = open_change_log(tmp_path, prepare=fault)
    with pytest.raises(RuntimeError, match="the encoder failed"):
        log.append([upsert("bad")])
    numbers = log.append([upsert("good")])
    log.close()

    assert numbers == [1]


def test_one_log_has_one_writer(log: ChangeLog) -> None:
    with pytest.raises(LiveError, match="another process takes changes here"):
        open_change_log(log.folder)


def test_a_closed_log_takes_nothing(log: ChangeLog) -> None:
    log.close()

    with pytest.raises(LiveError, match="closed"):
        log.append([upsert("a")])


def test_a_log_past_its_bound_takes_nothing_more(tmp_path: Path) -> None:
    log = open_change_log(tmp_path, most_bytes=100_000)

    large = [upsert(f"p{i}", description="x" * 10_000) for i in range(100)]

    with pytest.raises(LiveError, match="more than 100,000 bytes"):
        list(map(log.append, ([one] for one in large)))
    log.close()

    assert 0 < identity(tmp_path)[1] < 20


@pytest.mark.parametrize("content", [b"", b"not a database" * 400])
def test_another_file_is_not_taken_for_a_log(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    if not content:
        with sqlite3.connect(tmp_path / FILE) as foreign:
            foreign.execute("CREATE TABLE changes (x)")
        foreign.close()

    with pytest.raises(LiveError, match=r"changes\.sqlite"):
        open_change_log(tmp_path)
    with pytest.raises(LiveError, match=r"changes\.sqlite"):
        identity(tmp_path)


def test_a_folder_without_a_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(LiveError, match="holds no log of changes"):
        list(replay(tmp_path))


def test_a_damaged_change_is_named_by_its_number(tmp_path: Path) -> None:
    log = open_change_log(tmp_path)
    log.append([upsert("a"), upsert("b")])
    log.close()
    with sqlite3.connect(tmp_path / FILE) as damaged:
        damaged.execute("UPDATE changes SET body = x'00' WHERE sequence = 2")
    damaged.close()

    with pytest.raises(LiveError, match=r"change 2 .* damaged"):
        list(replay(tmp_path))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"type": "edit", "id": "a", "prize": 1}', "prize"),
        (b'{"type": "edit", "id": "a"}', "price, an availability"),
        (b'{"type": "edit", "id": "a", "price": -1}', ">= 0"),
        (b'{"type": "move", "id": "a"}', "move"),
        (b'{"type": "upsert", "product": {"id": "", "title": "x"}}', "length"),
        (b'{"type": "delete"}', "id"),
        (b"\xff", "is not a change"),
        (b"[" * 5_000, "is not a change"),
        (b'"' + b"x" * LARGEST_CHANGE, "shorten"),
    ],
)
def test_a_line_that_is_no_change_is_refused_with_the_reason(line: bytes, said: str) -> None:
    found = read_change(line)

    assert isinstance(found, RejectedChange)
    assert said in found.message


def test_a_price_of_null_is_not_the_same_as_no_price() -> None:
    unknown = read_change(b'{"type": "edit", "id": "a", "price": null}')
    kept = Edit(id="a", availability=Availability.OUT_OF_STOCK)

    assert unknown == Edit(id="a", price=None)
    assert b"price" not in written(kept)


def test_nothing_acknowledged_is_lost_however_often_the_writer_is_killed() -> None:
    command = [sys.executable, "-m", "benchmarks.live.live_kills", "--kills", "36"]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert ended.returncode == 0, ended.stderr
    assert "none lost" in ended.stdout


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_builds_and_switches_are_killed() -> None:
    command = [sys.executable, "-m", "benchmarks.live.live_fold_kills", "--kills", "12"]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert ended.returncode == 0, ended.stderr
    assert "12 builds killed: none lost" in ended.stdout


def test_who_takes_over_is_told_of_every_change_once_and_in_order(tmp_path: Path) -> None:
    first: list[int] = []
    second: list[int] = []
    log = open_change_log(tmp_path, apply=noting(first))
    log.append([upsert("a"), upsert("b"), upsert("c")])

    with ThreadPoolExecutor(4) as pool:
        appended = [pool.submit(log.append, [upsert(f"x{n}")]) for n in range(100)]
        log.subscribe(accept_all, noting(second), after=2)
        for one in appended:
            one.result()
    log.append([upsert("d")])
    log.unsubscribe(log._subscribers[0])
    log.append([upsert("e")])
    log.close()

    assert first == list(range(1, 105))
    assert second == list(range(3, 106))


def test_who_takes_over_decides_what_is_taken(log: ChangeLog) -> None:
    refused = RejectedChange(404, "id", "is unknown")

    log.subscribe(lambda changes: [refused for _ in changes], lambda _: None, after=0)

    assert log.append([upsert("a")]) == [refused]


def test_a_take_over_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    told: list[int] = []
    log = open_change_log(tmp_path, apply=noting(told))
    log.append([upsert("a")])

    def broken(_: Sequence[Logged]) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        log.subscribe(accept_all, broken, after=0)
    numbers = log.append([upsert("b")])
    log.close()

    assert (numbers, told) == ([2], [1, 2])


def test_a_closed_log_is_not_taken_over(tmp_path: Path) -> None:
    log = open_change_log(tmp_path)
    log.close()

    with pytest.raises(LiveError, match="is closed"):
        log.subscribe(accept_all, lambda _: None, after=0)


def noting(numbers: list[int]) -> Callable[[Sequence[Logged]], None]:
    return lambda logged: numbers.extend(one.sequence for one in logged)
