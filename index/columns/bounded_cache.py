"""A thread-safe LRU cache with a bound on entries and on their total size."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from cachetools import Cache, LRUCache, TTLCache

V = TypeVar("V")


class BoundedCache(Generic[V]):
    """Values by key; the least recently used ones are dropped first. Any thread may call."""

    def __init__(self, most: int, largest: int, seconds: float | None = None) -> None:
        """Hold at most `most` values, whose sizes add up to at most `largest`, for `seconds`."""
        self._most = most
        self._values: Cache[Hashable, tuple[V, int]] = (
            LRUCache(largest, _size)
            if seconds is None
            else TTLCache(largest, seconds, getsizeof=_size)
        )
        self._lock = Lock()

    @property
    def size(self) -> int:
        """The sizes of all values, added up."""
        return int(self._values.currsize)

    def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._values.clear()

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


def _size(entry: tuple[V, int]) -> int:
    return entry[1]
