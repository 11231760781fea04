"""A value that is opened when it is first used."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """Opens a value once, for whichever thread uses it first; the others wait for it.

    An error is raised to who asked, and opening is tried again the next time.
    """

    def __init__(self, open_value: Callable[[], T]) -> None:
        self._open = open_value
        self._opened: tuple[T] | None = None
        self._lock = Lock()

    def get(self) -> T:
        """Return the value, opened now if it was not."""
        if self._opened is None:
            with self._lock:
                if self._opened is None:
                    self._opened = (self._open(),)
        return self._opened[0]
