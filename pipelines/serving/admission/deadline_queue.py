"""Runs calls in a few threads, the one with the earliest deadline first."""

from bisect import insort
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from math import inf
from threading import Condition, Thread, get_ident
from time import monotonic
from typing import Any

from pipelines.serving.admission.costs import Cost

QUEUED_PER_THREAD = 32  # at 15 ms an answer, the last in the queue waits half a second
MOST_LEFT = 8  # threads that are stuck in a stage, and were replaced
CLOSE_SECONDS = 2.0  # for calls in work


@dataclass(eq=False)
class Work:
    """One call: until when it is wanted, and about how long it takes."""

    call: Callable[[], Any]
    deadline: float  # by `monotonic`
    cost: Cost
    number: int
    future: "Future[Any]" = field(default_factory=Future)
    started: float | None = None
    thread: int = 0
    is_left: bool = False  # nobody waits any more, and another thread has its place

    def __lt__(self, other: "Work") -> bool:
        return (self.deadline, self.number) < (other.deadline, other.number)


class DeadlineQueue:
    """A bounded number of calls, and the threads that run them."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._most = threads * (1 + QUEUED_PER_THREAD)
        self._changed = Condition()
        self._waiting: list[Work] = []  # the earliest deadline first
        self._running: set[Work] = set()
        self._numbers = count()
        self._begun = 0  # threads
        self._left = 0
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a call waits or is in work."""
        return bool(self._waiting or self._running)

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    def fits(self, deadline: float, cost: Cost) -> float | None:
        """Return None where a call can end in time and makes no other late, else its wait.

        A call fits always where a thread is free, whatever is estimated: an estimate that is
        too high would otherwise never be corrected.
        """
        with self._changed:
            return self._fits(deadline, cost)

    def submit(self, call: Callable[[], Any], deadline: float, cost: Cost) -> Work | float:
        """Queue a call; where it does not fit, return the seconds that it would wait.

        RuntimeError where the queue is closed.
        """
        with self._changed:
            if self._closed:
                raise RuntimeError("the queue is closed")
            wait = self._fits(deadline, cost)
            if wait is not None:
                return wait
            work = Work(call, deadline, cost, next(self._numbers))
            insort(self._waiting, work)
            self._begin_thread()
            self._changed.notify()
            return work

    def spare_seconds(self) -> float:
        """Return for how long the call that begins now may run before one that waits is late."""
        with self._changed:
            now, ahead, spare = monotonic(), 0.0, inf
            for work in self._waiting:
                end = now + ahead / self._threads + work.cost.least
                spare = min(spare, work.deadline - end)
                ahead += work.cost.mean
            return spare

    def withdraw(self, work: Work) -> bool:
        """Return whether a call had not begun; it is dropped then."""
        with self._changed:
            if work.started is not None or work not in self._waiting:
                return False
            self._waiting.remove(work)
            work.future.cancel()
            return True

    def leave(self, work: Work) -> None:
        """Give the place of a call that does not end to another thread."""
        with self._changed:
            if work in self._running and self._left < MOST_LEFT:
                work.is_left = True
                self._running.discard(work)
                self._left += 1
                self._begun -= 1
                self._begin_thread()

    def close(self) -> None:
        """Drop what waits, and let what is in work end, for CLOSE_SECONDS at most."""
        end = monotonic() + CLOSE_SECONDS
        with self._changed:
            self._closed = True
            for work in self._waiting:
                work.future.cancel()
            self._waiting.clear()
            self._changed.notify_all()
            while self._running and (left := end - monotonic()) > 0:
                self._changed.wait(left)

    def _fits(self, deadline: float, cost: Cost) -> float | None:
        now = monotonic()
        if len(self._running) + len(self._waiting) < self._threads:
            return None
        ahead = sum(self._remaining(work, now) for work in self._running)
        later: list[Work] = []
        for work in self._waiting:
            if work.deadline <= deadline:
                ahead += work.cost.mean
            else:
                later.append(work)
        wait = ahead / self._threads
        is_full = len(self._waiting) + len(self._running) >= self._most
        is_late = now + wait + cost.least > deadline
        if is_late or is_full or self._delays(later, now, ahead, cost):
            return wait
        return None

    def _delays(self, later: list[Work], now: float, ahead: float, cost: Cost) -> bool:
        """Return whether a call before `later` makes one of them late that is not late without."""
        for work in later:
            end = now + ahead / self._threads + work.cost.least
            if end <= work.deadline < end + cost.mean / self._threads:
                return True
            ahead += work.cost.mean
        return False

    @staticmethod
    def _remaining(work: Work, now: float) -> float:
        return max(work.cost.mean - (now - (work.started or now)), 0.0)

    def _begin_thread(self) -> None:
        if self._begun < self._threads:
            self._begun += 1
            name = f"answer_{self._begun}"
            Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while (work := self._next()) is not None:
            if work.future.set_running_or_notify_cancel():
                _run(work)
            with self._changed:
                self._running.discard(work)
                self._changed.notify_all()
                if work.is_left:
                    self._left -= 1
                    return
            del work  # while the thread waits for the next, it must keep no engine in memory

    def _next(self) -> Work | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            work = self._waiting.pop(0)
            work.started, work.thread = monotonic(), get_ident()
            self._running.add(work)
            return work


def _run(work: Work) -> None:
    with suppress(InvalidStateError):
        try:
            result = work.call()
        except BaseException as e:
            work.future.set_exception(e)
        else:
            work.future.set_result(result)
