from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from time import perf_counter, sleep

import numpy as np
import pytest

from ranking.rank_call import RankCall
from ranking.runtimes.request_batching import BatchingRuntime, TooLate
from ranking.runtimes.torch_runtime import TorchRuntime
from ranking.runtimes.types import Runtime
from tests.assertions import each, every
from tests.ranking.calls import call, network, tokens, without_numbers

PATIENCE = 60  # seconds after which a test fails rather than hangs


class Gate:
    """Answers as a runtime does, once it is let; remembers its batches."""

    def __init__(self, runtime: Runtime | None = None) -> None:
        self.runtime = runtime or TorchRuntime(network(), tokens())
        self.open, self.entered = Event(), Event()
        self.batches: list[list[int]] = []

    def logits(self, calls: Sequence[RankCall]) -> list[np.ndarray]:
        self.batches.append([len(one.rows) for one in calls])
        self.entered.set()
        assert self.open.wait(PATIENCE)
        return self.runtime.logits(calls)


class Picky(TorchRuntime):
    """Fails on every batch with a list of 13."""

    def logits(self, calls: Sequence[RankCall]) -> list[np.ndarray]:
        if any(len(one.rows) == 13 for one in calls):
            raise ArithmeticError("13 candidates")
        return super().logits(calls)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def queued(batching: BatchingRuntime, count: int) -> None:
    """Wait until so many are in the queue."""
    until = perf_counter() + PATIENCE
    while len(batching._waiting) != count:
        assert perf_counter() < until, f"{len(batching._waiting)} of {count} wait"
        sleep(0.001)


def ask(
    threads: ThreadPoolExecutor, batching: BatchingRuntime, gate: Gate, calls: Sequence[RankCall]
) -> list[Future[np.ndarray]]:
    """Send the first, then the others in their order while the first is being ranked."""
    futures = [threads.submit(batching.logits, calls[0])]
    assert gate.entered.wait(PATIENCE)
    for waiting, one in enumerate(calls[1:], start=1):
        futures.append(threads.submit(batching.logits, one))
        queued(batching, waiting)
    return futures


def test_what_queued_during_a_batch_is_the_next_one(threads: ThreadPoolExecutor) -> None:
    gate = Gate()
    batching = BatchingRuntime(gate, 8, 10_000)
    calls = [call(i, 10 + i) for i in range(5)]

    futures = ask(threads, batching, gate, calls)
    gate.open.set()

    expected = TorchRuntime(network(), tokens())
    for one, future in zip(calls, futures, strict=True):
        [alone] = expected.logits([one])
        np.testing.assert_allclose(future.result(PATIENCE), alone, rtol=1e-4, atol=1e-5)
    assert gate.batches == [[10], [11, 12, 13, 14]]


def test_a_request_that_finds_nobody_goes_at_once_and_alone() -> None:
    gate = Gate()
    gate.open.set()
    batching = BatchingRuntime(gate, 8, 10_000)

    for _ in range(3):
        batching.logits(call(1, 9))

    assert gate.batches == [[9]] * 3


@pytest.mark.parametrize(
    ("most_requests", "most_candidates", "expected"),
    [
        (2, 10_000, [[10], [11, 12], [13, 14]]),
        (1, 10_000, [[10], [11], [12], [13], [14]]),
        (8, 3 * 13, [[10], [11, 12, 13], [14]]),  # with padding: 4 lists would be 4 x 14
        (8, 5, [[10], [11], [12], [13], [14]]),  # one always fits
    ],
)
def test_a_batch_is_bounded_by_requests_and_by_candidates(
    threads: ThreadPoolExecutor,
    most_requests: int,
    most_candidates: int,
    expected: list[list[int]],
) -> None:
    gate = Gate()
    batching = BatchingRuntime(gate, most_requests, most_candidates)

    futures = ask(threads, batching, gate, [call(i, 10 + i) for i in range(5)])
    gate.open.set()
    for future in futures:
        future.result(PATIENCE)

    assert gate.batches == expected


def test_a_request_leaves_the_queue_when_its_time_is_over(threads: ThreadPoolExecutor) -> None:
    gate = Gate()
    batching = BatchingRuntime(gate, 8, 10_000)
    [first] = ask(threads, batching, gate, [call(0, 10)])

    with pytest.raises(TooLate, match="before the ranker was free"):
        batching.logits(call(1, 11), left_ms=5.0)

    gate.open.set()
    first.result(PATIENCE)
    assert gate.batches == [[10]]
    assert len(batching.logits(call(2, 12))) == 12


def test_a_request_whose_time_ends_while_it_is_ranked_is_answered(
    threads: ThreadPoolExecutor,
) -> None:
    class Slow(TorchRuntime):
        def logits(self, calls: Sequence[RankCall]) -> list[np.ndarray]:
            if len(calls) > 1:
                sleep(1.5)
            return super().logits(calls)

    gate = Gate(Slow(network(), tokens()))
    batching = BatchingRuntime(gate, 8, 10_000)
    [first, second] = ask(threads, batching, gate, [call(0, 10), call(2, 12)])
    late = threads.submit(batching.logits, call(1, 11), 1_000.0)
    queued(batching, 2)

    gate.open.set()

    assert len(first.result(PATIENCE)) == 10
    assert len(second.result(PATIENCE)) == 12
    assert len(late.result(PATIENCE)) == 11
    assert gate.batches == [[10], [12, 11]]


def test_an_error_reaches_its_own_caller_only(threads: ThreadPoolExecutor) -> None:
    gate = Gate(Picky(network(), tokens()))
    batching = BatchingRuntime(gate, 8, 10_000)

    futures = ask(threads, batching, gate, [call(i, 10 + i) for i in range(6)])
    gate.open.set()

    for length, future in enumerate(futures, start=10):
        if length == 13:
            with pytest.raises(ArithmeticError, match="13 candidates"):
                future.result(PATIENCE)
        else:
            assert len(future.result(PATIENCE)) == length


def test_a_request_without_numbers_spoils_no_other_of_its_batch(
    threads: ThreadPoolExecutor,
) -> None:
    gate = Gate()
    batching = BatchingRuntime(gate, 8, 10_000)
    calls = [call(0, 10), call(1, 11), without_numbers(call(2, 12)), call(3, 13)]

    futures = ask(threads, batching, gate, calls)
    gate.open.set()
    found = [future.result(PATIENCE) for future in futures]

    assert len(gate.batches) == 2
    assert [bool(np.isfinite(one).all()) for one in found] == [True, True, False, True]


def test_a_caller_that_is_stopped_leaves_nobody_waiting(threads: ThreadPoolExecutor) -> None:
    class Stopped(BaseException):
        pass

    class Stopping(TorchRuntime):
        def logits(self, calls: Sequence[RankCall]) -> list[np.ndarray]:
            if any(len(one.rows) == 11 for one in calls):
                raise Stopped
            return super().logits(calls)

    gate = Gate(Stopping(network(), tokens()))
    batching = BatchingRuntime(gate, 8, 10_000)

    futures = ask(threads, batching, gate, [call(i, 10 + i) for i in range(3)])
    gate.open.set()

    assert len(futures[0].result(PATIENCE)) == 10
    for future in futures[1:]:
        with pytest.raises((Stopped, RuntimeError)):
            future.result(PATIENCE)
    assert len(batching.logits(call(5, 9))) == 9


@pytest.mark.parametrize("most_requests", [1, 3, 8])
def test_many_threads_each_get_the_scores_of_their_own_request(
    threads: ThreadPoolExecutor, most_requests: int
) -> None:
    runtime = TorchRuntime(network(), tokens())
    batching = BatchingRuntime(runtime, most_requests, 500)
    calls = [call(seed, 5 + 7 * seed % 60) for seed in range(200)]

    found = list(threads.map(batching.logits, calls, timeout=PATIENCE))

    for one, answer in each(zip(calls, found, strict=True)):
        [alone] = runtime.logits([one])
        np.testing.assert_allclose(answer, alone, rtol=1e-4, atol=1e-5)


def test_under_load_with_short_times_every_request_is_answered_or_too_late(
    threads: ThreadPoolExecutor,
) -> None:
    batching = BatchingRuntime(TorchRuntime(network(), tokens()), 4, 10_000)

    def one(seed: int) -> bool:
        try:
            return len(batching.logits(call(seed, 9), left_ms=float(seed % 7))) == 9
        except TooLate:
            return True

    assert every(threads.map(one, range(300), timeout=PATIENCE))
    assert not batching._waiting
    assert not batching._busy
