"""Which lines of some files each test runs, and how long each test takes."""

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Line = tuple[str, int]
Trace = Callable[[FrameType, str, Any], Any]


@contextmanager
def traced(files: Collection[str]) -> Iterator[set[Line]]:
    """Yield the lines of these files that run inside, by full path and number."""
    lines: set[Line] = set()

    def in_file(frame: FrameType, event: str, _: Any) -> Trace:
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return in_file

    def on_call(frame: FrameType, _: str, __: Any) -> Trace | None:
        return in_file if frame.f_code.co_filename in files else None

    before = sys.gettrace()
    threading.settrace(on_call)
    sys.settrace(on_call)
    try:
        yield lines
    finally:
        sys.settrace(before)
        threading.settrace(before)
