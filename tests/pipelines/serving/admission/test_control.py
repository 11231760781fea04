import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from math import inf
from time import sleep
from types import SimpleNamespace

import pytest

from pipelines.config.sections import ConsentConfig, ServeConfig
from pipelines.events.event_log import UnwrittenAct
from pipelines.events.kept_act import KeptAct, kept_act
from pipelines.live.change_log import LiveError
from pipelines.serving.admission import (
    QUEUED_PER_THREAD,
    AdmissionControl,
    Arrival,
    ClientLeft,
    Overloaded,
    Unavailable,
)
from pipelines.serving.admission.control import MOST_ACTS
from retrieval import EventType, Query, Slate, Stage
from retrieval.types import Act


class SlowEngine:
    release = "r1"

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.asked: list[Query] = []

    def answer(self, query: Query, stage: Stage = Stage.RANKING, spare_ms: float = inf) -> Slate:
        self.asked.append(query)
        self.work()
        return Slate(products=(), stage=stage, release=self.release, timings_ms={"rank": 1.0})


def admission_over(engine: SlowEngine | None, **config: int) -> AdmissionControl:
    return AdmissionControl(engine, ServeConfig(**config))


def test_more_requests_than_may_wait_are_turned_away_and_the_others_answered() -> None:
    go = threading.Event()
    admission = admission_over(SlowEngine(go.wait), threads=1, deadline_ms=60_000)
    room = 1 + QUEUED_PER_THREAD

    async def crowd() -> list[Slate | BaseException]:
        requests = [admission.answer(Query(deadline_ms=60_000)) for _ in range(room + 3)]
        answers = asyncio.gather(*requests, return_exceptions=True)
        await asyncio.sleep(0.05)
        go.set()
        return await answers

    answers = asyncio.run(crowd())

    assert [type(a) for a in answers] == [Slate] * room + [Overloaded] * 3


def test_a_place_is_free_again_after_an_answer_and_after_a_failure() -> None:
    engine = SlowEngine(lambda: 1 / 0)
    admission = admission_over(engine, threads=1)

    for _ in range(3 * (1 + QUEUED_PER_THREAD)):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(admission.answer(Query()))

    engine.work = lambda: None
    assert asyncio.run(admission.answer(Query())).release == "r1"


def test_the_time_in_the_queue_is_told_and_taken_from_the_deadline() -> None:
    engine = SlowEngine(lambda: sleep(0.2))
    admission = admission_over(engine, threads=1)

    async def two() -> tuple[Slate, Slate]:
        return await asyncio.gather(
            admission.answer(Query(deadline_ms=1_000)), admission.answer(Query(deadline_ms=1_000))
        )

    first, second = asyncio.run(two())

    assert first.timings_ms["wait"] < 100
    assert 150 <= second.timings_ms["wait"] < 900
    assert engine.asked[1].deadline_ms <= 850
    assert second.timings_ms["rank"] == 1.0


def test_who_has_waited_past_the_deadline_is_told_so_instead_of_being_served_late() -> None:
    engine = SlowEngine(lambda: sleep(0.2))
    admission = admission_over(engine, threads=1)

    async def two() -> tuple[Slate | BaseException, ...]:
        first = asyncio.create_task(admission.answer(Query()))
        await asyncio.sleep(0.05)
        late = admission.answer(Query(deadline_ms=50))
        return await asyncio.gather(first, late, return_exceptions=True)

    _, late = asyncio.run(two())

    assert isinstance(late, Overloaded)
    assert "longer than the deadline of 50 ms" in str(late)
    assert len(engine.asked) == 1


def test_the_servers_own_deadline_is_the_longest_that_a_request_can_ask_for() -> None:
    engine = SlowEngine(lambda: None)
    admission = admission_over(engine, deadline_ms=300)

    asyncio.run(admission.answer(Query(deadline_ms=60_000)))

    assert engine.asked[0].deadline_ms <= 300


def test_nobody_is_answered_before_the_release_is_open_nor_after_admission_has_closed() -> None:
    admission = admission_over(None)

    with pytest.raises(Unavailable, match="still being read"):
        asyncio.run(admission.answer(Query()))

    admission.engine = SlowEngine(lambda: None)
    admission.close()
    with pytest.raises(Unavailable, match="stopping"):
        asyncio.run(admission.answer(Query()))


async def leaves() -> dict[str, str]:
    return {"type": "http.disconnect"}


def test_who_has_left_while_an_answer_is_in_work_hears_nothing_of_a_stage() -> None:
    go = threading.Event()
    admission = admission_over(SlowEngine(go.wait), threads=1, deadline_ms=60_000)

    async def one() -> None:
        try:
            await admission.answer(Query(deadline_ms=60_000), arrival=Arrival(receive=leaves))
        finally:
            go.set()

    with pytest.raises(ClientLeft):
        asyncio.run(one())


def test_who_has_left_while_waiting_is_dropped_and_not_told_to_be_late() -> None:
    go = threading.Event()
    engine = SlowEngine(go.wait)
    admission = admission_over(engine, threads=1, deadline_ms=60_000)

    async def two() -> tuple[Slate | BaseException, ...]:
        first = asyncio.create_task(admission.answer(Query(deadline_ms=60_000)))
        await asyncio.sleep(0.05)
        gone = admission.answer(Query(deadline_ms=60_000), arrival=Arrival(receive=leaves))
        [left] = await asyncio.gather(gone, return_exceptions=True)
        go.set()
        return await first, left

    first, left = asyncio.run(two())

    assert isinstance(first, Slate)
    assert isinstance(left, ClientLeft)
    assert len(engine.asked) == 1


def test_a_body_that_goes_on_is_no_client_that_leaves() -> None:
    admission = admission_over(SlowEngine(lambda: sleep(0.05)), threads=1)
    messages = iter([{"type": "http.request"}, {"type": "http.request"}])

    async def receive() -> dict[str, str]:
        for message in messages:
            return message
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    slate = asyncio.run(admission.answer(Query(), arrival=Arrival(receive=receive)))

    assert slate.release == "r1"


class Acts:
    """Takes acts at once, or when told to."""

    def __init__(self) -> None:
        self.profiles = SimpleNamespace(upto=0)
        self.waiting: list[Future[list[int | UnwrittenAct]]] = []

    def submit(self, acts: Sequence[KeptAct]) -> "Future[list[int | UnwrittenAct]]":
        self.waiting.append(Future())
        return self.waiting[-1]

    def close(self) -> None:
        """Nothing is open."""


VIEW = kept_act(
    Act(type=EventType.VIEW, visitor="v"), datetime(2024, 3, 2, tzinfo=UTC), UTC, ConsentConfig()
)


def test_acts_are_taken_while_searches_are_turned_away() -> None:
    go, acts = threading.Event(), Acts()
    admission = AdmissionControl(
        SlowEngine(go.wait), ServeConfig(threads=1, deadline_ms=60_000), acts
    )

    async def crowd() -> list[object]:
        asked = [admission.answer(Query(deadline_ms=60_000)) for _ in range(QUEUED_PER_THREAD + 2)]
        answers = asyncio.gather(*asked, return_exceptions=True)
        await asyncio.sleep(0.05)
        taking = asyncio.create_task(admission.take([VIEW]))
        await asyncio.sleep(0)
        acts.waiting[0].set_result([7])
        taken = await taking
        go.set()
        return [taken, *await answers]

    taken, *answers = asyncio.run(crowd())

    assert taken == [7]
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 1


def test_more_acts_than_may_wait_are_turned_away() -> None:
    acts = Acts()
    admission = AdmissionControl(None, ServeConfig(), acts)

    async def crowd() -> None:
        first = asyncio.create_task(admission.take([VIEW] * MOST_ACTS))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="too many events"):
            await admission.take([VIEW])
        acts.waiting[0].set_result([1] * MOST_ACTS)
        await first
        again = asyncio.create_task(admission.take([VIEW]))
        await asyncio.sleep(0)
        acts.waiting[1].set_result([2])
        assert await again == [2]

    asyncio.run(crowd())


def test_acts_that_cannot_be_written_are_told_as_unavailable() -> None:
    acts = Acts()
    admission = AdmissionControl(None, ServeConfig(), acts)

    async def fail() -> None:
        taking = asyncio.create_task(admission.take([VIEW]))
        await asyncio.sleep(0)
        acts.waiting[0].set_exception(LiveError("the disk is full"))
        await taking

    with pytest.raises(Unavailable, match="log says why"):
        asyncio.run(fail())
