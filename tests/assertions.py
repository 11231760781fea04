"""Assertions over many things that fail where there are none."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def every(values: Iterable[object]) -> bool:
    """Tell whether all of these are true, of which there must be one; use it in place of `all`."""
    return all(each(values))


def each(values: Iterable[T]) -> Iterator[T]:
    """Yield these values; AssertionError where there is none, so that a loop must be entered."""
    empty = True
    for value in values:
        empty = False
        yield value
    assert not empty, "there is nothing that this test looks at"
