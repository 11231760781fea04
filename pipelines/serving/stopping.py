"""Ends a server at SIGINT or SIGTERM, and the process at the second signal."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

STOPS = (signal.SIGINT, signal.SIGTERM)


def on_stop_signals(
    end: Callable[[float], Awaitable[None]],
    notice_seconds: float,
    at_once: Callable[[], None] = lambda: None,
) -> None:
    """Call `end` at the first signal; at the second `at_once`, and end the process.

    `end` is given the seconds for which the server says that it is not ready any more: none
    after SIGINT, because a person is waiting.
    """
    loop = asyncio.get_running_loop()
    ending: list[asyncio.Future[None]] = []

    def stop(number: signal.Signals) -> None:
        if ending:
            at_once()
            os._exit(128 + number)
        notice = 0.0 if number == signal.SIGINT else notice_seconds
        ending.append(asyncio.ensure_future(end(notice)))

    for number in STOPS:
        loop.add_signal_handler(number, stop, number)
