"""A thread-safe LRU cache with a bound on entries and on their total size."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from cachetools import LRUCache

V = TypeVar("V")


class BoundedCache(Generic[V]):
    """Values by key; the least recently used ones are dropped first. Any thread may call."""

    def __init__(self, most: int, largest: int) -> None:
        """Hold at most `most` values, whose sizes add up to at most `largest`."""
        self._most = most
        self._values: LRUCache[Hashable, tuple[V, int]] = LRUCache(largest, lambda one: one[1])
        self._lock = Lock()

    @property
    def size(self) -> int:
        """The sizes of all values, added up."""
        return int(self._values.currsize)

    def get(self, key: Hashable) -> V | None:
        """Return the value of a key, or None."""
        with self._lock:
            entry = self._values.get(key)
        return None if entry is None else entry[0]

    def of(self, key: Hashable, make: Callable[[], V], size: Callable[[V], int]) -> V:
        """Return the value of a key, or make and store it; two threads may make it at once."""
        value = self.get(key)
        if value is None:
            value = make()
            self.keep(key, value, size(value))
        return value

    def keep(self, key: Hashable, value: V, size: int) -> None:
        """Store a value; one that alone is too large only removes what its key held."""
        with self._lock:
            self._values.pop(key, None)
            if size > self._values.maxsize:
                return
            self._values[key] = (value, size)
            if len(self._values) > self._most:
                self._values.popitem()
