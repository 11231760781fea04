import threading
import weakref
from functools import partial
from math import inf
from time import monotonic

import pytest

from pipelines.serving.admission.costs import Cost, Costs
from pipelines.serving.admission.deadline_queue import DeadlineQueue, Work

SOON, LATER, MUCH_LATER = 100.0, 200.0, 300.0
CHEAP, DEAR = Cost(1.0, 0.0, 1.0), Cost(40.0, 0.0, 40.0)


class Blocked:
    """A queue of one thread, which is in a call until `go`."""

    def __init__(self, cost: Cost = CHEAP) -> None:
        self.queue = DeadlineQueue(1)
        self.go = threading.Event()
        self.order: list[str] = []
        self.first = self.queue.submit(self._block, monotonic() + 1_000, cost)
        assert isinstance(self.first, Work)
        while self.first.started is None:
            pass

    def _block(self) -> None:
        self.go.wait(20)

    def add(self, name: str, seconds: float, cost: Cost = CHEAP) -> Work | float:
        return self.queue.submit(lambda: self.order.append(name), monotonic() + seconds, cost)

    def finish(self) -> None:
        last = self.queue.submit(lambda: None, monotonic() + 10_000, Cost())
        self.go.set()
        assert isinstance(last, Work)
        last.future.result(20)


def test_the_earliest_deadline_is_first_and_equal_ones_are_in_the_order_of_their_arrival() -> None:
    blocked = Blocked()
    for name, seconds in (("c", MUCH_LATER), ("a", SOON), ("b", LATER), ("a2", SOON + 0.5)):
        blocked.add(name, seconds)

    blocked.finish()

    assert blocked.order == ["a", "a2", "b", "c"]


def test_a_call_that_cannot_end_in_time_is_refused_with_its_wait() -> None:
    blocked = Blocked(DEAR)

    wait = blocked.add("late", 20)

    assert isinstance(wait, float)
    assert 30 < wait <= 40
    blocked.finish()
    assert blocked.order == []


def test_a_call_that_would_make_a_promised_one_late_is_refused() -> None:
    blocked = Blocked(Cost())
    blocked.add("promised", 41, DEAR)

    wait = blocked.add("urgent", 30, Cost(5.0, 0.0, 5.0))

    assert wait == pytest.approx(0.0, abs=0.01)
    blocked.finish()
    assert blocked.order == ["promised"]


def test_where_a_thread_is_free_a_call_is_taken_whatever_is_estimated() -> None:
    queue = DeadlineQueue(2)

    taken = queue.submit(lambda: 7, monotonic() + 1, Cost(900.0, 0.0, 900.0))

    assert isinstance(taken, Work)
    assert taken.future.result(20) == 7


def test_a_call_that_was_withdrawn_is_never_run_and_one_in_work_cannot_be() -> None:
    blocked = Blocked()
    gone, kept = blocked.add("gone", SOON), blocked.add("kept", SOON)
    assert isinstance(gone, Work)
    assert isinstance(blocked.first, Work)

    assert blocked.queue.withdraw(gone)
    assert not blocked.queue.withdraw(gone)
    assert not blocked.queue.withdraw(blocked.first)
    blocked.finish()

    assert isinstance(kept, Work)
    assert blocked.order == ["kept"]


def test_the_place_of_a_call_that_does_not_end_is_given_to_another_thread() -> None:
    blocked = Blocked()
    waiting = blocked.add("behind", SOON)
    assert isinstance(blocked.first, Work)
    assert isinstance(waiting, Work)

    blocked.queue.leave(blocked.first)
    waiting.future.result(20)

    assert blocked.order == ["behind"]
    blocked.go.set()


def test_a_closed_queue_drops_what_waits_and_takes_nothing() -> None:
    blocked = Blocked()
    waiting = blocked.add("dropped", SOON)
    assert isinstance(waiting, Work)
    blocked.go.set()

    blocked.queue.close()

    assert waiting.future.cancelled() or blocked.order == ["dropped"]
    with pytest.raises(RuntimeError, match="closed"):
        blocked.add("too late", SOON)


def test_costs_follow_what_is_measured_and_the_least_has_room_for_its_spread() -> None:
    costs = Costs()
    assert costs.of("search") == Cost(0.0, 0.0, 0.0)

    for _ in range(100):
        costs.note("search", 0.020, 0.010)

    assert costs.of("search").mean == pytest.approx(0.020)
    assert costs.of("search").least == pytest.approx(0.010, abs=0.001)
    costs.note("search", 0.050, 0.040)
    assert costs.of("search").mean == pytest.approx(0.023)
    assert costs.of("search").least > 0.013 + 2 * 0.0029
    assert costs.of("rank") == Cost(0.0, 0.0, 0.0)


def test_a_call_may_take_as_long_as_those_that_wait_have_time_to_spare() -> None:
    blocked = Blocked()
    without = blocked.queue.spare_seconds()
    blocked.add("soon", SOON, DEAR)
    alone = blocked.queue.spare_seconds()
    blocked.add("later", SOON + 1, DEAR)

    both = blocked.queue.spare_seconds()

    assert without == inf
    assert SOON - DEAR.least - 5 < alone <= SOON - DEAR.least
    assert SOON + 1 - 2 * DEAR.mean - 5 < both <= SOON + 1 - 2 * DEAR.mean
    blocked.finish()


def test_a_thread_that_waits_keeps_nothing_of_its_last_call_in_memory() -> None:
    queue, gone = DeadlineQueue(1), threading.Event()
    held = DeadlineQueue(1)
    watched = weakref.ref(held, lambda _: gone.set())
    work = queue.submit(partial(id, held), monotonic() + SOON, CHEAP)
    assert isinstance(work, Work)
    work.future.result(20)

    del work, held

    assert gone.wait(20)
    assert watched() is None
