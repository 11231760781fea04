"""The lane of bulks: one at a time, each part behind the shoppers that wait."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from math import inf

import pytest

from pipelines.config.sections import ServeConfig
from pipelines.live.changes import Change, Delete
from pipelines.serving.admission import AdmissionControl, Overloaded, control
from retrieval import Query, Slate, Stage

CHANGES = [Delete(id="p1")]


class OneAtATime:
    """Answers when it is let go, and writes changes at once."""

    release = "r1"
    newest_change = 0

    def __init__(self) -> None:
        self.go = threading.Event()
        self.done: list[str] = []

    def answer(self, query: Query, stage: Stage = Stage.RANKING, spare_ms: float = inf) -> Slate:
        self.go.wait(20)
        self.done.append(query.user or "")
        return Slate(products=(), stage=stage, release=self.release, timings_ms={})

    def complete(self, text: str, k: int) -> list[str]:
        return []

    def change(self, changes: Sequence[Change]) -> "Future[list[int]]":
        self.done.append("change")
        written: Future[list[int]] = Future()
        written.set_result([1] * len(changes))
        return written


def admission_over(engine: OneAtATime) -> AdmissionControl:
    return AdmissionControl(engine, ServeConfig(threads=1, deadline_ms=60_000, live="live"))


def shopper(name: str) -> Query:
    return Query(user=name, deadline_ms=60_000)


def test_a_part_of_a_bulk_is_written_when_no_shopper_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "QUIET_SECONDS", 60.0)
    engine = OneAtATime()
    admission = admission_over(engine)

    async def all_of_them() -> None:
        shoppers = [asyncio.create_task(admission.answer(shopper(name))) for name in "abc"]
        await asyncio.sleep(0.05)
        part = asyncio.create_task(admission.change_part(CHANGES))
        await asyncio.sleep(0.05)
        assert engine.done == []
        engine.go.set()
        await asyncio.gather(part, *shoppers)

    asyncio.run(all_of_them())

    # The last shopper is in work, and waits no more, when the part begins.
    assert engine.done.index("change") >= 2


def test_a_part_of_a_bulk_waits_for_a_crowd_no_longer_than_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "QUIET_SECONDS", 0.05)
    engine = OneAtATime()
    admission = admission_over(engine)

    async def all_of_them() -> list[object]:
        shoppers = [asyncio.create_task(admission.answer(shopper(name))) for name in "ab"]
        await asyncio.sleep(0.05)
        outcomes = await admission.change_part(CHANGES)
        assert engine.done == ["change"]
        engine.go.set()
        await asyncio.gather(*shoppers)
        return list(outcomes)

    assert asyncio.run(all_of_them()) == [1]


def test_one_bulk_is_let_in_at_a_time_and_beyond_those_that_may_wait_it_is_refused() -> None:
    admission = admission_over(OneAtATime())
    inside: list[int] = []
    most: list[int] = []

    async def bulk(number: int, go: asyncio.Event) -> None:
        async with admission.bulk():
            inside.append(number)
            most.append(len(inside))
            await go.wait()
            inside.remove(number)

    async def all_of_them() -> list[BaseException | None]:
        go = asyncio.Event()
        room = 1 + control.MOST_BULKS
        waiting = [asyncio.create_task(bulk(number, go)) for number in range(room)]
        await asyncio.sleep(0)
        refused = await asyncio.gather(bulk(room, go), return_exceptions=True)
        go.set()
        return [*refused, *await asyncio.gather(*waiting, bulk(room, go), return_exceptions=True)]

    refused, *others = asyncio.run(all_of_them())

    assert isinstance(refused, Overloaded)
    assert refused.retry_seconds == 5
    assert others[:-1] == [None] * (1 + control.MOST_BULKS)
    assert set(most) == {1}


def test_a_bulk_that_fails_leaves_its_place() -> None:
    admission = admission_over(OneAtATime())

    async def failing() -> None:
        async with admission.bulk():
            raise ZeroDivisionError

    async def many() -> list[BaseException | None]:
        return [
            (await asyncio.gather(failing(), return_exceptions=True))[0]
            for _ in range(2 * control.MOST_BULKS + 2)
        ]

    assert {type(one) for one in asyncio.run(many())} == {ZeroDivisionError}
