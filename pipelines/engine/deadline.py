"""The deadline of one request, and how long each stage of its answer took."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


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
        start = perf_counter()
        try:
            yield
        finally:
            self.timings_ms[name] = round(1_000 * (perf_counter() - start), 3)
