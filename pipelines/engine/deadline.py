"""The deadline of one request, and how long each stage of its answer took."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from time import perf_counter

_RUNNING: dict[int, str] = {}  # the stage in work, by thread


class Deadline:
    """Begins when the request arrives."""

    def __init__(self, deadline_ms: float) -> None:
        self._start = perf_counter()
        self._deadline_ms = deadline_ms
        self.timings_ms: dict[str, float] = {}

    def left_ms(self) -> float:
        """Return the milliseconds until the deadline; negative when it has passed."""
        return self._deadline_ms - 1_000 * (perf_counter() - self._start)

    @contextmanager
    def timer(self, name: str) -> Iterator[None]:
        """Record under `name` how long the block took."""
        start, thread = perf_counter(), get_ident()
        outer = _RUNNING.get(thread, "")
        _RUNNING[thread] = name
        try:
            yield
        finally:
            _RUNNING[thread] = outer
            self.timings_ms[name] = round(1_000 * (perf_counter() - start), 3)


def running_stage(thread: int) -> str:
    """Return the stage that a thread is in, or `answer` where it is between two."""
    return _RUNNING.get(thread) or "answer"
