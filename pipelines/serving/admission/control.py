"""Admission control: predicts at arrival whether an answer can be in time, and refuses it else."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import ceil
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import msgspec

from pipelines.acts.robots import RobotNames
from pipelines.ads.ad_log import FIRST as FIRST_OF_ADS
from pipelines.ads.ad_serving import AdServing
from pipelines.ads.ledger.records import AdItem, AdOutcome
from pipelines.config.sections import GRANTED, ConsentConfig, ServeConfig
from pipelines.engine.deadline import running_stage
from pipelines.events.event_log import FIRST, ActOutcome
from pipelines.events.intake import EventIntake
from pipelines.events.kept_act import KeptAct
from pipelines.events.people import Person, Receipt
from pipelines.live.change_log import LiveError, Outcome
from pipelines.live.changes import Change
from pipelines.serving.admission.costs import Costs
from pipelines.serving.admission.deadline_queue import DeadlineQueue, Work
from pipelines.serving.admission.errors import ClientLeft, Overloaded, StageTimeout, Unavailable
from pipelines.serving.admission.served_engine import ServedEngine
from retrieval import Query, Slate, Stage

MOST_WRITES = 256  # requests whose changes are on their way to the disk
MOST_ACTS = 50_000  # that are on their way to the disk
MOST_AD_ITEMS = 10_000  # likewise
MOST_BULKS = 8  # that wait; one is in work
GRACE_SECONDS = 5.0  # after a deadline, before a stage counts as stuck
CHANGE_SECONDS = 30.0  # for changes to be written
QUIET_SECONDS = 0.5  # that a part of a bulk waits for shoppers at most
LOOK_SECONDS = 0.005
DEADLINE_HEADER = "x-deadline-ms"

log = logging.getLogger(__name__)
T = TypeVar("T")
Receive = Callable[[], Any]  # of ASGI: what the client sends, at the end that it has left


class Arrival(NamedTuple):
    """What is known of a request beside its body."""

    kind: str = "answer"  # requests of one kind take about as long
    deadline_ms: int | None = None  # as its head says
    after: int = 0  # number of a change that the answer must show
    receive: Receive | None = None  # to hear that the client has left


UNKNOWN = Arrival()


class AdmissionControl:
    """Keeps the event loop free: every answer is computed in one of its threads."""

    def __init__(
        self,
        engine: ServedEngine | None,
        config: ServeConfig,
        events: EventIntake | None = None,
        ads: AdServing | None = None,
        unset_consent: ConsentConfig = GRANTED,
    ) -> None:
        self.engine = engine
        self.events = events  # None: none are taken
        self.ads = ads  # None: there are no campaigns
        self.unset_consent = unset_consent
        self.robot_names = RobotNames()
        self.draining = False  # told to end: not ready any more, and every connection ends
        self.takes_changes = bool(config.live)
        self._deadline_ms = config.deadline_ms
        self._queue = DeadlineQueue(config.threads)
        self._costs = Costs()
        self._writes = 0
        self._events = 0
        self._ad_items = 0
        self._bulks = 0
        self._bulk = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Return whether requests wait or are in work."""
        return self._queue.busy or self._writes + self._events + self._ad_items > 0

    def opened(self) -> ServedEngine:
        """Return the engine, or Unavailable while the release is still being read."""
        if self.engine is None:
            raise Unavailable("the release is still being read; /readyz tells when it is open")
        return self.engine

    def taking_events(self) -> EventIntake:
        """Return where events go, or Unavailable where none are taken."""
        if self.events is None:
            raise Unavailable("this server takes no events")
        return self.events

    def refusal(self, arrival: Arrival) -> Overloaded | None:
        """Return why a request cannot be answered in time, before its body is read, or None."""
        deadline = monotonic() + self._most_ms(arrival.deadline_ms) / 1_000
        wait = self._queue.fits(deadline, self._costs.of(arrival.kind))
        return None if wait is None else _overloaded(wait)

    async def answer(
        self, query: Query, stage: Stage = Stage.RANKING, arrival: Arrival = UNKNOWN
    ) -> Slate:
        """Return the engine's answer within the deadline.

        Overloaded where it cannot be in time, ClientLeft where nobody waits for it, StageTimeout
        where a stage does not end. The time in the queue counts towards the deadline, and is
        among the timings as `wait`.
        """
        engine = self.opened()
        deadline_ms = min(query.deadline_ms, self._most_ms(arrival.deadline_ms))
        arrived = monotonic()
        if arrival.after:
            await self._show(engine, arrival.after, arrived + deadline_ms / 1_000)
        call = partial(self._answer, engine, query, stage, arrival.kind, arrived, deadline_ms)
        return await self._run(call, arrived + deadline_ms / 1_000, arrival)

    async def call(self, work: Callable[[ServedEngine], T], arrival: Arrival) -> T:
        """Return what a small question to the engine has for an answer, as `answer` does."""
        engine, begun = self.opened(), monotonic()

        def timed() -> T:
            start = monotonic()
            result = work(engine)
            seconds = monotonic() - start
            self._costs.note(arrival.kind, seconds, seconds)
            return result

        return await self._run(timed, begun + self._most_ms(None) / 1_000, arrival)

    async def change(self, changes: Sequence[Change]) -> list[Outcome]:
        """Return the outcome of each change, once all are on the disk and in the answers.

        Overloaded at once when too many are waiting, Unavailable where they cannot be written.
        """
        engine = self.opened()
        if self._writes >= MOST_WRITES:
            raise Overloaded("too many changes are waiting")
        self._writes += 1
        try:
            return await _written(partial(engine.change, changes), "changes")
        finally:
            self._writes -= 1

    async def take(self, acts: Sequence[KeptAct]) -> list[ActOutcome]:
        """Return the outcome of each act, once all are on the disk and in the profiles.

        Acts have a bound of their own and wait for no search, so they are taken while searches
        are refused. Overloaded past that bound, Unavailable where they cannot be written.
        """
        if not acts:
            return []
        events = self.taking_events()
        if self._events + len(acts) > MOST_ACTS:
            raise Overloaded("too many events are waiting")
        self._events += len(acts)
        try:
            return await _written(partial(events.submit, acts), "events")
        finally:
            self._events -= len(acts)

    async def erase(self, person: Person) -> Receipt:
        """Return the receipt of a person, who is in no answer and on no disk any more."""
        [receipt] = await _written(partial(self.taking_events().erase, [person]), "erasures")
        return receipt

    async def sell(self, items: Sequence[AdItem]) -> list[AdOutcome]:
        """Return the outcome of each change of a campaign or act on an ad, once it is on the disk.

        Overloaded where too many wait, Unavailable where they cannot be written.
        """
        if self.ads is None or not items:
            return []
        if self._ad_items + len(items) > MOST_AD_ITEMS:
            raise Overloaded("too many acts on ads are waiting")
        self._ad_items += len(items)
        try:
            return await _written(partial(self.ads.intake.submit, items), "ads")
        finally:
            self._ad_items -= len(items)

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator[None]:
        """Let one bulk in at a time; Overloaded where MOST_BULKS wait."""
        if self._bulks > MOST_BULKS:
            raise Overloaded("too many bulks are waiting", retry_seconds=5)
        self._bulks += 1
        try:
            async with self._bulk:
                yield
        finally:
            self._bulks -= 1

    async def change_part(self, changes: Sequence[Change]) -> list[Outcome]:
        """Return what `change` returns for a part of a bulk, begun when no shopper waits."""
        end = monotonic() + QUIET_SECONDS
        while self._queue.waiting and monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
        return await self.change(changes)

    def close(self) -> None:
        """Let the answers in progress end, and drop those that wait."""
        self._queue.close()

    def _most_ms(self, deadline_ms: int | None) -> int:
        return self._deadline_ms if deadline_ms is None else min(deadline_ms, self._deadline_ms)

    async def _show(self, engine: ServedEngine, number: int, deadline: float) -> None:
        """Wait until the answers of this process show what another one took under a number."""
        begun = monotonic()
        while self._newest(engine, number) < number:
            if monotonic() > deadline:
                raise StageTimeout("after", monotonic() - begun)
            await asyncio.sleep(LOOK_SECONDS)

    def _newest(self, engine: ServedEngine, number: int) -> int:
        """Return the newest number of the log that a number is of."""
        if number >= FIRST_OF_ADS and self.ads is not None:
            return self.ads.ledger.upto
        if number >= FIRST and self.events is not None:
            return self.events.profiles.upto
        return engine.newest_change

    async def _run(self, call: Callable[[], T], deadline: float, arrival: Arrival) -> T:
        try:
            work = self._queue.submit(call, deadline, self._costs.of(arrival.kind))
        except RuntimeError:  # it has been closed
            raise Unavailable("the server is stopping") from None
        if isinstance(work, float):
            raise _overloaded(work)
        leaving = None if arrival.receive is None else asyncio.create_task(_left(arrival.receive))
        try:
            result: T = await self._outcome(work, leaving)
            return result
        finally:
            self._queue.withdraw(work)
            if leaving is not None:
                leaving.cancel()

    async def _outcome(self, work: Work, leaving: "asyncio.Task[None] | None") -> Any:
        """Wait for the end of a call, of its time, or of its client's patience."""
        begun, future = monotonic(), asyncio.wrap_future(work.future)
        ends = [future] if leaving is None else [future, leaving]
        for last in (work.deadline, work.deadline + GRACE_SECONDS):
            seconds = max(last - monotonic(), 0.0)
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if future.cancelled():
                raise Unavailable("the server is stopping")
            if future.done():
                return future.result()
            if leaving is not None and leaving.done():
                raise ClientLeft
            if self._queue.withdraw(work):
                raise _late(1_000 * (monotonic() - begun), 1_000 * (work.deadline - begun))
        future.add_done_callback(_forget)
        self._queue.leave(work)
        raise StageTimeout(running_stage(work.thread), monotonic() - begun)

    def _answer(
        self,
        engine: ServedEngine,
        query: Query,
        stage: Stage,
        kind: str,
        arrived: float,
        deadline_ms: int,
    ) -> Slate:
        start = monotonic()
        waited_ms = 1_000 * (start - arrived)
        left_ms = int(deadline_ms - waited_ms)
        if left_ms < 1:
            raise _late(waited_ms, deadline_ms)
        spare_ms = 1_000 * self._queue.spare_seconds()
        in_time = msgspec.structs.replace(query, deadline_ms=left_ms)
        slate = engine.answer(in_time, stage, spare_ms)
        seconds = monotonic() - start
        models = sum(slate.timings_ms.get(step, 0.0) for step in _left_out_first(query)) / 1_000
        self._costs.note(kind, seconds, max(seconds - models, 0.0))
        timings_ms = {"wait": round(waited_ms, 3)} | slate.timings_ms
        return msgspec.structs.replace(slate, timings_ms=timings_ms)


async def _written(submit: Callable[[], "Future[T]"], what: str) -> T:
    """Return the outcomes of what is submitted, once it is on the disk."""
    try:
        outcomes = asyncio.wrap_future(submit())
        return await asyncio.wait_for(asyncio.shield(outcomes), CHANGE_SECONDS)
    except LiveError as e:
        log.error("%s were not written: %s", what, e)
        raise Unavailable(f"{what} cannot be written now; the server's log says why") from None
    except TimeoutError:
        raise StageTimeout(what, CHANGE_SECONDS) from None


def _left_out_first(query: Query) -> tuple[str, ...]:
    """Return the steps without which an answer is still of use: a search has its words."""
    return ("encode", "rank") if query.text.strip() else ("rank",)


async def _left(receive: Receive) -> None:
    """Return when the client has left."""
    with suppress(Exception):  # of a body that nobody reads
        while (await receive())["type"] != "http.disconnect":
            pass


def _forget(future: "asyncio.Future[Any]") -> None:
    """Look at a result that comes too late, so that nothing complains that nobody did."""
    if not future.cancelled():
        future.exception()


def _overloaded(wait: float) -> Overloaded:
    message = f"too many requests are waiting, about {1_000 * wait:,.0f} ms of work"
    return Overloaded(message, retry_seconds=max(1, ceil(wait)))


def _late(waited_ms: float, deadline_ms: float) -> Overloaded:
    return Overloaded(
        f"waited {waited_ms:,.0f} ms for a free thread, longer than the deadline of "
        f"{deadline_ms:,.0f} ms"
    )
