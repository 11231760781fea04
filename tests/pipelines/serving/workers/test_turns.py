"""The turns of a server's processes: only one of them has two releases in memory."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.engine.engine import Engine
from pipelines.serving.hot_swap import SOON_SECONDS, EngineReloader
from pipelines.serving.workers.worker import InTurn

SECONDS = 2.0  # between regular looks
ENGINE = Engine.__new__(Engine)  # nobody asks it anything


class Engines(EngineReloader):
    """Engines that are opened at once; the old one answers as long as `answering` says."""

    def __init__(self) -> None:
        self.following: Engine | None = ENGINE
        self.answering = False
        self._switching = False
        self.settled = 0

    def open_next(self) -> Engine | None:
        return self.following

    def promote(self, engine: Engine) -> None:
        self.following, self._switching = None, True

    def settle(self) -> bool:
        self.settled += 1
        self._switching = self.answering
        return not self._switching


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "turn"


def test_a_turn_lasts_until_the_old_engine_has_ended_its_answers(lock: Path) -> None:
    mine, others = Engines(), Engines()
    first, second = InTurn(mine, lock), InTurn(others, lock)
    assert first.open_next() is ENGINE
    assert second.open_next() is None

    first.promote(ENGINE)
    mine.answering = True

    assert first.open_next() is None
    assert second.open_next() is None
    mine.answering, mine.following = False, ENGINE
    assert first.open_next() is None
    assert second.open_next() is ENGINE


def test_an_old_engine_is_released_while_another_process_has_the_turn(lock: Path) -> None:
    mine, others = Engines(), Engines()
    first, second = InTurn(mine, lock), InTurn(others, lock)
    assert second.open_next() is ENGINE
    mine.answering = True

    assert first.open_next() is None

    assert mine.settled == 1


def test_a_process_looks_again_soon_until_the_turns_before_its_own_have_ended(lock: Path) -> None:
    first, second = InTurn(Engines(), lock), InTurn(Engines(), lock)
    assert first.open_next() is ENGINE

    assert second.open_next() is None

    assert second.next_look(SECONDS) == SOON_SECONDS
    first.promote(ENGINE)
    assert first.next_look(SECONDS) == SOON_SECONDS
    assert first.open_next() is None
    assert first.next_look(SECONDS) == SECONDS
    assert second.open_next() is ENGINE
    second.promote(ENGINE)
    assert second.open_next() is None
    assert second.next_look(SECONDS) == SECONDS


def test_processes_switch_right_after_one_another(lock: Path) -> None:
    workers = [InTurn(Engines(), lock) for _ in range(12)]
    due = [SECONDS + number / 100 for number in range(len(workers))]  # by a clock of our own
    switched = list[float]()

    while len(switched) < len(workers):
        at = due.index(min(due))
        if workers[at].open_next() is not None:
            workers[at].promote(ENGINE)
            switched.append(due[at])
        due[at] += workers[at].next_look(SECONDS)

    assert max(np.diff(switched)) <= 2 * SOON_SECONDS
