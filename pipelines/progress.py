"""Shows how far a long step is: a bar on a terminal, plain lines anywhere else."""

import sys
from collections.abc import Iterable, Iterator
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
LINE_EVERY_SECONDS = 10.0


class Track(Protocol):
    """Passes items through and tells how many went by."""

    def __call__(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Return the same items; `total` is how many there will be, if that is known."""
        ...


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Show a bar with rate and time left on a terminal, and a line now and then elsewhere."""
    if sys.stderr.isatty():
        return _bar(items, label, total)
    return _lines(items, label, total)


def silent(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Show nothing; for tests and for calls from other programs."""
    yield from items


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.1f}/s", style="progress.data.speed")


def _bar(items: Iterable[T], label: str, total: int | None) -> Iterator[T]:
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items, total=total, description=label)


def _lines(items: Iterable[T], label: str, total: int | None) -> Iterator[T]:
    start = said = perf_counter()
    count = 0
    for item in items:
        yield item
        count += 1
        now = perf_counter()
        if now - said >= LINE_EVERY_SECONDS:
            _say(f"{label}: {_so_far(count, total, now - start)}")
            said = now
    _say(f"{label}: {count:,} done in {perf_counter() - start:.1f} s")


def _so_far(count: int, total: int | None, seconds: float) -> str:
    rate = count / max(seconds, 1e-9)
    if not total:
        return f"{count:,}, {rate:,.1f}/s"
    return f"{count:,} of {total:,}, {rate:,.1f}/s, {(total - count) / rate:,.0f} s left"


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
