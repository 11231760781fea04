"""One process of a server of several: `python -m pipelines.serving.workers.process SOCKET NAME`.

SOCKET is the descriptor of the socket to the supervisor; the name, such as "writer", is for whoever
reads a list of processes. The process ends when the supervisor says so, or has gone; signals are
the supervisor's.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import BinaryIO

import msgspec

from pipelines.absent_pandas import leave_pandas_out
from pipelines.errors import UserError
from pipelines.serving.workers.protocol import End, Report, Task, encode


class ControlReports:
    """Tells the supervisor how far this process is."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def listens(self) -> None:
        """Tell that the port is open."""
        self._send(Report(kind="listens"))

    def answers(self, release: str) -> None:
        """Tell that requests are answered."""
        self._send(Report(kind="answers", text=release))

    def say(self, line: str) -> None:
        """Tell what a person should read."""
        self._send(Report(kind="line", text=line))

    def failed(self, why: str) -> None:
        """Tell why this process ends."""
        self._send(Report(kind="failed", text=why))

    def _send(self, report: Report) -> None:
        with suppress(OSError):  # the supervisor has gone, and so this process ends
            self._control.sendall(encode(report))


def main(descriptor: str) -> None:
    """Do what the first line from the supervisor says, until its last."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(descriptor))
    reports, orders = ControlReports(control), control.makefile("rb")
    line = _line(orders)
    if not line:  # the supervisor has gone
        os._exit(0)
    task = msgspec.json.decode(line, type=Task)
    leave_pandas_out()
    try:
        (_write if task.writes else _answer)(task, orders, reports)
    except UserError as e:
        reports.failed(str(e))
        os._exit(1)
    os._exit(0)  # everything is closed, and to free the models one by one would take a second


def _answer(task: Task, orders: BinaryIO, reports: ControlReports) -> None:
    from pipelines.serving.workers.worker import answer

    listener = socket.socket(fileno=task.listener)
    asyncio.run(answer(task, listener, reports, lambda: _end(orders)))


def _write(task: Task, orders: BinaryIO, reports: ControlReports) -> None:
    from pipelines.serving.workers.writer import write

    ending = threading.Event()

    def end_when_told() -> None:
        _end(orders)
        ending.set()

    threading.Thread(target=end_when_told, daemon=True).start()
    write(task, reports, ending)


def _end(orders: BinaryIO) -> End:
    """Wait for the last line; a supervisor that has gone is one, too."""
    line = _line(orders)
    return msgspec.json.decode(line, type=End) if line else End(notice_seconds=0.0)


def _line(orders: BinaryIO) -> bytes:
    """Return the next line from the supervisor; none where it has gone."""
    try:
        return orders.readline()
    except OSError:
        return b""


if __name__ == "__main__":
    main(sys.argv[1])
