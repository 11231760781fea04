"""Shows how far a long step is: a bar on a terminal, plain lines anywhere else.

No step is silent for long: what passes no items through `track` runs in `working`, from where a
thread says now and then how long it has taken.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from time import perf_counter
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")
LINE_EVERY_SECONDS = 4.0  # nothing is silent for 5, however late the thread that tells comes


class Track(Protocol):
    """Passes items through and tells how many went by."""

    def __call__(
        self,
        items: Iterable[T],
        label: str,
        total: int | None = None,
        most_seconds: float | None = None,
    ) -> Iterator[T]:
        """Return the same items; `total` is how many there will be, if that is known.

        `most_seconds` is the time after which they end, however many are left.
        """
        ...


def track(
    items: Iterable[T],
    label: str,
    total: int | None = None,
    most_seconds: float | None = None,
) -> Iterator[T]:
    """Show a bar with rate and time left on a terminal, and a line now and then elsewhere."""
    if sys.stderr.isatty():
        return _bar(items, label, total, most_seconds)
    return _lines(items, label, total, most_seconds)


def silent(
    items: Iterable[T],
    label: str,
    total: int | None = None,
    most_seconds: float | None = None,
) -> Iterator[T]:
    """Show nothing; for tests and for calls from other programs."""
    yield from items


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.1f}/s", style="progress.data.speed")


@contextmanager
def working(label: str, track: Track = track, usual_seconds: float | None = None) -> Iterator[None]:
    """Say how long a call has taken whenever nothing was said for LINE_EVERY_SECONDS.

    Lines of `track`, bars and steps within this one count as something said. `usual_seconds` is
    how long it took another time; with `silent` as its track nothing is said.
    """
    if track is silent:
        yield
        return
    with _heartbeat(lambda seconds: f"{label}: {_spent(seconds, usual_seconds)}"):
        yield


class _ProgressOutput:
    """Standard error, and when something was last written there."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.bars = 0  # on the terminal, which say all the time
        self.last = perf_counter()

    def say(self, line: str) -> None:
        """Write a line."""
        with self._lock:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
            self.last = perf_counter()

    def silence(self) -> float:
        """Return for how many seconds nothing was said."""
        return 0.0 if self.bars else perf_counter() - self.last


_OUTPUT = _ProgressOutput()
_STEPS: list[Event] = []  # that are being worked at, the innermost last: it alone speaks


@contextmanager
def _heartbeat(line: Callable[[float], str]) -> Iterator[None]:
    """Say a line of the seconds so far from a thread, as often as nothing else is said."""
    done = Event()
    if not _STEPS:  # the work begins; within it, one step ends and the next begins in one silence
        _OUTPUT.last = perf_counter()
    heart = Thread(target=_beat, args=(line, done), daemon=True)
    _STEPS.append(done)
    heart.start()
    try:
        yield
    finally:
        done.set()
        _STEPS.remove(done)
        heart.join()


def _beat(line: Callable[[float], str], done: Event) -> None:
    begin = perf_counter()
    pause = max(LINE_EVERY_SECONDS - _OUTPUT.silence(), LINE_EVERY_SECONDS / 10)
    while not done.wait(pause):
        silence = _OUTPUT.silence()
        if silence >= LINE_EVERY_SECONDS and _STEPS[-1:] == [done]:
            _OUTPUT.say(line(perf_counter() - begin))
            silence = 0.0
        pause = max(LINE_EVERY_SECONDS - silence, LINE_EVERY_SECONDS / 10)


def _spent(seconds: float, usual_seconds: float | None) -> str:
    if usual_seconds is None or seconds >= usual_seconds:
        return f"{seconds:,.0f} s"
    return f"{seconds:,.0f} s, {usual_seconds - seconds:,.0f} s left"


class _TimeLeftColumn(TimeRemainingColumn):
    """The time left by the items, or by the time after which they end, if that is sooner."""

    def __init__(self, most_seconds: float | None) -> None:
        super().__init__()
        self._most_seconds = most_seconds

    def render(self, task: Task) -> Text:
        if self._most_seconds is None:
            return super().render(task)
        left = max(self._most_seconds - (task.elapsed or 0.0), 0.0)
        if task.time_remaining is not None and task.time_remaining <= left:
            return super().render(task)
        minutes, seconds = divmod(int(left), 60)
        return Text(f"{minutes // 60}:{minutes % 60:02}:{seconds:02}", style="progress.remaining")


def _bar(
    items: Iterable[T], label: str, total: int | None, most_seconds: float | None
) -> Iterator[T]:
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        _TimeLeftColumn(most_seconds),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        _OUTPUT.bars += 1
        try:
            yield from progress.track(items, total=total, description=label)
        finally:
            _OUTPUT.bars -= 1


def _lines(
    items: Iterable[T], label: str, total: int | None, most_seconds: float | None
) -> Iterator[T]:
    start, count = perf_counter(), 0
    with _heartbeat(lambda seconds: f"{label}: {_so_far(count, total, seconds, most_seconds)}"):
        for item in items:
            yield item
            count += 1
    _OUTPUT.say(f"{label}: {count:,} done in {perf_counter() - start:.1f} s")


def _so_far(
    count: int, total: int | None, seconds: float, most_seconds: float | None = None
) -> str:
    rate = count / max(seconds, 1e-9)
    if not total:
        return f"{count:,}, {rate:,.1f}/s"
    if not count:
        return f"0 of {total:,} in {seconds:,.0f} s"
    left = (total - count) / rate
    if most_seconds is not None:
        left = min(left, max(most_seconds - seconds, 0.0))
    return f"{count:,} of {total:,}, {rate:,.1f}/s, {left:,.0f} s left"
