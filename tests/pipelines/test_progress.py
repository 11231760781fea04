from time import sleep
from types import SimpleNamespace
from typing import cast

import pytest
from rich.progress import Task

import pipelines.progress as progress
from pipelines.progress import _so_far, _TimeLeftColumn, silent, track, working

SHORT = 0.05


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", SHORT)


def test_a_long_call_is_not_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with working("plan an index"):
        sleep(10 * SHORT)

    said = capsys.readouterr()
    assert said.out == ""
    assert len([line for line in said.err.splitlines() if line == "plan an index: 0 s"]) >= 2


def test_a_call_that_was_timed_before_says_what_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with working("plan an index", usual_seconds=30.0):
        sleep(4 * SHORT)

    assert "plan an index: 0 s, 30 s left\n" in capsys.readouterr().err


def test_a_short_call_and_a_silent_one_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with working("a moment"):
        pass
    with working("for another program", silent):
        sleep(4 * SHORT)

    assert capsys.readouterr().err == ""


def test_one_item_that_takes_long_is_not_silent(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in track(range(1), "train", 4):
        sleep(10 * SHORT)

    lines = capsys.readouterr().err.splitlines()
    assert "train: 0 of 4 in 0 s" in lines
    assert lines[-1].startswith("train: 1 done in ")


def test_the_time_left_is_the_sooner_of_the_items_and_of_the_seconds_that_end_them() -> None:
    assert _so_far(10, 100, 5.0, most_seconds=20.0) == "10 of 100, 2.0/s, 15 s left"
    assert _so_far(10, 100, 5.0, most_seconds=2_000.0) == "10 of 100, 2.0/s, 45 s left"
    assert _so_far(10, 100, 5.0, most_seconds=4.0) == "10 of 100, 2.0/s, 0 s left"
    assert _so_far(10, 100, 5.0) == "10 of 100, 2.0/s, 45 s left"


@pytest.mark.parametrize(
    ("most", "left"),
    [(15.0, "0:00:10"), (3.0, "0:00:00"), (4_000.0, "0:00:45"), (None, "0:00:45")],
)
def test_a_bar_says_the_same(most: float | None, left: str) -> None:
    task = SimpleNamespace(total=100, finished=False, elapsed=5.0, time_remaining=45.0)

    assert _TimeLeftColumn(most).render(cast(Task, task)).plain == left


def test_items_are_counted_with_their_rate_and_the_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in track(range(8), "encode", 8):
        sleep(SHORT)

    assert any("of 8, " in line and "s left" in line for line in _said(capsys))


def test_steps_that_are_shorter_than_a_line_make_no_long_silence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with working("the whole"):
        for _ in range(8):
            with working("a part"):
                sleep(0.8 * SHORT)

    assert _said(capsys)


def test_only_the_innermost_step_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    with working("the whole"), working("a part"):
        sleep(2 * SHORT)
        capsys.readouterr()  # what the whole was saying when the part began
        sleep(6 * SHORT)

    assert {line.partition(":")[0] for line in _said(capsys)} == {"a part"}


def _said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()
