"""The turns of a server's processes: only one of them has two releases in memory."""

from pathlib import Path

import pytest

from pipelines.engine.engine import Engine
from pipelines.serving.hot_swap import EngineReloader
from pipelines.serving.workers.worker import InTurn

ENGINE = Engine.__new__(Engine)  # nobody asks it anything


class Engines(EngineReloader):
    """Engines that are opened at once; the old one answers as long as `answering` says."""

    def __init__(self) -> None:
        self.following: Engine | None = ENGINE
        self.answering = False
        self.settled = 0

    def open_next(self) -> Engine | None:
        return self.following

    def promote(self, engine: Engine) -> None:
        self.following, self.answering = None, True

    def settle(self) -> bool:
        self.settled += 1
        return not self.answering


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "turn"


def test_a_turn_lasts_until_the_old_engine_has_ended_its_answers(lock: Path) -> None:
    mine, others = Engines(), Engines()
    first, second = InTurn(mine, lock), InTurn(others, lock)
    assert first.open_next() is ENGINE
    assert second.open_next() is None

    first.promote(ENGINE)

    assert first.open_next() is None
    assert second.open_next() is None
    mine.answering = False
    assert first.open_next() is None
    assert second.open_next() is ENGINE


def test_an_old_engine_is_released_while_another_process_has_the_turn(lock: Path) -> None:
    mine, others = Engines(), Engines()
    first, second = InTurn(mine, lock), InTurn(others, lock)
    assert second.open_next() is ENGINE
    mine.answering = True

    assert first.open_next() is None

    assert mine.settled == 1
