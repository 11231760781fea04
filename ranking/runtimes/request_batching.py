"""Ranks requests that arrive together as one batch, and holds none back to wait for others.

A request that finds nobody at work goes at once, alone. Those that arrive meanwhile queue, and
when the work is done the first of them takes all that fits into the next batch and does it: there
is no thread beside those of the callers, and no time that is waited for company. The busier it
is, the larger the batches (continuous batching, Yu et al., OSDI 2022, where a step is one call).

A batch is bounded by requests and by candidates with their padding; one request always fits. A
request waits for the batch before its own, and leaves the queue when its time is over: TooLate. A
batch that fails is done again one by one, so that an error reaches its own caller only.
"""

from collections import deque
from collections.abc import Sequence
from threading import Event, Lock
from time import perf_counter

import numpy as np
from jaxtyping import Float32

from ranking.rank_call import RankCall
from ranking.runtimes.types import Runtime


class TooLate(TimeoutError):
    """The time of a request was over before it was its turn."""


class QueuedRequest:
    """A request in the queue, and what came of it."""

    def __init__(self, call: RankCall, until: float) -> None:
        self.call = call
        self.until = until  # by `perf_counter`
        self.moved = Event()  # done, failed, or asked to do the next batch
        self.leads = False
        self.answer: np.ndarray | None = None
        self.error: BaseException | None = None

    def finish(self, answer: np.ndarray | None, error: BaseException | None = None) -> None:
        """Let the caller go, with an answer or an error."""
        self.answer, self.error = answer, error
        self.moved.set()

    def result(self) -> Float32[np.ndarray, "c o"]:
        """Return the answer, or raise what came instead."""
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer


class BatchingRuntime:
    """One queue before a runtime, for any number of threads."""

    def __init__(self, runtime: Runtime, most_requests: int, most_candidates: int) -> None:
        self._runtime = runtime
        self._most_requests = most_requests
        self._most_candidates = most_candidates
        self._waiting: deque[QueuedRequest] = deque()
        self._busy = False  # somebody does a batch, or has been asked to
        self._lock = Lock()  # of the two above

    def logits(self, call: RankCall, left_ms: float = np.inf) -> Float32[np.ndarray, "c o"]:
        """Return the logits of one request; TooLate where its turn does not come in time."""
        place = QueuedRequest(call, perf_counter() + left_ms / 1_000)
        with self._lock:
            place.leads = not self._busy
            self._busy = True
            if not place.leads:
                self._waiting.append(place)
        if not place.leads:
            self._wait(place)
        if place.leads:
            self._lead(place)
        return place.result()

    def _wait(self, place: QueuedRequest) -> None:
        """Return when there is an answer, or when it is this caller's turn to make some."""
        left = place.until - perf_counter()
        if place.moved.wait(None if left == np.inf else max(left, 0)):
            return
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)
                raise _too_late()
        place.moved.wait()  # it is being ranked, which nobody can stop, or was asked to lead

    def _lead(self, own: QueuedRequest) -> None:
        """Do one batch, then let the next caller do the next."""
        batch = [own]
        try:
            with self._lock:
                batch += self._company(own)
            self._do(batch)
        finally:
            for place in batch:  # of a thread that was stopped in the middle
                if place.answer is None and place.error is None:
                    place.finish(None, RuntimeError("the ranking of this request was stopped"))
            self._hand_over()

    def _company(self, own: QueuedRequest) -> list[QueuedRequest]:
        """Take from the queue what goes into one batch with this request."""
        company: list[QueuedRequest] = []
        longest = len(own.call.rows)
        while self._waiting and len(company) + 1 < self._most_requests:
            longest = max(longest, len(self._waiting[0].call.rows))
            if longest * (len(company) + 2) > self._most_candidates:
                break
            place = self._waiting.popleft()
            if place.until > perf_counter():
                company.append(place)
            else:
                place.finish(None, _too_late())
        return company

    def _do(self, batch: Sequence[QueuedRequest]) -> None:
        try:
            answers = self._runtime.logits([place.call for place in batch])
        except Exception as e:  # of any kind: whose fault it is will be found out
            if len(batch) == 1:
                batch[0].finish(None, e)
                return
            for place in batch:
                self._do([place])
            return
        for place, answer in zip(batch, answers, strict=True):
            place.finish(answer)

    def _hand_over(self) -> None:
        with self._lock:
            while self._waiting:
                place = self._waiting.popleft()
                if place.until > perf_counter():
                    place.leads = True
                    place.moved.set()
                    return
                place.finish(None, _too_late())
            self._busy = False


def _too_late() -> TooLate:
    return TooLate("the time of this request was over before the ranker was free")
