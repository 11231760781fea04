"""What was made last, kept within bounds."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class BoundedCache(Generic[V]):
    """Values by key, of which the longest unused are forgotten; any thread may ask."""

    def __init__(self, most: int, largest: int) -> None:
        """Keep at most so many values, whose sizes add up to at most so much."""
        self._most = most
        self._largest = largest
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: Hashable) -> V | None:
        """Return a value that is remembered."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def keep(self, key: Hashable, value: V, size: int) -> None:
        """Remember a value, unless it alone is too large."""
        with self._lock:
            _, before = self._values.pop(key, (None, 0))
            self._values[key] = (value, size)
            self._size += size - before
            while len(self._values) > self._most or self._size > self._largest:
                _, (_, forgotten) = self._values.popitem(last=False)
                self._size -= forgotten
